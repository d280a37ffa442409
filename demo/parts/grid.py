"""A table that shows texts and sorts by what is behind them.

Knows columns of values, texts and styles; knows nothing of what they mean.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

LETTER = 7.2  # pixels of a letter in a table, on average
WIDEST = 460  # pixels; longer texts are wrapped
MARGIN = 44  # pixels beside the letters of a heading, for the menu of its column


class Column(NamedTuple):
    """One column, from top to bottom."""

    heading: str
    values: Sequence[Any]  # what it is sorted by; NaN: nothing
    texts: Sequence[str]  # what it shows
    styles: Sequence[str] | None = None  # CSS of each cell

    @property
    def width(self) -> int:
        """Pixels that its longest line needs, within reason."""
        longest = max((len(line) for cell in self.texts for line in cell.split("\n")), default=0)
        return round(max(LETTER * len(self.heading) + MARGIN, min(LETTER * longest + MARGIN / 2, WIDEST)))


def words(heading: str, texts: Sequence[str]) -> Column:
    """A column of words, sorted as words."""
    return Column(heading, texts, texts)


def grid(columns: Sequence[Column]) -> dict[str, Any]:
    """The columns as Gradio's table takes them."""
    styles = [column.styles or [""] * len(column.texts) for column in columns]
    return {
        "headers": [column.heading for column in columns],
        "data": rows([[known(value) for value in column.values] for column in columns]),
        "metadata": {"display_value": rows([column.texts for column in columns]), "styling": rows(styles)},
    }


def rows(columns: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(row) for row in zip(*columns, strict=True)]


def known(value: Any) -> Any:
    """The value, and None for NaN, which JSON does not have."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
