"""What a sweep has found, to read: a table, which bars are held, a drawing, and the figures in README.

Knows a Frontier; knows nothing of runs. The drawing has its own light ground, so that it reads on any page, and tells
the algorithms apart by their marks too.
"""

from collections.abc import Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from adapters.methods import UserError
from adapters.scatter import Dot, Scatter, scatter
from leaderboard.frontier import OURS, PAPER, TITLES, UNSTEERED, Bar, Frontier, Goal, Point, bars, best, success_limit
from leaderboard.output.report import render
from leaderboard.tables.display import with_interval
from leaderboard.tables.results import Cell

ACROSS = ("perplexity", "distinct_2", "repetition")  # what success is drawn against
PANEL = (340.0, 300.0)
NAMES = {UNSTEERED: "unsteered", OURS: "ours, by nats a word", PAPER: "the paper's algorithm, by step size"}
MARKS = ("<!-- frontier -->", "<!-- /frontier -->")
PICTURE = "Success against perplexity, distinct-2 and repetition, by both algorithms"
IN_README = ("success", "success_gain", "perplexity", "distinct_2", "repetition", "longest_run", "long_runs")


class Panel(NamedTuple):
    """One figure against success, for one goal."""

    plot: Scatter
    title: str
    x: float
    y: float


def called(point: Point) -> str:
    """An algorithm with its strength."""
    return point.algorithm if point.algorithm == UNSTEERED else f"{point.algorithm} {point.strength:g}"


def written(name: str, cell: Cell) -> str:
    """A figure with its interval; a run of words is a whole number."""
    return f"{cell.value:.0f}" if name == "longest_run" else with_interval(cell)


def table(goal: Goal) -> pd.DataFrame:
    """A row a point, with intervals as text."""
    rows = {called(p): {TITLES[name]: written(name, cell) for name, cell in p.figures.items()} for p in goal.points}
    return pd.DataFrame.from_dict(rows, orient="index")


def success_table(goal: Goal) -> pd.DataFrame:
    """A row a point, a column an attribute."""
    rows = {called(p): {name: with_interval(cell) for name, cell in p.success_of.items()} for p in goal.points}
    return pd.DataFrame.from_dict(rows, orient="index")


def verdicts(goal: Goal, point: Point) -> Iterator[str]:
    """A line for each bar: what was found, what was wanted, and whether it is held."""
    for bar in bars(goal):
        said = written(bar.figure, point.figures[bar.figure])
        yield f"{TITLES[bar.figure]}: {said}, wanted {bar.sign}: {'held' if bar.held(point) else 'NOT held'}"


def summary(frontier: Frontier) -> str:
    """Every table, and for the best strength of each algorithm a line for each bar."""
    parts = []
    for goal in frontier.goals:
        parts.append(f"{goal.name}\n{table(goal).to_string()}")
        if len(goal.attributes) > 1:
            parts.append(f"success by attribute\n{success_table(goal).to_string()}")
        for found in (best(goal, algorithm) for algorithm in (OURS, PAPER)):
            if found is not None:
                parts.append("\n  ".join([f"{goal.name}, {called(found)}", *verdicts(goal, found)]))
    return "\n\n".join(parts)


def made_on(frontier: Frontier) -> str:
    """What the figures are of, in a line."""
    counts = sorted({point.samples for goal in frontier.goals for point in goal.points})
    texts = f"{' or '.join(map(str, counts))} texts of {frontier.sampling.max_new_tokens} tokens for each"
    return (
        f"{frontier.prompts}: {frontier.num_prompts} prompts, {texts}; {frontier.base}. "
        "Bars are 95 % intervals over prompts, dashes are the goals."
    )


def drawing(frontier: Frontier) -> str:
    """An SVG with a row of panels for each goal."""
    panels = [
        Panel(panel(goal, name), f"{goal.name}: {TITLES[name]}", column * PANEL[0], row * PANEL[1])
        for row, goal in enumerate(frontier.goals)
        for column, name in enumerate(ACROSS)
        if placed(goal, name)
    ]
    size = PANEL[0] * len(ACROSS), PANEL[1] * len(frontier.goals)
    return render("frontier.svg", panels=panels, names=NAMES, size=size, below=made_on(frontier))


def placed(goal: Goal, across: str) -> list[Point]:
    """The points that have both figures: texts of a few words have no repetition, those that diverged no perplexity."""
    return [p for p in goal.points if isfinite(p.figures[across].value) and isfinite(p.figures["success"].value)]


def panel(goal: Goal, across: str) -> Scatter:
    """Success against one figure; the limits that the bars set are lines."""
    dots = [
        Dot(f"{p.strength:g}", p.algorithm, p.algorithm, p.figures[across][:3], p.figures["success"][:3])
        for p in placed(goal, across)
    ]
    limits = {bar.figure: bar.limit for bar in bars(goal)}
    return scatter(dots, PANEL, (limits.get(across), success_limit(goal)))


def figures_for_readme(frontier: Frontier, picture: Path | None) -> str:
    """The drawing, where there is one, and the best strength of each algorithm, as Markdown."""
    lines = [f"![{PICTURE}]({picture.as_posix()})", ""] if picture is not None else []
    lines += [f"| steered to | by | {' | '.join(TITLES[name] for name in IN_README)} | goals held |"]
    lines += ["| --- " * (len(IN_README) + 3) + "|"]
    for goal in frontier.goals:
        for point in (goal.unsteered, best(goal, OURS), best(goal, PAPER)):
            if point is not None:
                lines.append(f"| {goal.name} | {called(point)} | {readme_figures(point)} | {tally(goal, point)} |")
    lines += [
        "",
        f"{made_on(frontier)} Of each algorithm the strength that holds most of the goals.",
        "",
        *(f"    {command}" for command in frontier.commands),
    ]
    return "\n".join(lines)


def readme_figures(point: Point) -> str:
    return " | ".join(written(name, point.figures[name]) for name in IN_README)


def tally(goal: Goal, point: Point) -> str:
    """How many of the bars a point holds; of the unsteered texts nothing is wanted."""
    wanted: Sequence[Bar] = bars(goal)
    return "–" if point.algorithm == UNSTEERED else f"{sum(bar.held(point) for bar in wanted)} of {len(wanted)}"


def write_readme(file: Path, content: str) -> None:
    """Puts Markdown between the two marks of a page. Raises UserError where they are missing."""
    page = file.read_text(encoding="utf-8")
    before, mark, rest = page.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (mark and end):
        raise UserError(f"{file} has no place for the figures: add {MARKS[0]} and {MARKS[1]}.")
    file.write_text(f"{before}{mark}\n{content}\n{end}{after}", encoding="utf-8")
