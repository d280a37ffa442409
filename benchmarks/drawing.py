"""Plots for files: matplotlib figures as SVG text. (The page draws its own plots with plotly.)"""

import io
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK = "#1f2430"
FAMILY = "'DejaVu Sans', sans-serif"
STYLE = Path(__file__).with_name("drawing.mplstyle")
Interval = Sequence[float]  # value, low, high; NaN where there is no interval


def blank(width: float, height: float, ground: str = "none") -> Figure:
    """A figure without axes; sizes in inches, `ground` is the colour behind it."""
    matplotlib.style.use(STYLE)  # not rc_context: it would undo the settings of other threads
    return Figure(figsize=(width, height), layout="constrained", facecolor=ground)


def points(axes: Axes, across: Sequence[Interval], up: Sequence[Interval], **style: Any) -> None:
    """Draw at least one point, with its intervals on both axes; `style` goes to matplotlib's `errorbar`."""
    x, y = np.array([each[:3] for each in across]).T, np.array([each[:3] for each in up]).T  # (3, N)
    x_error, y_error = np.nan_to_num(abs(x[1:] - x[0])), np.nan_to_num(abs(y[1:] - y[0]))
    axes.errorbar(x[0], y[0], xerr=x_error, yerr=y_error, elinewidth=0.8, **style)


def svg(figure: Figure, label: str) -> str:
    """The figure as a small SVG element that fits its box; screen readers read `label`."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    found = re.sub(r"\s+", " ", file.getvalue())
    found = re.sub(r"<[^>]+>", lambda tag: re.sub(r"(\.\d)\d+", r"\1", tag[0]), found[found.index("<svg") :])
    unused = rf' transform="rotate\(-0 [^"]*"|font-family: {FAMILY}; |(?<=<g) id="[^"]*"'
    found = re.sub(" (?=<)|<g/>", "", re.sub(unused, "", found))
    size = r' width="[^"]*" height="[^"]*"'
    return re.sub(size, f' role="img" aria-label="{escape(label)}" font-family="{FAMILY}"', found, count=1) + "\n"
