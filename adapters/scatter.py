"""Points with intervals on both axes -> places in a drawing, for a template to draw as SVG.

Knows numbers; knows nothing of methods or colours. The axes span all intervals, with round ticks at both ends.
"""

import math
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

WIDTH, HEIGHT = 640.0, 360.0  # of the drawing
LEFT, RIGHT, TOP, BOTTOM = 56.0, 16.0, 12.0, 48.0  # margins for the labels
TICKS = 6  # at most about as many on each axis


class Dot(NamedTuple):
    """A point: its label and name, classes of a style sheet, and (value, low, high) on each axis; NaN: no interval."""

    label: str
    name: str
    kinds: str
    across: tuple[float, float, float]
    up: tuple[float, float, float]


class Tick(NamedTuple):
    """A mark on an axis: where, and what it says."""

    place: float
    label: str


class Mark(NamedTuple):
    """A point in the drawing, with the ends of its intervals."""

    dot: Dot
    x: float
    y: float
    x_ends: tuple[float, float]
    y_ends: tuple[float, float]


Limits = tuple[float | None, float | None]  # lines to draw across the drawing and up; None: no line


class Scatter(NamedTuple):
    """Everything to draw."""

    width: float
    height: float
    left: float
    right: float  # edges of the plotting area
    top: float
    bottom: float
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    marks: list[Mark]
    x_limit: float | None
    y_limit: float | None


def scatter(dots: Sequence[Dot], size: tuple[float, float] = (WIDTH, HEIGHT), limits: Limits = (None, None)) -> Scatter:
    """The drawing of at least one point, with a line at each of the limits."""
    (full_width, full_height), (x_limit, y_limit) = size, limits
    x_ends, y_ends = [ends(dot.across) for dot in dots], [ends(dot.up) for dot in dots]
    x_ticks = ticks([*(dot.across[0] for dot in dots), *chain(*x_ends), *given(x_limit)])
    y_ticks = ticks([*(dot.up[0] for dot in dots), *chain(*y_ends), *given(y_limit)])
    width, bottom = full_width - RIGHT - LEFT, full_height - BOTTOM

    def x(value: float) -> float:
        return round(LEFT + (value - x_ticks[0]) / (x_ticks[-1] - x_ticks[0]) * width, 1)

    def y(value: float) -> float:
        return round(bottom - (value - y_ticks[0]) / (y_ticks[-1] - y_ticks[0]) * (bottom - TOP), 1)

    marks = [
        Mark(dot, x(dot.across[0]), y(dot.up[0]), (x(left), x(right)), (y(low), y(high)))
        for dot, (left, right), (low, high) in zip(dots, x_ends, y_ends, strict=True)
    ]
    x_marks, y_marks = [Tick(x(v), label(v)) for v in x_ticks], [Tick(y(v), label(v)) for v in y_ticks]
    lines = None if x_limit is None else x(x_limit), None if y_limit is None else y(y_limit)
    return Scatter(full_width, full_height, LEFT, LEFT + width, TOP, bottom, x_marks, y_marks, marks, *lines)


def given(limit: float | None) -> list[float]:
    return [] if limit is None else [limit]


def ends(axis: tuple[float, float, float]) -> tuple[float, float]:
    """The interval of a point; the point itself where it has none."""
    value, low, high = axis
    return (low, high) if math.isfinite(low) and math.isfinite(high) else (value, value)


def ticks(values: Sequence[float]) -> list[float]:
    """Round numbers from below all values to above them, by steps of 1, 2 or 5 times a power of ten."""
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power * TICKS >= span)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [place * step for place in range(first, max(last, first + 1) + 1)]


def label(value: float) -> str:
    """A tick's number, free of the noise of floating point."""
    return f"{float(f'{value:.10g}'):,g}" if abs(value) < 1e6 else f"{value:.3g}"
