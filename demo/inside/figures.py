"""The figures of what adapters have learned: heat maps, lines, and the table of words."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from adapters.learned.prefix_attention import Attention, Neighbour, Virtual
from adapters.learned.spectrum import Crop, Update
from demo.inside import words
from demo.look.theme import COLORS, render
from demo.parts import words as common
from demo.parts.plots import dressed, name_lines, quoted

RGB = {"lora": "0,114,178", "prefix": "0,158,115"}
BOTH_SIGNS = [[0, "rgba(213,94,0,1)"], [0.5, "rgba(127,138,155,0)"], [1, "rgba(0,114,178,1)"]]
BAR = {"orientation": "h", "thickness": 8, "len": 0.6, "outlinewidth": 0, "y": 1, "yanchor": "bottom"}
LINE, MANY, NARROW = 24, 12, 14  # pixels of a line of a heat map; of more than so many lines; then
Table = Sequence[Sequence[float | None]]


def model_html(updates: Sequence[Update], chosen: str) -> str:
    """A picture of the model: a cell to click for each matrix, darker where training changed it more."""
    most = max((update.relative for update in updates), default=0.0) or 1.0
    known, layers, modules = grid(updates)
    values = {"known": known, "layers": layers, "modules": modules, "most": most, "chosen": chosen}
    return render("model.html", words=words, percent=common.percent, **values)


def grid(updates: Sequence[Update]) -> tuple[dict[tuple[int | None, str], Update], list[int | None], list[str]]:
    """The updates by layer and module; the layers in order, None (outside of the layers) first; the modules."""
    known = {(update.layer, update.module): update for update in updates}
    layers = sorted({layer for layer, _ in known}, key=lambda layer: -1 if layer is None else layer)
    return known, layers, list(dict.fromkeys(module for _, module in known))


def ranks(updates: Sequence[Update]) -> go.Figure:
    """The effective rank of each module of each layer; empty where a layer has no such module."""
    known, layers, modules = grid(updates)
    found = [[known.get((layer, module)) for layer in layers] for module in modules]
    table = [[None if update is None else update.effective_rank for update in row] for row in found]
    names = [words.OUTSIDE if layer is None else f"{words.LAYER} {layer + 1}" for layer in layers]
    places = [[f"{module}, {name}: {words.EFFECTIVE}" for name in names] for module in modules]
    plot = heat(table, "lora", places, "%{customdata} %{z:.1f}", ".1f")
    signs = [words.OUTSIDE_SIGN if layer is None else str(layer + 1) for layer in layers]
    plot.update_xaxes(**ticks(words.LAYER, signs))
    short = list(map(words.short, modules))
    name_lines(plot, short if len(set(short)) == len(short) else modules)
    return plot


def heat(table: Table, kind: str, places: Sequence[Sequence[str]], hover: str, form: str) -> go.Figure:
    """A heat map from zero upwards, in the colour of a method; its first line is the upper one."""
    colors = [[0, f"rgba({RGB[kind]},0)"], [1, f"rgba({RGB[kind]},1)"]]
    most = max((value for row in table for value in row if value is not None), default=0.0) or 1.0
    plot = coloured(table, 0, most, colors, form, hover, customdata=places)
    return dressed(plot, 120 + (LINE if len(table) <= MANY else NARROW) * max(2, len(table)))


def coloured(table: Table, low: float, high: float, colors: Any, form: str, hover: str, **options: Any) -> go.Figure:
    """A table as colours, with the scale above it."""
    bar, told = BAR | {"tickformat": form, "nticks": 5}, f"{hover}<extra></extra>"
    plot = go.Figure()
    plot.add_heatmap(z=table, zmin=low, zmax=high, colorscale=colors, colorbar=bar, hovertemplate=told, **options)
    bare = {"showgrid": False, "zeroline": False}
    return plot.update_xaxes(**bare).update_yaxes(**bare)


def ticks(title: str, names: Sequence[str]) -> dict[str, Any]:
    """An axis with its title and, where there are many names, every fifth of them."""
    places = range(0, len(names), 5 if len(names) > 12 else 1)
    return {"title_text": title, "tickvals": list(places), "ticktext": [names[place] for place in places]}


def numbers(count: int) -> list[str]:
    return [str(number) for number in range(1, count + 1)]


def singular(update: Update) -> go.Figure:
    """The singular values of an update, the largest first, from zero."""
    values, told = list(update.singular_values), "%{x}: %{y:.3g}<extra></extra>"
    plot = go.Figure()
    plot.add_bar(x0=1, y=values, marker={"color": COLORS["lora"]}, hovertemplate=told)
    dressed(plot, 300, words.NUMBER, words.VALUE).update_yaxes(rangemode="tozero")
    return plot.update_xaxes(showgrid=False, tickformat="d", nticks=10)


def squares(crop: Crop) -> tuple[go.Figure, go.Figure, go.Figure]:
    """W, what is added to it, and W with it; the first and the last on one scale."""
    most = max(abs(value) for table in (crop.weight, crop.adapted) for row in table for value in row)
    own = max(abs(value) for row in crop.change for value in row)
    return square(crop.weight, most, crop), square(crop.change, own, crop), square(crop.adapted, most, crop)


def square(table: Table, most: float, crop: Crop) -> go.Figure:
    """A square of a matrix on a scale from -most to most, its rows from above."""
    most, hover = most or 1.0, f"{words.ROW} %{{y}}, {words.COLUMN} %{{x}}: %{{z:.3g}}"
    plot = coloured(table, -most, most, BOTH_SIGNS, ".2g", hover, x0=crop.first_column, y0=crop.first_row)
    dressed(plot, 340, words.COLUMN, words.ROW).update_yaxes(nticks=6, autorange="reversed")
    return plot.update_xaxes(nticks=6)


def by_token(found: Attention, tokens: Sequence[str]) -> go.Figure:
    """The attention that each token pays to the whole prefix, by layer; a line a token."""
    layers = numbers(len(found.tokens[0]))
    places = [[f"{quoted(token)}, {words.LAYER} {layer}" for layer in layers] for token in tokens]
    plot = heat(found.tokens, "prefix", places, "%{customdata}: %{z:.1%}", ".0%")
    plot.update_xaxes(**ticks(words.LAYER, layers))
    name_lines(plot, [quoted(token) for token in tokens])
    return plot


def moved(tokens: Sequence[Virtual]) -> go.Figure | None:
    """How far keys and values moved, by layer; None where it is not known where they began."""
    if not all(virtual.moved for virtual in tokens):
        return None
    return by_virtual([list(row) for row in zip(*(virtual.moved for virtual in tokens), strict=True)], ".2f")


def by_virtual(table: Table, form: str) -> go.Figure:
    """One number for each layer and virtual token (L, P), both counted from 1, some of them named."""
    layers, tokens = numbers(len(table)), numbers(len(table[0]))
    places = [[f"{words.LAYER} {layer}, {words.VIRTUAL} {token}" for token in tokens] for layer in layers]
    plot = heat(table, "prefix", places, f"%{{customdata}}: %{{z:{form}}}", form)
    plot.update_yaxes(autorange="reversed", **ticks(words.LAYER, layers))
    return plot.update_xaxes(**ticks(words.VIRTUAL, tokens))


def words_table(tokens: Sequence[Virtual], found: Attention | None = None) -> list[list[str]]:
    """A row a virtual token: its nearest word before and after, all near words now, attention, and movement."""
    shares = ["–"] * len(tokens)
    if found is not None:
        shares = [common.percent(sum(layer) / len(layer)) for layer in zip(*found.layers, strict=True)]
    rows = []
    for number, (virtual, share) in enumerate(zip(tokens, shares, strict=True), 1):
        far = common.percent(max(virtual.moved)) if virtual.moved else "–"
        first, now = (nearest(each) for each in (virtual.before, virtual.after))
        rows.append([str(number), f"{first} → {now}", share, far, near(virtual.after)])
    return rows


def nearest(neighbours: Sequence[Neighbour]) -> str:
    return common.quote(neighbours[0].text) if neighbours else words.UNKNOWN_START


def near(neighbours: Sequence[Neighbour]) -> str:
    return ", ".join(f"{common.quote(word.text)} {word.cosine:.2f}" for word in neighbours)
