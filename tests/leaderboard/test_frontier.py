"""The limits of a frontier, and its file."""

from dataclasses import replace
from pathlib import Path

import pytest

from adapters.methods import UserError
from benchmarks.sweeps.frontier_points import unsteered, write_frontier
from leaderboard.frontier import SENTIMENT_BARS, TOPIC_BARS, read_frontier
from leaderboard.tables.results import Cell
from tests.leaderboard.swept import data, found, frontier


def test_bars_are_limits_of_the_figure_itself() -> None:
    held = replace(
        unsteered(data()),
        figures={
            "success": Cell(0.8),
            "success_gain": Cell(4.0),
            "perplexity": Cell(1.5),
            **{f"distinct_{n}": Cell(0.95) for n in (1, 2, 3)},
            "longest_run": Cell(3.0),
        },
    )
    for some in (TOPIC_BARS, SENTIMENT_BARS):
        assert all(bar.held(held) for bar in some)
        for bar in some:
            beyond = held.figures[bar.figure].value + (-0.01 if bar.at_least else 0.01)
            missed = replace(held, figures=held.figures | {bar.figure: Cell(beyond)})
            assert not bar.held(missed), bar
            assert [each.held(missed) for each in some].count(False) == 1
    assert found().bars == TOPIC_BARS
    assert found(name="positive").bars == SENTIMENT_BARS


def test_the_wanted_success_is_a_share_or_a_multiple_of_the_unsteered_one() -> None:
    assert found(name="positive").success_limit == 0.8
    assert found().success_limit == pytest.approx(4 * 0.25)  # one of four unsteered texts shows its attribute


def test_what_is_stored_is_read_again(tmp_path: Path) -> None:
    made = frontier(found(2), found(name="positive"))
    file = tmp_path / "frontier.json"
    assert read_frontier(file) is None
    write_frontier(made, file)
    read = read_frontier(file)
    assert read is not None
    assert repr(read) == repr(made), "NaN is not equal to itself"
    file.write_text("{")
    with pytest.raises(UserError, match="not JSON"):
        read_frontier(file)
    file.write_text("{}")
    with pytest.raises(UserError, match="commands: "):
        read_frontier(file)
