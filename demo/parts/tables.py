"""Tables of texts, tables of facts, and grids that sort by the values behind their texts."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import gradio as gr

from demo.parts.words import BASE_MODEL, FACT, MADE_WITH, SHA256, VALUE
from leaderboard.tables.display import figure, span
from leaderboard.tables.results import Cell

MAX_HEIGHT = 420  # px; a longer table scrolls inside


def text_table(
    label: str, headers: Sequence[str], widths: Sequence[int | str] | None = None, *classes: str, **options: Any
) -> gr.Dataframe:
    """A table with these columns, in px or percent.

    Columns in px keep their width on a phone, where the table scrolls sideways inside. Do not use them for a table that
    stays empty: no key would reach it.
    """
    columns = {"headers": list(headers), "column_widths": None if widths is None else list(widths)}
    text: dict[str, Any] = {"datatype": "str", "type": "array", "wrap": True, "buttons": [], "max_height": MAX_HEIGHT}
    return quiet_table(label, *classes, **columns | text | options)


def quiet_table(label: str, *classes: str, **options: Any) -> gr.Dataframe:
    """A table that is only read, without a label."""
    options |= {"label": label, "elem_classes": ["quiet-table", *classes]}
    return gr.Dataframe(**{"interactive": False, "show_label": False} | options)


def facts_table(rows: list[list[str]] | None = None) -> gr.Dataframe:
    headers, widths = [FACT, VALUE], ["30%", "70%"]
    return text_table(MADE_WITH, headers, widths, "facts", value=rows, max_height=2000)


def model_facts(base: str, hashes: Mapping[str, str], versions: Mapping[str, str]) -> list[list[str]]:
    """The base model, the hashes of models, adapters and lists, and the versions of the libraries."""
    rows = [[BASE_MODEL, base]]
    rows += [[SHA256.format(name=name), value] for name, value in hashes.items()]
    return rows + [[name, value] for name, value in versions.items()]


def cell_text(cell: Cell, mark: str = "", metric: str = "") -> str:
    """Figure and mark in the unit of the metric, with the interval in a second line."""
    return "\n".join(filter(None, [f"{figure(metric, cell.value)} {mark}".strip(), span(metric, cell)]))


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
        """Pixels of its longest line, at most WIDEST."""
        longest = max((len(line) for cell in self.texts for line in cell.split("\n")), default=0)
        return round(max(LETTER * len(self.heading) + MARGIN, min(LETTER * longest + MARGIN / 2, WIDEST)))


def words(heading: str, texts: Sequence[str]) -> Column:
    return Column(heading, texts, texts)


def grid(columns: Sequence[Column]) -> dict[str, Any]:
    styles = [column.styles or [""] * len(column.texts) for column in columns]
    return {
        "headers": [column.heading for column in columns],
        "data": rows([[known(value) for value in column.values] for column in columns]),
        "metadata": {"display_value": rows([column.texts for column in columns]), "styling": rows(styles)},
    }


def rows(columns: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(row) for row in zip(*columns, strict=True)]


def known(value: Any) -> Any:
    """The value; None for NaN, which JSON lacks."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def figures_table(label: str) -> gr.Dataframe:
    """A table of figures with their intervals; the method's name stays in sight."""
    return quiet_table(label, "figures-table", show_search="filter", buttons=["copy", "fullscreen"])


def show(columns: list[Column]) -> dict[str, Any]:
    """A table as the component takes it; names are in larger letters."""
    first, *widths = [column.width for column in columns]
    return gr.update(value=grid(columns), column_widths=[round(1.2 * first), *widths])
