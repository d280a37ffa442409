"""The curve of a training: loss of each batch and validation loss, against steps."""

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from adapters.training.order import CurvePoint, TrainStep
from demo.look.theme import COLORS
from demo.parts.plots import LEGEND, dressed
from demo.train import words
from leaderboard.output.looks import KINDS

MOST_POINTS = 400  # of a line; more cannot be told apart, and would be sent at every step


def loss_curve(steps: Sequence[TrainStep] | Sequence[CurvePoint], total: int, kind: str) -> go.Figure:
    """Loss against steps: batches as a thin line, validations as marks, a ring around the best."""
    plot = go.Figure()
    every = math.ceil(len(steps) / MOST_POINTS) if steps else 1
    shown = [step for step in steps[::every] if math.isfinite(step.loss)]
    checked = [(step.step, step.validation_loss) for step in steps if step.validation_loss is not None]
    plot.add_scatter(
        x=[step.step for step in shown],
        y=[step.loss for step in shown],
        mode="lines",
        name=words.TRAINING,
        line={"color": COLORS["base"], "width": 1},
        hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )
    plot.add_scatter(
        x=[step for step, _ in checked],
        y=[loss for _, loss in checked],
        mode="lines+markers",
        name=words.VALIDATION,
        line={"color": COLORS[kind], "width": 2},
        marker={"size": 8, "symbol": KINDS[kind].symbol, "color": COLORS[kind]},
        hovertemplate="%{x}: %{y:.3f}<extra></extra>",
    )
    if checked:
        best = min(checked, key=lambda point: point[1])
        ring = {"size": 16, "symbol": "circle-open", "color": COLORS[kind], "line": {"width": 2}}
        plot.add_scatter(x=[best[0]], y=[best[1]], mode="markers", marker=ring, hoverinfo="skip")
    plot.update_xaxes(range=[0, max(total, 1) * 1.02])
    dressed(plot, 320, words.STEP, words.LOSS)
    # Two lines that meet leave no room for names beside them, hence the legend above.
    plot.for_each_trace(lambda trace: trace.update(showlegend=bool(trace.name)))
    return plot.update_layout(showlegend=True, legend=LEGEND, margin_t=44)
