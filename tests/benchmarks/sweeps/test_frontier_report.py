"""A frontier as text, as a plot and in Markdown; docs/steering.md shows the stored one."""

from dataclasses import replace
from xml.etree import ElementTree

from benchmarks import pages
from benchmarks.sweeps.frontier_report import markdown, plot, summary, verdicts
from leaderboard.frontier import TOPIC_BARS, read_frontier
from tests.leaderboard.swept import found, frontier

SVG = "{http://www.w3.org/2000/svg}"


def test_every_point_is_drawn_and_printed() -> None:
    made = frontier(found(2), replace(found(2, "positive"), name="a < b"))
    drawn = ElementTree.fromstring(plot(made))
    words = [element.text for element in drawn.iter(f"{SVG}text")]
    assert {"0.2", "0.4", "a < b", "likeness to the prompt, × base"} <= set(words)
    plots = 3 * 2
    markers = [element.get("style", "") for element in drawn.iter(f"{SVG}use")]
    assert sum("fill: #d55e00" in style for style in markers) == 2 * plots + 1, "two points, and one in the key"
    assert sum("fill: #ffffff; stroke: #aa4499" in style for style in markers) == 2 * plots + 1
    printed = summary(made)
    assert "PPLM 0.4" in printed
    assert "longest run of one word: 4, wanted ≤ 3: NOT held" in printed
    assert len(list(verdicts(made.goals[0], made.goals[0].points[1]))) == len(TOPIC_BARS)


def test_markdown_names_the_picture_the_figures_and_the_commands() -> None:
    made = frontier(found())
    content = markdown(made, "frontier.svg")
    assert "](frontier.svg)" in content
    assert "| topics | PPLM 0.2 | 0.750 |" in content
    assert f"\n    {made.commands[0]}" in content
    assert "![" not in markdown(made, "")


def test_the_docs_show_what_is_stored() -> None:
    stored = read_frontier()
    assert stored is not None
    _, shown, _ = pages.part((pages.DOCS / "steering.md").read_text("utf-8"), "frontier")
    assert shown == markdown(stored, "frontier.svg") + "\n"
    assert (pages.DOCS / "frontier.svg").read_text("utf-8") == plot(stored)
