"""Perplexity by hand, and its median against the plain one of numpy."""

import math
from dataclasses import replace

import numpy as np
import pytest

from leaderboard.metrics.metric import Texts, plain
from leaderboard.metrics.perplexity import columns, each, median
from tests.leaderboard.made_up import SETTING
from tests.leaderboard.metrics.by_hand import median_perplexity_of, perplexity_of


def judged(tallies: list[tuple[float, float]], prompts: list[int]) -> Texts:
    """Texts of the given prompts that the judge gave these sums and numbers."""
    return replace(plain([""] * len(prompts), prompts), tallies={SETTING.judge: np.array(tallies, dtype=float)})


def test_it_is_one_exponential_over_all_tokens() -> None:
    """Losses of 2 over 1 token and 4 over 5 tokens: e^(6/6), not the mean of e^2 and e^.8."""
    assert perplexity_of([-2, -4], [1, 5]) == pytest.approx(math.e)
    assert median_perplexity_of([-2, -4, -3], [1, 5, 1]) == pytest.approx(math.e**2)
    assert median_perplexity_of([-2, -4], [1, 5]) == pytest.approx((math.e**2 + math.e**0.8) / 2)


def test_texts_without_tokens_have_none() -> None:
    assert math.isnan(perplexity_of([], []))
    assert math.isnan(perplexity_of([0], [0]))
    assert math.isnan(median_perplexity_of([0], [0]))
    assert perplexity_of([-2, 0], [2, 0]) == pytest.approx(math.e)
    assert median_perplexity_of([-2, 0], [2, 0]) == pytest.approx(math.e)


def test_both_columns_over_prompts_equal_those_over_texts() -> None:
    tallies = [(-2.0, 1.0), (-4.0, 5.0), (0.0, 0.0), (-3.0, 2.0)]
    texts = judged(tallies, [0, 1, 1, 0])
    sums, numbers = zip(*tallies, strict=True)
    expected = [perplexity_of(sums, numbers), median_perplexity_of(sums, numbers)]
    corpus, middle = columns(SETTING)
    found = [metric.value(metric.rows(texts), np.ones((1, 2)))[0] for metric in (corpus, middle)]
    assert found == pytest.approx(expected)
    assert corpus.passport.judge == SETTING.judge_title
    assert corpus.passport.direction == "lower is better"


def test_another_label_has_no_tallies() -> None:
    texts = judged([(-2.0, 1.0)], [0])
    for metric in columns(SETTING._replace(judge="judge:other")):
        assert np.isnan(metric.value(metric.rows(texts), np.ones((1, 1)))).all()


def test_the_weighted_median_is_that_of_the_repeated_texts() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        rows = random.integers(0, 9, (6, 3)).astype(float)
        rows[random.random(rows.shape) < 0.3] = np.nan
        weights = random.integers(0, 4, (5, 6)).astype(float)
        repeated = [np.repeat(rows, counts.astype(int), axis=0) for counts in weights]
        expected = [np.nanmedian(some) if np.isfinite(some).any() else np.nan for some in repeated]
        np.testing.assert_array_equal(median(rows, weights), expected)


def test_each_text_has_its_own() -> None:
    np.testing.assert_allclose(each(np.array([[-2.0, 1.0], [0.0, 0.0]])), [math.e**2, np.nan])
