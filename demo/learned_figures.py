"""The figures of what adapters have learned: heat maps, lines, and the table of words.

Knows plain numbers and plotly; knows nothing of how they come about. Words come from a model's vocabulary: whatever
plotly might read as markup is escaped.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from demo import text
from demo import words_learned as said
from demo.learned_services import Attention, Crop, Neighbour, Update, Virtual
from demo.results.plots import dressed
from demo.theme import COLORS
from demo.xray_figures import name_lines, quoted

RGB = {"lora": "0,114,178", "prefix": "0,158,115"}
BOTH_SIGNS = [[0, "rgba(213,94,0,1)"], [0.5, "rgba(127,138,155,0)"], [1, "rgba(0,114,178,1)"]]
BAR = {"orientation": "h", "thickness": 8, "len": 0.6, "outlinewidth": 0, "y": 1, "yanchor": "bottom"}
LINE = 24  # pixels of a line of a heat map
Table = Sequence[Sequence[float | None]]


def norms(updates: Sequence[Update]) -> go.Figure:
    """Size of each update relative to its W, by layer and module."""
    return by_layer(updates, [update.relative for update in updates], said.SHARE, ".1%")


def ranks(updates: Sequence[Update]) -> go.Figure:
    """Effective rank of each update, by layer and module."""
    return by_layer(updates, [update.effective_rank for update in updates], said.EFFECTIVE, ".1f")


def by_layer(updates: Sequence[Update], values: Sequence[float], title: str, form: str) -> go.Figure:
    """One number for each module of each layer; empty where a layer has no such module."""
    modules = list(dict.fromkeys(update.module for update in updates))
    layers = sorted({-1 if update.layer is None else update.layer for update in updates})
    known = {
        (update.module, -1 if update.layer is None else update.layer): value
        for update, value in zip(updates, values, strict=True)
    }
    table = [[known.get((module, layer)) for layer in layers] for module in modules]
    across = ["–" if layer < 0 else str(layer + 1) for layer in layers]
    plot = heat(table, "lora", f"%{{y}}, {said.LAYER} %{{x}}: {title} %{{z:{form}}}", form)
    plot.update_xaxes(title_text=said.LAYER, tickvals=list(range(len(layers))), ticktext=across)
    name_lines(plot, [module.rpartition(".")[2] for module in modules])
    return plot


def heat(table: Table, kind: str, hover: str, form: str) -> go.Figure:
    """A heat map from zero upwards, in the colour of a method; its first line is the upper one."""
    colors = [[0, f"rgba({RGB[kind]},0)"], [1, f"rgba({RGB[kind]},1)"]]
    most = max((value for row in table for value in row if value is not None), default=0.0)
    plot = go.Figure(
        go.Heatmap(
            z=table,
            zmin=0,
            zmax=most or 1.0,
            colorscale=colors,
            colorbar=BAR | {"tickformat": form, "nticks": 5},
            hovertemplate=f"{hover}<extra></extra>",
        )
    )
    dressed(plot, 120 + LINE * max(2, len(table)))
    plot.update_xaxes(showgrid=False, zeroline=False)
    return plot


def singular(update: Update) -> go.Figure:
    """The singular values of an update, the largest first, from zero."""
    plot = go.Figure(
        go.Bar(
            x=list(range(1, len(update.singular_values) + 1)),
            y=list(update.singular_values),
            marker={"color": COLORS["lora"]},
            hovertemplate="%{x}: %{y:.3g}<extra></extra>",
        )
    )
    dressed(plot, 300)
    plot.update_xaxes(title_text=said.NUMBER, showgrid=False, tickformat="d", nticks=10)
    plot.update_yaxes(title_text=said.VALUE, rangemode="tozero")
    return plot


def squares(crop: Crop) -> tuple[go.Figure, go.Figure, go.Figure]:
    """W, what is added to it, and W with it; the first and the last on one scale."""
    most = max(abs(value) for table in (crop.weight, crop.adapted) for row in table for value in row)
    own = max(abs(value) for row in crop.change for value in row)
    scales = ((crop.weight, most), (crop.change, own), (crop.adapted, most))
    first, second, third = (square(table, scale, crop) for table, scale in scales)
    return first, second, third


def square(table: Sequence[Sequence[float]], most: float, crop: Crop) -> go.Figure:
    """A square of a matrix on a scale from -most to most, its rows from above."""
    plot = go.Figure(
        go.Heatmap(
            z=table,
            x=[crop.first_column + place for place in range(len(table[0]))],
            y=[crop.first_row + place for place in range(len(table))],
            zmin=-(most or 1.0),
            zmax=most or 1.0,
            colorscale=BOTH_SIGNS,
            colorbar=BAR | {"tickformat": ".2g", "nticks": 5},
            hovertemplate=f"{said.ROW} %{{y}}, {said.COLUMN} %{{x}}: %{{z:.3g}}<extra></extra>",
        )
    )
    dressed(plot, 340)
    plot.update_xaxes(title_text=said.COLUMN, showgrid=False, zeroline=False, nticks=6)
    plot.update_yaxes(title_text=said.ROW, showgrid=False, zeroline=False, nticks=6, autorange="reversed")
    return plot


def attention(found: Attention) -> go.Figure:
    """The attention to each virtual token, by layer."""
    hover = f"{said.LAYER} %{{y}}, {said.VIRTUAL} %{{x}}: %{{z:.2%}}"
    return numbered(heat(found.layers, "prefix", hover, ".1%"), len(found.layers), said.LAYER, said.VIRTUAL)


def by_token(found: Attention, tokens: Sequence[str]) -> go.Figure:
    """The attention that each token pays to the whole prefix, by layer; a line a token."""
    plot = heat(found.tokens, "prefix", f"%{{y}}, {said.LAYER} %{{x}}: %{{z:.1%}}", ".0%")
    count = len(found.tokens[0])
    plot.update_xaxes(title_text=said.LAYER, tickvals=list(range(0, count, 5)), ticktext=list(range(1, count + 1, 5)))
    name_lines(plot, [quoted(token) for token in tokens])
    return plot


def moved(words: Sequence[Virtual]) -> go.Figure | None:
    """How far keys and values moved, by layer; None where it is not known where they began."""
    if not all(virtual.moved for virtual in words):
        return None
    table = [list(row) for row in zip(*(virtual.moved for virtual in words), strict=True)]  # (L, P)
    hover = f"{said.LAYER} %{{y}}, {said.VIRTUAL} %{{x}}: %{{z:.2f}}"
    return numbered(heat(table, "prefix", hover, ".2f"), len(table), said.LAYER, said.VIRTUAL)


def numbered(plot: go.Figure, lines: int, up: str, across: str) -> go.Figure:
    """The figure with both axes counted from 1, every fifth line named."""
    named = list(range(0, lines, 5))
    plot.update_yaxes(title_text=up, autorange="reversed", showgrid=False, zeroline=False)
    plot.update_yaxes(tickvals=named, ticktext=[place + 1 for place in named])
    count = len(plot.data[0].z[0])
    places = list(range(0, count, 5 if count > 10 else 1))
    plot.update_xaxes(title_text=across, tickvals=places, ticktext=[place + 1 for place in places])
    return plot


def words_table(words: Sequence[Virtual]) -> list[list[str]]:
    """A row a virtual token: its nearest words before and after, with their cosines, and how far it moved."""
    rows = []
    for number, virtual in enumerate(words, 1):
        far = text.percent(max(virtual.moved)) if virtual.moved else "–"
        rows.append([str(number), near(virtual.before) or said.UNKNOWN_START, near(virtual.after), far])
    return rows


def near(neighbours: Sequence[Neighbour]) -> str:
    return ", ".join(f"{text.quote(word.text)} {word.cosine:.2f}" for word in neighbours)
