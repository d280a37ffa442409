"""The figures of an X-ray: whatever plotly might read as markup is escaped, as pieces of text come from models."""

import math
from collections import Counter
from collections.abc import Sequence
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from adapters.xray.trace import Candidate, NextTokens, Step, Word, XRay
from demo.look.theme import COLORS
from demo.parts.marked import message
from demo.parts.plots import GRID, LEGEND, dressed, name_lines, quoted
from demo.parts.words import kinds, percent, quote
from demo.xray import words

CHOSEN = -0.5  # mark of the chosen token; all others are above 0
NATS_IN_FULL = 12.0  # surprise of the strongest shade
COST_IN_FULL = 1.0  # nats of steering of the strongest shade
FAINT = 0.25  # opacity of the first of several lines; the last is opaque
ROW = 22  # pixels of a line of words
SMALLEST = 1e-9  # probability at the edge of a logarithmic axis
DISTRIBUTIONS = {
    "clean": (words.CLEAN, COLORS["base"], "circle"),
    "perturbed": (words.PERTURBED, COLORS["pplm"], "triangle-up-open"),
    "fused": (words.FUSED, COLORS["pplm"], "diamond"),
}
NAMED_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "cross", "x", "star")  # of named words
MOST_GAINED = 3  # words to follow unless some are named
Shaded = list[tuple[str, float | None]]


def shaded(xray: XRay, number: int) -> Shaded:
    """The text, darker where steering cost more, with the chosen token marked."""
    marks: list[float | None] = [min(1.0, step.kl_fused / COST_IN_FULL) for step in xray.steps]
    marks[number] = CHOSEN
    return in_shades(xray.tokens, marks + [None] * (len(xray.tokens) - len(marks)))


def surprises(tokens: Sequence[str], logprobs: Sequence[float | None]) -> Shaded:
    """The text, darker where its tokens are less likely."""
    return in_shades(tokens, [None if value is None else min(1.0, -value / NATS_IN_FULL) for value in logprobs])


def in_shades(tokens: Sequence[str], marks: Sequence[float | None]) -> Shaded:
    """The tokens with their marks; one without a whole character can still be clicked."""
    return [(piece or "\ufffd", mark) for piece, mark in zip(tokens, marks, strict=True)]


def candidates_table(step: Step) -> pd.DataFrame:
    """Every likely token with its three probabilities, ordered by the final mix."""
    ordered = sorted(step.candidates, key=lambda token: -token.fused)
    columns = {words.TOKEN: [quote(token.text) for token in ordered]}
    for name, (title, _, _) in DISTRIBUTIONS.items():
        columns[title] = [percent(getattr(token, name)) for token in ordered]
    return pd.DataFrame(columns)


def likely(step: Step) -> go.Figure:
    """The ten likeliest tokens of the final mix, and the chosen one."""
    ordered = sorted({step.chosen, *step.candidates}, key=lambda token: -token.fused)
    kept = [token for place, token in enumerate(ordered) if place < 10 or token == step.chosen]
    return changes([(quoted(token.text) + " ←" * (token == step.chosen), token) for token in kept])


def word_changes(step: Step) -> go.Figure:
    """The words of the attributes that gained most, then the words to follow."""
    several = len({word.attribute for word in step.bag}) > 1
    lines = [(word_label(word, several), word.token) for word in step.bag]
    return changes([*lines, *((f"P({quoted(word.word)})", word.token) for word in step.named)])


def word_label(word: Word, with_attribute: bool) -> str:
    """A word of an attribute, with its piece if it is split, its attribute among several, and whether it cools down."""
    piece = "" if word.token.text.strip() == word.word else f" {quoted(word.token.text)}"
    notes = [*([escape(word.attribute)] if with_attribute else []), *([words.COOLDOWN] if word.resting else [])]
    return f"{escape(word.word)}{piece}" + (f" ({', '.join(notes)})" if notes else "")


