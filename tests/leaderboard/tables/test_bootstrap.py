"""Intervals hold what they promise: on simulated prompts they cover the truth about 95 times of 100."""

import numpy as np
import pytest

from leaderboard.metrics.metric import ratio
from leaderboard.metrics.passport import Array
from leaderboard.tables.bootstrap import NONE, RESAMPLES, enough, interval, weights
from leaderboard.tables.results import Cell

SETS, PROMPTS, TRUTH = 600, 60, 0.3


def simulated(random: np.random.Generator, share: float = TRUTH) -> Array:
    """Successes and tries of prompts that differ: a prompt's own chance is a beta around the share."""
    tries = random.integers(1, 6, PROMPTS)
    chance = random.beta(6 * share, 6 * (1 - share), PROMPTS)
    return np.column_stack([random.binomial(tries, chance), tries]).astype(float)


def test_weights_draw_as_many_prompts_as_there_are_and_always_the_same() -> None:
    drawn = weights(7)
    assert drawn.shape == (1 + RESAMPLES, 7)
    assert (drawn[0] == 1).all()
    assert (drawn.sum(1) == 7).all()
    assert drawn[1:].mean(0) == pytest.approx(np.ones(7), abs=0.1)
    weights.cache_clear()
    assert np.array_equal(weights(7), drawn)


def test_the_interval_covers_the_truth_about_95_times_of_100() -> None:
    random, drawn = np.random.default_rng(1), weights(PROMPTS)
    found = [interval(ratio(simulated(random), drawn[1:])) for _ in range(SETS)]
    covered = sum(low <= TRUTH <= high for low, high in found) / SETS
    assert 0.92 <= covered <= 0.97


def test_a_paired_interval_covers_the_difference_and_is_narrower_than_two_apart() -> None:
    """Two methods on the same prompts, which are hard or easy for both; the second is better by .1 everywhere."""
    random, drawn = np.random.default_rng(2), weights(PROMPTS)
    covered, paired, apart = 0, [], []
    for _ in range(SETS):
        easy = random.uniform(0, 0.8, PROMPTS)
        one, two = (
            np.column_stack([easy + shift + random.normal(0, 0.05, PROMPTS), np.ones(PROMPTS)]) for shift in (0, 0.1)
        )
        resampled = [ratio(rows, drawn[1:]) for rows in (one, two)]
        difference = interval(resampled[1] - resampled[0])
        covered += difference.low <= 0.1 <= difference.high
        paired.append(difference.high - difference.low)
        apart.append(sum(high - low for low, high in map(interval, resampled)))
    assert 0.92 <= covered / SETS <= 0.97
    assert np.mean(paired) < 0.2 * np.mean(apart)


def test_an_interval_is_the_middle_of_what_there_is() -> None:
    assert interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))
    assert interval(np.array([np.nan, 1.0, np.inf, 1.0])) == (1, 1)
    assert np.isnan(interval(np.array([np.nan]))).all()


@pytest.mark.parametrize(("ends", "tie"), [((-1, 1), True), ((0, 0), True), ((0.1, 1), False), (NONE, False)])
def test_only_a_difference_whose_interval_covers_zero_is_a_tie(ends: tuple[float, float], tie: bool) -> None:
    assert Cell(1, 0, 2, 0, *ends).tie is tie


def test_one_prompt_says_nothing_about_others() -> None:
    assert enough(np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert not enough(np.array([[0.0, 1.0], [0.0, 0.0], [np.nan, np.nan]]))
    assert not enough(np.empty((0, 2)))
