"""Fills the templates of pages and reports; everything in them is escaped."""

import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leaderboard.metrics.distinct import distinct
from leaderboard.output.looks import KINDS, style
from leaderboard.tables.display import bracket, figure, number, span, with_interval
from leaderboard.tables.results import Cell

TEMPLATES = Path(__file__).parent / "templates"
ENDS = {"eos": "finished", "length": "token limit", "diverged": "diverged"}
FIGURES = {"tokens_per_second": "tokens/s", "distinct_2": "distinct-2 (words)", "attribute_words": "attribute words"}


def render(template: str, **values: Any) -> str:
    """The page of a template; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "with_interval": with_interval, "bracket": bracket, "signed": signed}
    environment.globals |= {"ENDS": ENDS, "FIGURES": FIGURES, "distinct": distinct, "isfinite": math.isfinite}
    environment.globals |= {"figure": figure, "span": span, "KINDS": KINDS, "kinds_style": style}
    return environment.get_template(template).render(**values)


def signed(cell: Cell) -> str:
    """The difference to the base with its interval; empty if it is missing."""
    difference = Cell(cell.difference, cell.difference_low, cell.difference_high)
    return f"{'+' if cell.difference > 0 else ''}{with_interval(difference)}" if math.isfinite(cell.difference) else ""
