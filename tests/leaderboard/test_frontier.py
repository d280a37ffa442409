"""The figures of a strength, by hand; what is held, drawn and stored; and the runs behind them."""

import math
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adapters.methods import BASE, PPLM, Attribute, UserError, parse_attribute
from benchmarks.sweeps.frontier_report import MARKS, drawing, figures_for_readme, summary, verdicts, write_readme
from benchmarks.sweeps.frontier_sweep import ALGORITHMS, TARGETS, Algorithm, Sweep, read_changes, read_targets
from leaderboard.frontier import (
    OURS,
    PAPER,
    SENTIMENT_BARS,
    TOPIC_BARS,
    UNSTEERED,
    bars,
    best,
    goals,
    longest_run,
    merged,
    point,
    read_frontier,
    unsteered,
    write_frontier,
)
from leaderboard.records import Prompt, PromptSet
from leaderboard.tables.results import Cell
from tests.leaderboard.swept import data, found, frontier

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


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
    for name in ("success", "perplexity", "distinct_1", "distinct_2", "distinct_3"):
        assert figures[name].low <= figures[name].value <= figures[name].high


def test_the_unsteered_texts_are_measured_alike() -> None:
    made = unsteered(data())
    assert (made.algorithm, made.strength) == (UNSTEERED, 0.0)
    assert made.figures["success"].value == pytest.approx((1 / 2 + 0) / 2)
    for name in ("success_gain", "perplexity", "distinct_1", "distinct_2", "distinct_3"):
        assert made.figures[name][:3] == (1, 1, 1), name
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
    assert bars(found()) == TOPIC_BARS
    assert bars(found(name="positive")) == SENTIMENT_BARS


def test_the_best_strength_holds_most_bars_then_succeeds_most() -> None:
    goal = found(2)
    weak, strong = goal.of(OURS)
    louder = replace(strong, figures=strong.figures | {"success": Cell(0.9)})
    fluent = replace(weak, figures=weak.figures | {"perplexity": Cell(1.1)})
    assert best(replace(goal, points=(goal.unsteered, weak, louder)), OURS) == louder
    assert best(replace(goal, points=(goal.unsteered, fluent, louder)), OURS) == fluent
    assert best(replace(goal, points=(goal.unsteered,)), OURS) is None


def test_topics_are_one_goal_and_each_sentiment_is_one() -> None:
    targets = read_targets("science, positive&sentiment:positive,space,negative&positive*-1")
    assert goals(targets) == {
        "topics": [("science",), ("space",)],
        "positive&sentiment:positive": [("positive", "sentiment:positive")],
        "negative&positive*-1": [("negative", "positive*-1")],
    }


@pytest.mark.parametrize("line", ["weather", "mood:glad", "science&space", "positive&negative", ""])
def test_what_nobody_judges_is_refused(line: str) -> None:
    with pytest.raises(UserError, match="Nobody judges"):
        goals(read_targets(line))


def sweep(changes: dict[str, dict[str, str]] | None = None) -> Sweep:
    prompts = PromptSet("one", (Prompt("one"),))
    return Sweep(read_targets(TARGETS), prompts, 3, ALGORITHMS, changes or {}, "")


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_every_strength_is_a_run_of_the_base_and_all_attributes(algorithm: Algorithm) -> None:
    for goal, targets in goals(read_targets(TARGETS)).items():
        for value in algorithm.values:
            spec = sweep().spec(targets, algorithm, value)
            assert spec.methods[0] == BASE
            assert spec.samples == 3
            settings = [method.steering for method in spec.methods[1:] if method.steering is not None]
            assert [s.attributes for s in settings] == [tuple(map(parse_attribute, target)) for target in targets]
            assert {getattr(s, algorithm.strength) for s in settings} == {value}
            assert {s.carry for s in settings} == {algorithm.name == PAPER}, goal


def test_the_paper_steers_as_published_whatever_the_defaults_are() -> None:
    (paper,) = [algorithm for algorithm in ALGORITHMS if algorithm.name == PAPER]
    bag, head = (paper.settings((name,), 0.02, {}) for name in ("science", "sentiment:positive"))
    assert (bag.num_iterations, bag.gamma, bag.gm_scale) == (3, 1.5, 0.99)
    assert (head.num_iterations, head.gamma, head.gm_scale) == (10, 1.0, 0.95)


def test_settings_can_be_tried() -> None:
    ours, paper = ALGORITHMS
    changed = sweep({OURS: read_changes(["num_iterations=1", "gamma=1.25", "carry=true"])})
    (method,) = changed.spec([("science",)], ours, 0.4).methods[1:]
    assert method.steering == PPLM((Attribute("science"),), strength=0.4, num_iterations=1, gamma=1.25, carry=True)
    assert changed.spec([("science",)], paper, 0.02) == sweep().spec([("science",)], paper, 0.02)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("gamma", "Cannot read the setting 'gamma'"),
        ("gamma=high", "gamma: Input should be a valid number"),
        ("speed=1", "speed: Unexpected keyword argument"),
        ("strength=1", "strength is the strength itself: give its values with --ours"),
    ],
)
def test_a_setting_that_cannot_be_is_said_in_a_line(pair: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        sweep({OURS: read_changes([pair])}).spec([("science",)], ALGORITHMS[0], 0.4)


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
    with pytest.raises(UserError, match="topics: ours was measured with other settings"):
        merged(old, frontier(other))
    with pytest.raises(UserError, match="measured otherwise"):
        merged(old, replace(old, base_hash="01"))


def test_every_point_is_drawn_and_printed() -> None:
    made = frontier(found(2), replace(found(2, "positive"), name="a < b"))
    drawn = ElementTree.fromstring(drawing(made))
    words = [element.text for element in drawn.iter(f"{SVG}text")]
    assert {"0.2", "0.4", "a < b: repetition of 4-grams"} <= set(words)
    panels = 3 * 2
    assert len(list(drawn.iter(f"{SVG}circle"))) == 2 * panels + 1, "a point, and one in the key"
    assert len(list(drawn.iter(f"{SVG}rect"))) == 2 * panels + 2, "and the ground"
    printed = summary(made)
    assert "ours 0.4" in printed
    assert "longest run of a word: 4, wanted ≤ 3: NOT held" in printed
    assert len(list(verdicts(made.goals[0], made.goals[0].points[1]))) == len(TOPIC_BARS)


def test_the_page_shows_the_figures_between_its_marks(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    content = figures_for_readme(frontier(found()), Path("docs/frontier.svg"))
    write_readme(file, content)
    assert file.read_text() == f"before\n{MARKS[0]}\n{content}\n{MARKS[1]}\nafter\n"
    assert "](docs/frontier.svg)" in content
    assert "| topics | ours 0.2 | 0.750 [" in content
    assert "![" not in figures_for_readme(frontier(found()), None)
    file.write_text("nothing")
    with pytest.raises(UserError, match="has no place for the figures"):
        write_readme(file, content)


def test_readme_shows_what_is_stored() -> None:
    """Nothing, until it was measured."""
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = page.partition(MARKS[0])[2].partition(MARKS[1])[0].strip()
    stored = read_frontier()
    assert shown == ("" if stored is None else figures_for_readme(stored, Path("docs/frontier.svg")))
    if stored is not None:
        assert (ROOT / "docs" / "frontier.svg").read_text(encoding="utf-8") == drawing(stored)