def changes(lines: Sequence[tuple[str, Candidate]]) -> go.Figure:
    """The three probabilities of each token on one line with its label, on a logarithmic axis."""
    plot = go.Figure()
    shares = {name: [max(SMALLEST, getattr(token, name)) for _, token in lines] for name in DISTRIBUTIONS}
    pairs = zip(shares["clean"], shares["fused"], strict=True)
    ways = [[(clean, row), (fused, row)] for row, (clean, fused) in enumerate(pairs)]
    plot.add_scatter(**in_one(ways), mode="lines", line={"color": GRID, "width": 4}, hoverinfo="skip")
    for name, (title, color, symbol) in DISTRIBUTIONS.items():
        plot.add_scatter(
            x=shares[name],
            y=list(range(len(lines))),
            mode="markers",
            name=title,
            marker={"color": color, "symbol": symbol, "size": 10, "line": {"width": 1.5, "color": color}},
            hoverinfo="text",
            hovertext=[f"{label}: {percent(getattr(token, name))}, {title}" for label, token in lines],
        )
    dressed(plot, 110 + ROW * max(1, len(lines)))
    ends = [share for several in shares.values() for share in several]
    decades = math.log10(max(ends, default=1) / min(ends, default=1))
    dtick = "D2" if decades < 1.5 else 1 if decades < 5 else 2  # "D2": at 1, 2 and 5
    plot.update_xaxes(type="log", title_text=words.PROBABILITY, exponentformat="power", dtick=dtick)
    if dtick == "D2":
        plot.update_xaxes(tickformat="~g")  # else 0.2 would be called 2
    name_lines(plot, [label for label, _ in lines])
    return with_legend(plot)


def followed(xray: XRay, number: int) -> go.Figure:
    """The words to follow along the text, before steering and in the mix; the chosen token has the larger signs."""
    plot = go.Figure()
    sizes = [11 if place == number else 5 for place in range(len(xray.steps))]
    for place, word in enumerate(followed_words(xray)):
        name, symbol = quoted(word), NAMED_SYMBOLS[place % len(NAMED_SYMBOLS)]
        found = [next((one.token for one in (*step.named, *step.bag) if one.word == word), None) for step in xray.steps]
        for kind, dash in (("clean", "dot"), ("fused", "solid")):
            title, color, _ = DISTRIBUTIONS[kind]
            shares = [None if token is None else getattr(token, kind) for token in found]
            plot.add_scatter(
                x0=1,
                y=[None if share is None else max(SMALLEST, share) for share in shares],
                mode="lines+markers",
                name=f"P({name}) {title}",
                line={"color": color, "dash": dash, "width": 1.5},
                marker={"symbol": symbol, "size": sizes},
                hoverinfo="text",
                hovertext=["" if share is None else f"{name} {title}: {percent(share)}" for share in shares],
            )
    dressed(plot, 300, words.TOKEN_NUMBER, words.PROBABILITY).update_yaxes(type="log", exponentformat="power")
    return with_legend(plot)


def followed_words(xray: XRay) -> list[str]:
    """The words that a person named; else the words of lists that gained most over the text."""
    if named := [word.word for step in xray.steps[:1] for word in step.named]:
        return named
    gains: Counter[str] = Counter()
    for word in [word for step in xray.steps for word in step.bag]:
        gains[word.word] += word.token.fused - word.token.clean  # type: ignore[assignment]
    return [word for word, _ in gains.most_common(MOST_GAINED)]


def losses(step: Step) -> go.Figure:
    """The attribute loss before the first gradient step and after each."""
    plot = go.Figure()
    plot.add_scatter(y=step.losses, mode="lines+markers", line={"color": COLORS["pplm"]}, marker={"size": 8})
    return dressed(plot, 260, words.STEPS_MADE, words.LOSS).update_xaxes(tickvals=list(range(len(step.losses))))


def layers(step: Step) -> go.Figure:
    """The gradient's norm by layer, one line per step, the last the darkest."""
    plot = go.Figure()
    for number, norms in enumerate(step.norms, 1):
        plot.add_scatter(
            x0=1,
            y=[norm or None for norm in norms],
            mode="lines+markers",
            name=words.STEP.format(number=number),
            opacity=FAINT + (1 - FAINT) * number / len(step.norms),
            line={"color": COLORS["pplm"]},
            marker={"size": 5},
        )
    dressed(plot, 260, words.LAYER, words.NORM).update_yaxes(type="log", exponentformat="power")
    return with_legend(plot)


def heat(xray: XRay, number: int) -> go.Figure:
    """The first step's gradient norm by layer and position; the newest position is the lowest line."""
    step, places = xray.steps[number], xray.places(number)
    names = [quoted(place) if place else words.EARLIER_PLACES for place in places]
    plot = go.Figure()
    plot.add_heatmap(
        x0=1,
        z=[[norms[place] for norms in step.heat] for place in range(len(places))],
        colorscale=[[0, "rgba(213,94,0,0)"], [1, "rgba(213,94,0,1)"]],
        colorbar={"orientation": "h", "thickness": 8, "len": 0.6, "outlinewidth": 0, "y": 1, "yanchor": "bottom"},
        customdata=[[name] * len(step.heat) for name in names],
        hovertemplate=f"%{{customdata}}, {words.LAYER} %{{x}}: %{{z}}<extra></extra>",
    )
    dressed(plot, 140 + 17 * max(1, len(places)), words.LAYER).update_xaxes(showgrid=False)
    name_lines(plot, names)
    return plot


