"""Intervals hold what they promise: on simulated prompts they cover the truth about 95 times of 100."""

import numpy as np
import pytest

from leaderboard.metrics.metric import ratio
from leaderboard.metrics.passport import Array
from leaderboard.tables.bootstrap import (
    FEWEST,
    NONE,
    PLAIN,
    RESAMPLES,
    gaps,
    interval,
    reach,
    share_interval,
    simultaneous,
    weights,
)
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


def test_a_reach_is_students_t_of_the_standard_error() -> None:
    """t of .975 with 4, 23 and 99 degrees of freedom is 2.776, 2.069, 1.984 (any table)."""
    for num_prompts, t in ((5, 2.776), (24, 2.069), (100, 1.984)):
        assert reach(PLAIN, num_prompts) == pytest.approx(t * np.sqrt(num_prompts / (num_prompts - 1)), abs=1e-3)


def test_percentiles_are_expanded_for_few_prompts() -> None:
    drawn = np.arange(100_001) / 100_000
    assert interval(drawn, 1_000_000) == pytest.approx((0.025, 0.975), abs=1e-4)
    assert interval(drawn, 5) == pytest.approx((0.00096, 0.99904), abs=1e-4)  # Phi(-2.776 sqrt(5 / 4))
    assert interval(np.array([np.nan, 1.0, np.inf, 1.0]), 5) == (1, 1)
    assert np.isnan(interval(np.array([np.nan]), 5)).all()
    assert np.isnan(interval(drawn, FEWEST - 1)).all()


def test_a_share_is_wilsons_with_the_verdicts_that_vary_by_themselves() -> None:
    """Wilson's 95 % interval of 9 of 10 is .596 to .982, of 10 of 10 it is .722 to 1 (Newcombe 1998)."""
    alone = np.array([0.9 + sign * np.sqrt(0.9 * 0.1 / 10 * 9 / 10) for sign in (-1, 1)])  # the variance of 10 verdicts
    assert share_interval(0.9, alone, 10, 10) == pytest.approx((0.596, 0.982), abs=1e-3)
    assert share_interval(1.0, np.ones(9), 10, 10) == pytest.approx((0.722, 1), abs=1e-3)
    assert share_interval(1.0, np.ones(9), 10, 30) == share_interval(1.0, np.ones(9), 10, 10), "alike: one a prompt"
    assert share_interval(0.9, alone, 10, 30) == pytest.approx(share_interval(0.9, alone, 10, 10))
    assert share_interval(1.0, np.ones(9), FEWEST - 1, 4) == NONE


def test_the_interval_of_a_share_covers_the_truth_about_95_times_of_100() -> None:
    random, drawn, covered = np.random.default_rng(1), weights(PROMPTS), 0
    for _ in range(SETS):
        rows = simulated(random)
        found = ratio(rows, drawn)
        low, high = share_interval(float(found[0]), found[1:], PROMPTS, float(rows[:, 1].sum()))
        covered += low <= TRUTH <= high
    assert 0.92 <= covered / SETS <= 0.98


def test_a_paired_interval_covers_the_difference_and_is_narrower_than_two_apart() -> None:
    """Two methods on the same prompts, which are hard or easy for both; the second is better by .1 everywhere."""
    random, drawn = np.random.default_rng(2), weights(PROMPTS)
    counted, none = np.full(2, PROMPTS), np.full(2, np.nan)
    covered, paired, apart = 0, [], []
    for _ in range(SETS):
        easy = random.uniform(0, 0.8, PROMPTS)
        one, two = (
            np.column_stack([easy + shift + random.normal(0, 0.05, PROMPTS), np.ones(PROMPTS)]) for shift in (0, 0.1)
        )
        values = np.stack([ratio(rows, drawn) for rows in (one, two)])
        found = gaps(values, counted, none)
        half = found.reach(PLAIN)[1, 0]
        covered += abs(found.values[1, 0] - 0.1) <= half
        paired.append(2 * half)
        apart.append(sum(high - low for low, high in (interval(each[1:], PROMPTS) for each in values)))
    assert 0.92 <= covered / SETS <= 0.97
    assert np.mean(paired) < 0.2 * np.mean(apart)


def test_a_difference_of_shares_has_a_width_where_every_prompt_says_the_same() -> None:
    values = np.repeat([[0.0], [1.0], [np.nan]], 1 + RESAMPLES, axis=1)
    found = gaps(values, np.full(3, 10), np.array([10.0, 20.0, 10.0]))
    assert found.errors[1, 0] == 1 / 12, "half a pair of each kind beside ten"
    assert np.isnan(found.errors[2]).all(), "no figure"
    assert np.isnan(gaps(values, np.array([10, FEWEST - 1, 10]), np.full(3, 10.0)).errors[1, 0])


def test_one_bound_holds_for_all_columns_together() -> None:
    """Of independent normal deviations, all stay within the quantile of Sidak: 3.02 for 20 differences."""
    random = np.random.default_rng(3)
    drawn = np.abs(random.normal(size=(20, 200_000))).max(axis=0)
    assert simultaneous([drawn]) == pytest.approx(3.02, abs=0.02)
    assert simultaneous([drawn, drawn]) == simultaneous([drawn]), "the same column twice is no second chance"
    assert simultaneous([]) == PLAIN


@pytest.mark.parametrize(
    ("difference", "bound", "tie", "clear"),
    [(-1, 1, True, False), (0, 0, True, False), (1.1, 1, False, True), (-2, 1, False, True), (1, np.nan, False, False)],
)
def test_only_a_difference_beyond_the_bound_is_clear(difference: float, bound: float, tie: bool, clear: bool) -> None:
    cell = Cell(1, 0, 2, difference, -9, 9, bound)
    assert (cell.tie, cell.clear) == (tie, clear)
