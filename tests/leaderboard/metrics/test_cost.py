"""Costs and attribute success by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from leaderboard.metrics.attribute import columns as attribute_columns
from leaderboard.metrics.cost import columns
from leaderboard.metrics.metric import Costs, figure, plain
from tests.leaderboard.made_up import SETTING
from tests.leaderboard.metrics.by_hand import attribute_success_of, relative_speed_of


def test_speed_is_that_of_all_batches_together_relative_to_the_base() -> None:
    """300 tokens in 6 s against 400 in 4 s: half as fast, whatever the batches."""
    assert relative_speed_of([100, 200], [1, 5], [400, 0], [4, 0]) == pytest.approx(0.5)
    assert math.isnan(relative_speed_of([100], [1], [0], [0]))
    assert math.isnan(relative_speed_of([100], [1], [0], [1]))
    assert math.isnan(relative_speed_of([0], [0], [100], [1]))


def test_what_was_not_measured_is_missing_and_what_costs_nothing_is_zero() -> None:
    costs = Costs(np.zeros((2, 2)), np.ones((2, 2)), 0, 0, math.nan)
    for seen in (costs, None):
        texts = replace(plain(["a", "b"]), costs=seen)
        speed, parameters, disk, memory = columns(SETTING)
        values = [figure(metric.value, metric.rows(texts)) for metric in (speed, parameters, disk, memory)]
        expected = [math.nan, 0, 0, math.nan] if seen else [math.nan] * 4
        np.testing.assert_array_equal(values, expected)


def test_success_is_a_share_of_what_was_judged() -> None:
    assert attribute_success_of([True, False, True, True]) == 0.75
    assert math.isnan(attribute_success_of([]))
    verdicts = np.array([[1, 1], [0, 1], [0, 0]], dtype=float)
    texts = replace(plain(["a", "b", "c"]), tallies={"attribute:science": verdicts})
    science, military, space = attribute_columns(SETTING)
    assert figure(science.value, science.rows(texts)) == 0.5
    assert math.isnan(figure(military.value, military.rows(texts)))
    assert [m.passport.higher_is_better for m in (science, military, space)] == [True, False, None]
    assert space.passport.direction is None
    assert science.passport.judge is not None
    assert science.passport.judge.startswith("all-MiniLM-L6-v2")