def path(xray: XRay, number: int, up: int) -> go.Figure:
    """The move of the hidden state by the steps of one token, over those of all others: direction `up` over the first.

    All others are one trace, because 256 traces take seconds to draw.
    """
    plot = go.Figure()
    others = [place for place in range(len(xray.steps)) if place != number]
    for places, color, width in ((others, GRID, 1), ([number], COLORS["pplm"], 3)):
        paths = [xray.steps[place].path for place in places]
        told = [
            [f"{quoted(xray.tokens[place])}, {words.AFTER_STEP.format(number=i)}" for i in range(len(points))]
            for place, points in zip(places, paths, strict=True)
        ]
        sizes = 3 if width == 1 else [4] + [8] * (len(xray.steps[number].path) - 1)
        plot.add_scatter(
            **in_one([[(point[0], point[up]) for point in points] for points in paths]),
            mode="lines+markers",
            line={"color": color, "width": width},
            marker={"size": sizes, "color": color},
            hoverinfo="text",
            hovertext=[name for group in told for name in (*group, None)][:-1],
        )
    names = [words.COMPONENT.format(number=i + 1, share=percent(part)) for i, part in enumerate(xray.variance)]
    return dressed(plot, 330, names[0], names[up])


def in_one(lines: Sequence[Sequence[tuple[float, float]]]) -> dict[str, list[float | None]]:
    """The points of many lines as one trace, with a gap after each but the last."""
    points: list[tuple[float | None, float | None]] = [point for line in lines for point in (*line, (None, None))][:-1]
    return {"x": [x for x, _ in points], "y": [y for _, y in points]}


def costs(xray: XRay, number: int) -> go.Figure:
    """The cost of steering at each token of the text, the chosen one in full colour."""
    plot = go.Figure()
    opacity = [1.0 if place == number else 0.45 for place in range(len(xray.steps))]
    plot.add_bar(
        x0=1,
        y=[step.kl_fused for step in xray.steps],
        marker={"color": COLORS["pplm"], "opacity": opacity},
        hoverinfo="text",
        hovertext=[
            f"{place} {quoted(step.chosen.text)}: {step.kl_fused:.3g} nats, {words.SHARE_USED} {step.share:.2f}"
            for place, step in enumerate(xray.steps, 1)
        ],
    )
    return dressed(plot, 220, words.TOKEN_NUMBER, words.KL_FUSED).update_yaxes(rangemode="tozero")


def next_bars(shown: NextTokens, most: float) -> go.Figure:
    """The likeliest next tokens of a method; `most` is the highest probability of any method beside it."""
    plot, shares = go.Figure(), [share for _, share in shown.tokens]
    plot.add_bar(
        x=shares,
        y=list(range(len(shares))),
        orientation="h",
        marker={"color": COLORS[kinds(shown.method)[-1]]},
        text=[percent(share) for share in shares],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    dressed(plot, 90 + ROW * len(shares), words.PROBABILITY)
    plot.update_xaxes(range=[0, most * 1.3], tickformat=".0%", nticks=4)
    name_lines(plot, [quoted(token) for token, _ in shown.tokens])
    return plot


def with_legend(plot: go.Figure) -> go.Figure:
    """The figure with the names of its signs above it."""
    for trace in plot.data:
        trace.showlegend = trace.name is not None
    legend = LEGEND | {"y": 1, "itemclick": False, "itemdoubleclick": False}
    return plot.update_layout(showlegend=True, legend=legend, margin_t=34)


def step_figures(xray: XRay, number: int, tab: str) -> dict[str, Any]:
    """The figures of one step in an inner tab, by the names of their components."""
    step = xray.steps[number]
    if tab == words.GRADIENT_TAB:
        return {"losses": losses(step), "layers": layers(step), "heat": heat(xray, number)}
    if tab == words.NUDGE_TAB:
        return {"path_2": path(xray, number, 1), "path_3": path(xray, number, 2), "costs": costs(xray, number)}
    tokens = {"likely": likely(step), "words": word_changes(step), "followed": followed(xray, number)}
    return {"line": message(words.step_line(step, number)), **tokens, "numbers": candidates_table(step)}
