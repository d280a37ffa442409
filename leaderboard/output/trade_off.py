"""The plot of one metric against another, as numbers to draw: for the page and for reports.

Knows figures and pixels of an SVG of WIDTH x HEIGHT; knows no colours and no markup (templates/board.html).
"""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

from leaderboard.output.looks import Look
from leaderboard.tables.display import figure, is_share
from leaderboard.tables.results import Cell, Results

WIDTH, HEIGHT = 430, 340
LEFT, RIGHT, TOP, BOTTOM = 66, 420, 10, 286
LETTER, LINE = 7, 16  # size of a name's letter
NEAR = 12  # from a point to its name
BEYOND = 1.35  # times the largest figure; longer intervals run out of the plot
TICKS = 5


class Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def shared(self, other: "Box") -> float:
        """The area that two boxes share."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(across, 0) * max(down, 0)


class Axis(NamedTuple):
    """A title with its direction, and marks: pixel and text."""

    title: str
    marks: list[tuple[float, str]]


class Dot(NamedTuple):
    """A method, its pixel, its intervals, and where its name begins."""

    place: int  # among the methods
    look: Look
    x: float
    y: float
    across: tuple[float, float]
    up: tuple[float, float]
    name_x: float
    name_y: float
    said: str


class Plot(NamedTuple):
    x: Axis
    y: Axis
    points: list[Dot]
    hint: str  # where the better methods are


class Scale(NamedTuple):
    """A linear scale from `low` at pixel `start` to `high` at pixel `end`."""

    low: float
    high: float
    start: float
    end: float

    def pixel(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return round(self.start + (inside - self.low) / (self.high - self.low) * (self.end - self.start), 1)

    def between(self, cell: Cell) -> tuple[float, float]:
        """The pixels of an interval; twice the value's without one."""
        ends = (cell.low, cell.high) if math.isfinite(cell.low) else (cell.value, cell.value)
        return self.pixel(ends[0]), self.pixel(ends[1])


def trade_off(results: Results, looks: Sequence[Look], across: str, up: str) -> Plot | None:
    """The plot of two metrics; None if no method has both."""
    if not {across, up} <= set(results.metrics):
        return None
    pairs = {name: (results.cells[across].get(name), results.cells[up].get(name)) for name in results.methods}
    known = {name: (x, y) for name, (x, y) in pairs.items() if x and y and math.isfinite(x.value + y.value)}
    if not known:
        return None
    x_scale = scale(across, [x for x, _ in known.values()], LEFT, RIGHT)
    y_scale = scale(up, [y for _, y in known.values()], BOTTOM, TOP)
    dots = {name: (x_scale.pixel(x.value), y_scale.pixel(y.value)) for name, (x, y) in known.items()}
    taken = [Box(x - 8, y - 8, x + 8, y + 8) for x, y in dots.values()]
    points = []
    for place, each in enumerate(looks):
        if each.name in known:
            x, y = known[each.name]
            spans = x_scale.between(x), y_scale.between(y)
            said = f"{each.title}: {figure(across, x.value)}, {figure(up, y.value)}"
            points.append(
                Dot(place, each, *dots[each.name], *spans, *beside(each.title, *dots[each.name], taken), said)
            )
    return Plot(axis(results, across, x_scale), axis(results, up, y_scale), points, hint(results, across, up))


def scale(metric: str, cells: Sequence[Cell], start: float, end: float) -> Scale:
    """From 0 to 1 for shares, else from 0 to a round number beyond the largest figure."""
    if is_share(metric):
        return Scale(0, 1, start, end)
    largest = max(cell.value for cell in cells) or 1
    highs = [cell.high for cell in cells if math.isfinite(cell.high)]
    most = max(largest * 1.05, min(max(highs, default=0), BEYOND * largest))
    step = nice(most / TICKS)
    return Scale(0, step * math.ceil(most / step), start, end)


def nice(rough: float) -> float:
    """1, 2, 2.5 or 5 times a power of ten, at least `rough`."""
    power = 10 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)


def axis(results: Results, metric: str, of: Scale) -> Axis:
    step = (of.high - of.low) / TICKS if is_share(metric) else nice(of.high / TICKS)
    values = [of.low + step * number for number in range(1 + round((of.high - of.low) / step))]
    passport = results.passports[metric]
    title = ", ".join(part for part in (passport.title, passport.direction) if part)
    return Axis(title, [(of.pixel(value), mark(metric, value)) for value in values])


def mark(metric: str, value: float) -> str:
    said = figure(metric, value)
    return f"{value:g}" if said.replace(".", "").replace(",", "").isdigit() else said


def beside(title: str, x: float, y: float, taken: list[Box]) -> tuple[float, float]:
    """Where a name begins: beside its point, over as little as possible; its box is taken then."""
    wide = LETTER * len(title)
    places = []
    for across, down in product((1, -1, 0), (0, -1, 1, -2, 2)):
        if (across, down) == (0, 0):
            continue
        left = x + NEAR if across > 0 else x - NEAR - wide if across < 0 else x - wide / 2
        left = min(max(left, LEFT + 2), RIGHT - wide)
        middle = y + 1.5 * NEAR * down
        places.append(Box(left, middle - LINE / 2, left + wide, middle + LINE / 2))
    inside = [box for box in places if box.top >= TOP - LINE / 2 and box.bottom <= BOTTOM + 2] or places
    best = min(inside, key=lambda box: sum(box.shared(other) for other in taken))
    taken.append(best)
    return round(best.left, 1), round(best.bottom - 4, 1)


def hint(results: Results, across: str, up: str) -> str:
    """Where the better methods are; empty if a metric has no direction."""
    x, y = (results.passports[metric].higher_is_better for metric in (across, up))
    if x is None or y is None:
        return ""
    return f"better: {'up' if y else 'down'} and {'right' if x else 'left'}"
