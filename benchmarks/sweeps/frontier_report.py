"""A frontier to read: tables and limits as text, a plot, and Markdown for docs/steering.md."""

from collections.abc import Callable, Iterator, Mapping
from math import isfinite
from typing import Any

import pandas as pd
from matplotlib.axes import Axes

from benchmarks import drawing
from benchmarks.pages import table
from leaderboard.frontier import (
    ASK,
    BEST,
    OURS,
    PAPER,
    PUSH,
    TITLES,
    UNSTEERED,
    VECTOR,
    WAYS,
    Frontier,
    Goal,
    Point,
)
from leaderboard.output.looks import KINDS
from leaderboard.tables.display import with_interval
from leaderboard.tables.results import Cell

ACROSS = ("perplexity", "distinct_1", "likeness")  # plotted against texts on topic
PICTURE = "Texts on topic against perplexity, distinct-1 and likeness to the prompt, by each way of steering"
IN_MARKDOWN = ("success", "perplexity", "distinct_1", "likeness", "longest_run", "long_runs")
LOOKS: dict[str, tuple[str, bool, tuple[int, int]]] = {  # marker, whether it is filled, offset of the labels in points
    UNSTEERED: ("D", True, (6, -11)),
    OURS: ("o", True, (-14, 4)),
    PAPER: ("s", False, (5, -11)),
    PUSH: ("^", True, (5, 4)),
    ASK: ("v", True, (5, -11)),
    BEST: ("P", False, (-14, -11)),
    VECTOR: ("X", True, (5, 4)),
}
PAPER_COLOR = "#aa4499"
LIMIT: dict[str, Any] = {"color": drawing.INK, "linestyle": "--", "linewidth": 0.8}


def called(point: Point) -> str:
    """An algorithm with its strength."""
    name = WAYS[point.algorithm].title
    return name if point.algorithm == UNSTEERED else f"{name} {point.strength:g}"


def written(name: str, cell: Cell) -> str:
    """A figure with its interval; `longest_run` is a whole number without one."""
    return f"{cell.value:.0f}" if name == "longest_run" else with_interval(cell)


def points_table(goal: Goal, heads: Mapping[str, str], cells: Callable[[Point], Mapping[str, Cell]]) -> str:
    """A row for each point, a column for each of `heads` (name -> heading), as text."""
    rows = {called(p): {heads[n]: written(n, cell) for n, cell in cells(p).items()} for p in goal.points}
    return pd.DataFrame.from_dict(rows, orient="index").to_string()


def verdicts(goal: Goal, point: Point) -> Iterator[str]:
    """A line for each limit: the figure, the limit, and whether it is kept."""
    for bar in goal.bars:
        figure = written(bar.figure, point.figure(bar.figure))
        yield f"{TITLES[bar.figure]}: {figure}, wanted {bar.sign}: {'held' if bar.held(point) else 'NOT held'}"


def summary(frontier: Frontier) -> str:
    """All tables, and the limits for the best strength of each algorithm."""
    parts = []
    for goal in frontier.goals:
        parts.append(f"{goal.name}\n{points_table(goal, TITLES, lambda point: point.figures)}")
        if len(goal.attributes) > 1:
            names = {name: name for name in goal.unsteered.success_of}
            parts.append(f"success by attribute\n{points_table(goal, names, lambda point: point.success_of)}")
        for found in (goal.best(algorithm) for algorithm in WAYS if algorithm != UNSTEERED):
            if found is not None:
                parts.append("\n  ".join([f"{goal.name}, {called(found)}", *verdicts(goal, found)]))
    return "\n\n".join(parts)


def measured_on(frontier: Frontier) -> str:
    """Prompts, texts and model, in a sentence."""
    counts = sorted({point.samples for goal in frontier.goals for point in goal.points})
    texts = f"{' or '.join(map(str, counts))} texts of {frontier.sampling.max_new_tokens} tokens for each"
    return f"{frontier.prompts}: {frontier.num_prompts} prompts, {texts}; {frontier.base}."


def plot(frontier: Frontier) -> str:
    """An SVG with a row of plots for each goal, on a ground of its own so that it reads on any page."""
    figure = drawing.blank(11, 3.2 * len(frontier.goals) + 0.9, "#fbfbfc")
    grid = figure.subplots(len(frontier.goals), len(ACROSS), sharey=True, squeeze=False)
    for goal, row in zip(frontier.goals, grid, strict=True):
        row[0].set(ylabel=TITLES["success"], ylim=(0, 1.04))
        for name, axes in zip(ACROSS, row, strict=True):
            draw(axes, goal, name)
    keys = {
        label: handle for each in figure.axes for handle, label in zip(*each.get_legend_handles_labels(), strict=True)
    }
    figure.legend(keys.values(), keys.keys(), loc="outside upper left", ncols=len(LOOKS))
    below = f"{measured_on(frontier)} Bars: 95 % intervals over prompts. Dashes: goals."
    figure.supxlabel(below, x=0.01, ha="left", size="medium")
    return drawing.svg(figure, PICTURE)


def draw(axes: Axes, goal: Goal, across: str) -> None:
    """Success against one figure; dashed lines are the limits. Points without a figure are left out."""
    axes.set(title=goal.name, xlabel=TITLES[across])
    for algorithm, (marker, filled, offset) in LOOKS.items():
        label = ", by ".join(filter(None, WAYS[algorithm][:2]))
        color = PAPER_COLOR if algorithm == PAPER else KINDS[WAYS[algorithm].kind].colors[0]
        shown = [p for p in goal.of(algorithm) if all(isfinite(p.figure(n).value) for n in (across, "success"))]
        if shown:
            x, y = ([point.figure(name) for point in shown] for name in (across, "success"))
            drawing.points(axes, x, y, color=color, marker=marker, mfc=color if filled else "white", label=label)
        for point in shown if algorithm != UNSTEERED else ():
            place = point.figure(across).value, point.figure("success").value
            axes.annotate(f"{point.strength:g}", place, offset, textcoords="offset points", color=color, size="small")
    for bar in goal.bars:
        if bar.figure == across:
            axes.axvline(bar.limit, **LIMIT)
    axes.axhline(goal.success_limit, **LIMIT)


def markdown(frontier: Frontier, picture: str) -> str:
    """The plot, the best strength of each algorithm, and the commands; no plot if `picture` is empty."""
    rows = [
        [goal.name, called(point), *(written(name, point.figure(name)) for name in IN_MARKDOWN), tally(goal, point)]
        for goal in frontier.goals
        for point in (goal.unsteered, *(goal.best(way) for way in WAYS if way != UNSTEERED))
        if point is not None
    ]
    return "\n\n".join(
        [
            *([f"![{PICTURE}]({picture})"] if picture else []),
            table(["steered to", "by", *(TITLES[name] for name in IN_MARKDOWN), "goals held"], rows),
            f"{measured_on(frontier)} Of each algorithm, the strength that holds most goals. Measured with",
            "\n".join(f"    {command}" for command in frontier.commands),
        ]
    )


def tally(goal: Goal, point: Point) -> str:
    """The number of limits a steered point keeps."""
    kept = [bar.held(point) for bar in goal.bars]
    return "–" if point.algorithm == UNSTEERED else f"{sum(kept)} of {len(kept)}"
