"""Points of a frontier by hand; the best of them; and stored frontiers joined."""

import math
from dataclasses import replace

import pytest

from adapters.methods import UserError
from benchmarks.sweeps.frontier_points import goals, longest_run, merged, point, unsteered
from benchmarks.sweeps.frontier_sweep import read_targets
from leaderboard.frontier import OURS, PAPER, TOPIC_BARS, UNSTEERED
from leaderboard.judges import embed
from leaderboard.tables.results import Cell
from tests.leaderboard.swept import data, found, frontier


def test_a_point_by_hand() -> None:
    made = point(data(), OURS, 0.4)
    assert (made.algorithm, made.strength) == (OURS, 0.4)
    figures = made.figures
    assert figures["success"].value == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert figures["success_gain"].value == pytest.approx(0.75 / 0.25)
    e = math.e
    assert figures["perplexity"].value == pytest.approx((e**2 / e + e**1.5 / e) / 2)
    assert figures["distinct_1"].value == pytest.approx((8 / 8 / (4 / 8) + 2 / 8 / (4 / 8)) / 2)
    assert figures["longest_run"].value == 4
    assert figures["long_runs"].value == 1 / 4
    assert {name: cell.value for name, cell in made.success_of.items()} == {"science": 1.0, "space": 0.5}
    near = {text: float(embed([text])[0] @ embed(["one"])[0]) for text in ("a b c d", "e f g h", "a a a a")}
    near |= {text: float(embed([text])[0] @ embed(["two"])[0]) for text in ("i j k l", "a b a b")}
    base = (near["a b c d"] + float(embed(["a b c d"])[0] @ embed(["two"])[0])) / 2
    steered = sum(near[text] for text in ("e f g h", "i j k l", "a a a a", "a b a b")) / 4
    assert figures["likeness"].value == pytest.approx(steered / base, rel=1e-4)
    assert math.isnan(figures["success"].low), "two prompts say nothing about others"


def test_the_unsteered_texts_are_measured_alike() -> None:
    made = unsteered(data())
    assert (made.algorithm, made.strength) == (UNSTEERED, 0.0)
    assert made.figures["success"].value == pytest.approx((1 / 2 + 0) / 2)
    for name in ("success_gain", "perplexity", "distinct_1", "distinct_2", "distinct_3"):
        assert made.figures[name].value == 1, name
    assert made.figures["longest_run"].value == 1
    assert made.figures["long_runs"].value == 0
    assert {name: cell.value for name, cell in made.success_of.items()} == {"science": 0.5, "space": 0.0}


def test_a_method_without_a_text_has_no_figures_and_stops_nothing() -> None:
    given = data()
    without = given._replace(
        samples=tuple(s._replace(finish_reason="diverged") if s.method == 2 else s for s in given.samples)
    )
    made = point(without, PAPER, 0.05)
    assert math.isnan(made.figures["perplexity"].value)
    assert not any(bar.held(made) for bar in TOPIC_BARS if bar.figure != "longest_run")


def test_a_run_is_of_the_same_word_whatever_its_case_and_marks() -> None:
    assert longest_run("They are very, very, very, very good") == 4
    assert longest_run("no. No! (no)\nyes - yes") == 3
    assert longest_run("1. 1. 2") == 2
    assert longest_run("... ... ...") == 0


def test_the_best_strength_holds_most_bars_then_succeeds_most() -> None:
    goal = found(2)
    weak, strong = goal.of(OURS)
    louder = replace(strong, figures=strong.figures | {"success": Cell(0.9)})
    fluent = replace(weak, figures=weak.figures | {"perplexity": Cell(1.1)})
    assert replace(goal, points=(goal.unsteered, weak, louder)).best(OURS) == louder
    assert replace(goal, points=(goal.unsteered, fluent, louder)).best(OURS) == fluent
    assert replace(goal, points=(goal.unsteered,)).best(OURS) is None


def test_topics_are_one_goal_and_each_sentiment_is_one() -> None:
    targets = read_targets("science, positive&sentiment:positive,space,negative&positive*-1")
    assert goals(targets) == {
        "topics": [("science",), ("space",)],
        "positive&sentiment:positive": [("positive", "sentiment:positive")],
        "negative&positive*-1": [("negative", "positive*-1")],
    }


@pytest.mark.parametrize("line", ["weather", "mood:glad", "science&space", "positive&negative", ""])
def test_what_nobody_judges_is_refused(line: str) -> None:
    with pytest.raises(UserError, match="No judge for"):
        goals(read_targets(line))


def test_what_was_measured_before_stays_beside_what_is_new() -> None:
    topics, sentiment = found(2), found(name="positive")
    older = replace(frontier(topics), commands=("first",))
    (weak, strong) = topics.of(OURS)
    again = replace(strong, figures=strong.figures | {"success": Cell(0.9)})
    stronger = replace(strong, strength=0.8)
    more = replace(topics, points=(replace(topics.unsteered, samples=3), stronger, again))
    both = merged(older, replace(frontier(more, sentiment), commands=("second",)))
    assert both.commands == ("first", "second")
    assert [goal.name for goal in both.goals] == ["topics", "positive"]
    assert both.goals[0].of(OURS) == [weak, again, stronger]
    assert both.goals[0].of(PAPER) == topics.of(PAPER)
    assert both.goals[0].unsteered.samples == 3
    assert both.goals[1] == sentiment


def test_what_was_measured_otherwise_cannot_stand_beside_it() -> None:
    old, other = frontier(found()), replace(found(), settings={OURS: {"num_iterations": 2}})
    with pytest.raises(UserError, match="has topics by ours with other settings"):
        merged(old, frontier(other))
    with pytest.raises(UserError, match="another model, prompts, sampling or seed"):
        merged(old, replace(old, base_hash="01"))
