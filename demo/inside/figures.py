"""The figures of what adapters have learned: heat maps, lines, and the table of words."""

from collections.abc import Sequence
from html import escape

import plotly.graph_objects as go

from adapters.learned.prefix_attention import Attention, Neighbour, Virtual
from adapters.learned.spectrum import Crop, Update
from demo.inside import words
from demo.look.theme import COLORS
from demo.parts import words as common
from demo.parts.plots import dressed, name_lines, quoted

RGB = {"lora": "0,114,178", "prefix": "0,158,115"}
BOTH_SIGNS = [[0, "rgba(213,94,0,1)"], [0.5, "rgba(127,138,155,0)"], [1, "rgba(0,114,178,1)"]]
BAR = {"orientation": "h", "thickness": 8, "len": 0.6, "outlinewidth": 0, "y": 1, "yanchor": "bottom"}
LINE, MANY, NARROW = 24, 12, 14  # pixels of a line of a heat map; of more than so many lines; then
Table = Sequence[Sequence[float | None]]


def model_html(updates: Sequence[Update], chosen: str) -> str:
    """A picture of the model: a cell to click for each matrix, darker where training changed it more.

    The cells come layer by layer, so that the style sheet can show a layer as a column or, on a phone, as a row.
    """
    most = max((update.relative for update in updates), default=0.0) or 1.0
    known = {(update.layer, update.module): update for update in updates}
    modules = list(dict.fromkeys(module for _, module in known))
    layers = sorted({layer for layer, _ in known}, key=lambda layer: -1 if layer is None else layer)
    cells = ["<span></span>", *(f"<span>{escape(words.short(module))}</span>" for module in modules)]
    for layer in layers:
        cells.append(f"<span>{words.OUTSIDE_SIGN if layer is None else layer + 1}</span>")
        for module in modules:
            update = known.get((layer, module))
            cells.append("<span></span>" if update is None else cell(update, most, chosen))
    style = f"--lines: {len(modules) + 1}; --layers: {len(layers)}"
    scale = f'<p class="model-scale">0 % <i></i> {common.percent(most)}</p>'
    return f'<div class="model" style="{style}">{"".join(cells)}</div>{scale}'


def cell(update: Update, most: float, chosen: str) -> str:
    name, path = escape(words.place_of(update)), escape(update.path)
    pressed = str(update.path == chosen).lower()
    return (
        f'<button data-module="{path}" aria-label="{name}" aria-pressed="{pressed}" title="{name}" '
        f'style="--share: {100 * update.relative / most:.0f}%"></button>'
    )


def ranks(updates: Sequence[Update]) -> go.Figure:
    return by_layer(updates, [update.effective_rank for update in updates], words.EFFECTIVE, ".1f")


def by_layer(updates: Sequence[Update], values: Sequence[float], title: str, form: str) -> go.Figure:
    """One number for each module of each layer; empty where a layer has no such module."""
    places = [(update.module, -1 if update.layer is None else update.layer) for update in updates]
    modules, layers = list(dict.fromkeys(module for module, _ in places)), sorted({layer for _, layer in places})
    known = dict(zip(places, values, strict=True))
    table = [[known.get((module, layer)) for layer in layers] for module in modules]
    named = range(0, len(layers), 5 if len(layers) > 12 else 1)
    across = ["–" if layers[place] < 0 else str(layers[place] + 1) for place in named]
    plot = heat(table, "lora", f"%{{customdata}}: {title} %{{z:{form}}}", form)
    names = [words.OUTSIDE if layer < 0 else f"{words.LAYER} {layer + 1}" for layer in layers]
    plot.update_traces(customdata=[[f"{module}, {name}" for name in names] for module in modules])
    plot.update_xaxes(title_text=words.LAYER, tickvals=list(named), ticktext=across)
    short = [module.rpartition(".")[2] for module in modules]
    name_lines(plot, short if len(set(short)) == len(short) else modules)
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
    dressed(plot, 120 + (LINE if len(table) <= MANY else NARROW) * max(2, len(table)))
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
    plot.update_xaxes(title_text=words.NUMBER, showgrid=False, tickformat="d", nticks=10)
    plot.update_yaxes(title_text=words.VALUE, rangemode="tozero")
    return plot


def squares(crop: Crop) -> tuple[go.Figure, go.Figure, go.Figure]:
    """W, what is added to it, and W with it; the first and the last on one scale."""
    most = max(abs(value) for table in (crop.weight, crop.adapted) for row in table for value in row)
    own = max(abs(value) for row in crop.change for value in row)
    return square(crop.weight, most, crop), square(crop.change, own, crop), square(crop.adapted, most, crop)


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
            hovertemplate=f"{words.ROW} %{{y}}, {words.COLUMN} %{{x}}: %{{z:.3g}}<extra></extra>",
        )
    )
    dressed(plot, 340)
    plot.update_xaxes(title_text=words.COLUMN, showgrid=False, zeroline=False, nticks=6)
    plot.update_yaxes(title_text=words.ROW, showgrid=False, zeroline=False, nticks=6, autorange="reversed")
    return plot


def by_token(found: Attention, tokens: Sequence[str]) -> go.Figure:
    """The attention that each token pays to the whole prefix, by layer; a line a token."""
    plot = heat(found.tokens, "prefix", "%{customdata}: %{z:.1%}", ".0%")
    count = len(found.tokens[0])
    names = [[f"{quoted(token)}, {words.LAYER} {place + 1}" for place in range(count)] for token in tokens]
    plot.update_traces(customdata=names)
    plot.update_xaxes(title_text=words.LAYER, tickvals=list(range(0, count, 5)), ticktext=list(range(1, count + 1, 5)))
    name_lines(plot, [quoted(token) for token in tokens])
    return plot


def moved(tokens: Sequence[Virtual]) -> go.Figure | None:
    """How far keys and values moved, by layer; None where it is not known where they began."""
    if not all(virtual.moved for virtual in tokens):
        return None
    return by_virtual([list(row) for row in zip(*(virtual.moved for virtual in tokens), strict=True)], ".2f")


def by_virtual(table: Table, form: str) -> go.Figure:
    """One number for each layer and virtual token (L, P), both counted from 1, some of them named."""
    layers, count = len(table), len(table[0])
    plot = heat(table, "prefix", f"%{{customdata}}: %{{z:{form}}}", form)
    names = [[f"{words.LAYER} {i + 1}, {words.VIRTUAL} {j + 1}" for j in range(count)] for i in range(layers)]
    plot.update_traces(customdata=names)
    rows, columns = (range(0, length, 5 if length > 12 else 1) for length in (layers, count))
    plot.update_yaxes(title_text=words.LAYER, autorange="reversed", showgrid=False, zeroline=False)
    plot.update_yaxes(tickvals=list(rows), ticktext=[place + 1 for place in rows])
    return plot.update_xaxes(
        title_text=words.VIRTUAL, tickvals=list(columns), ticktext=[place + 1 for place in columns]
    )


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
