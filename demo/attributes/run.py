"""Discriminators on the page: rows that a person brought, a training as a generator of views, and what was measured."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import plotly.graph_objects as go

from adapters.discriminators.discriminator_card import DiscriminatorReport
from adapters.discriminators.fit import Measured
from adapters.discriminators.labelled import Labelled, read_labelled
from adapters.methods import UserError
from demo.attributes import words
from demo.look.theme import COLORS
from demo.parts import words as common
from demo.parts.plots import dressed, whiskers
from demo.parts.running import closed_at_end
from demo.services import Services
from leaderboard.tables.results import Cell

CURVE_HEIGHT = 320  # px


class TrainView(NamedTuple):
    """How far a training is."""

    message: str
    is_error: bool = False
    running: bool = False
    done: bool = False


def read_rows(path: Any, services: Services) -> tuple[Labelled, ...]:
    """The rows of an uploaded file; raises UserError."""
    if not isinstance(path, str):
        raise UserError(common.NO_FILE)
    file, most = Path(path), services.limits.max_bytes
    with file.open("rb") as opened:
        data = opened.read(most + 1)
    if len(data) > most:
        raise UserError(words.ROWS_TOO_LONG.format(most=most))
    return tuple(read_labelled(data, file.name))


def class_sizes(rows: Sequence[Labelled]) -> dict[str, int]:
    """How many rows each class has, in the order of their names."""
    return dict(sorted(Counter(row.label for row in rows).items()))


def train(services: Services, name: Any, rows: Sequence[Labelled], owner: str | None = None) -> Iterator[TrainView]:
    """Trains a discriminator of this owner; the last view says that it can be used, or what is wrong."""
    try:
        if not rows:
            raise UserError(words.NO_ROWS)
        yield TrainView(common.STARTING, running=True)
        with closed_at_end(services.discriminator_trainer.train(str(name or "").strip(), rows, owner)) as lines:
            for line in lines:
                yield TrainView(f"{line[:1].upper()}{line[1:]}.", running=True)
        names = [f"{str(name).strip()}:{label}" for label in class_sizes(rows)]
        yield TrainView(words.TRAINED.format(names=", ".join(names)), done=True)
    except UserError as error:
        yield TrainView(str(error), is_error=True)
    except Exception:
        yield TrainView(common.SERVER_ERROR, is_error=True)
        raise


def find_report(services: Services, name: Any) -> DiscriminatorReport:
    """What was measured of a discriminator. Raises UserError where there is none of that name, or nothing is known."""
    if not isinstance(name, str) or name not in services.store.discriminators:
        raise UserError(services.store.refused.get(str(name), words.NO_SUCH_DISCRIMINATOR))
    report = services.discriminator_trainer.report(name)
    if report is None:
        raise UserError(words.NO_FIGURES_OF_HEAD)
    return report


def confusion(measured: Measured) -> tuple[list[str], list[list[str]]]:
    """Headers and rows: how often each class is taken for each other."""
    headers = [words.ACTUAL_PREDICTED, *measured.classes]
    rows = [[name, *map(str, row)] for name, row in zip(measured.classes, measured.confusion, strict=True)]
    return headers, rows


def curve(measured: Measured) -> go.Figure:
    """Held-out accuracy against the number of training texts, with 95 % intervals, over the most frequent class."""
    points = measured.curve
    cells = [Cell(100 * point.share, 100 * point.low, 100 * point.high) for point in points]
    color = COLORS["pplm"]
    plot = go.Figure(
        go.Scatter(
            x=[point.rows for point in points],
            y=[cell.value for cell in cells],
            error_y=whiskers(cells, color),
            mode="lines+markers",
            line={"color": color, "width": 2},
            marker={"size": 8, "color": color},
            hoverinfo="text",
            hovertext=[f"{point.rows:,}: {common.percent(point.share)}" for point in points],
        )
    )
    plot.add_hline(
        y=100 * measured.largest_class,
        line={"color": COLORS["base"], "dash": "dot", "width": 1.5},
        annotation={"text": words.LARGEST_CLASS, "font": {"size": 12}},
        annotation_position="bottom right",
    )
    plot.update_xaxes(type="log", title_text=words.TRAINING_TEXTS)
    plot.update_xaxes(tickvals=[point.rows for point in points], ticktext=[f"{point.rows:,}" for point in points])
    plot.update_yaxes(title_text=words.HELD_OUT_ACCURACY)
    return dressed(plot, CURVE_HEIGHT)
