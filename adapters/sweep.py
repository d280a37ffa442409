"""Trains at several sizes and seeds, and tells held-out perplexity with intervals.

    perplexity = exp(mean over seeds of (sum of losses / number of tokens));  interval = 2.5 and 97.5 percentiles of it
    over resamples of the held-out examples (the same for all sizes) and of the seeds

Knows settings, losses and the file of results; knows nothing of drawings. A point that is in the file costs nothing.
"""

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from pydantic.dataclasses import dataclass

from adapters.base_model import BaseModel
from adapters.batches import Tally, tallies
from adapters.corpus import Dataset
from adapters.lora import LoraSettings
from adapters.making import Material, TrainOrder, prepare
from adapters.methods import STRICT, UserError, from_json, to_json
from adapters.scores import MEASURE_BATCH
from adapters.training import Training, TrainSettings, adapted

RESAMPLES, RESAMPLE_SEED = 2_000, 20_211_125
Losses: TypeAlias = tuple[tuple[float, int], ...]  # of each held-out example: nats, tokens; end tokens included
Axis = Literal["r", "num_virtual_tokens"]


@dataclass(frozen=True, config=STRICT)
class HeldOut:
    """What is measured on, and what the base model scores there."""

    base: str
    base_hash: str
    data: str
    validation_share: float
    max_length: int
    losses: Losses


@dataclass(frozen=True, config=STRICT)
class Point:
    """One training."""

    held_out: int  # its place in the file
    settings: TrainSettings
    best_step: int
    seconds: float
    losses: Losses

    @property
    def axis(self) -> Axis:
        return "r" if isinstance(self.settings.adapter, LoraSettings) else "num_virtual_tokens"

    @property
    def value(self) -> int:
        adapter = self.settings.adapter
        return adapter.r if isinstance(adapter, LoraSettings) else adapter.num_virtual_tokens


@dataclass(frozen=True, config=STRICT)
class Results:
    """A file of points."""

    held_out: tuple[HeldOut, ...] = ()
    points: tuple[Point, ...] = ()
    commands: tuple[str, ...] = ()

    def find(self, held_out: int, settings: TrainSettings) -> Point | None:
        """The point of these settings, if it is there."""
        return next((p for p in self.points if p.held_out == held_out and p.settings == settings), None)


class Figure(NamedTuple):
    """Perplexity at a size, over seeds and held-out examples."""

    value: int
    perplexity: float
    low: float
    high: float
    seeds: tuple[float, ...]  # of each training alone


class Curve(NamedTuple):
    """The figures of one kind of adapter on one data set, with settings that differ in size and seed alone."""

    held_out: HeldOut
    axis: Axis
    settings: TrainSettings
    figures: tuple[Figure, ...]
    base: float  # perplexity of the base model


def read_results(file: Path) -> Results:
    """What the file holds; nothing where there is none. Raises UserError."""
    if not file.is_file():
        return Results()
    try:
        return from_json(Results, json.loads(file.read_text("utf-8")))
    except ValueError as error:
        raise UserError(f"{file} is no file of a sweep: name another one for --out.") from error


def write_results(results: Results, file: Path) -> None:
    """Writes the file aside, then renames it."""
    aside = file.with_name(f".{file.name}.aside")
    aside.write_text(json.dumps(to_json(results), ensure_ascii=False) + "\n", "utf-8")
    aside.replace(file)


def sweep(
    base: BaseModel, data: Dataset, settings: Sequence[TrainSettings], share: float, results: Results
) -> Iterator[str | Results]:
    """Trains what is not there yet; yields what it is doing, and the results after each training. Raises UserError."""
    orders = [TrainOrder("sweep", each, validation_share=share) for each in settings]
    materials = [prepare(base, order, data) for order in orders]  # all is checked before anything is trained
    for number, (order, material) in enumerate(zip(orders, materials, strict=True), start=1):
        place, results = noted(results, base, data, order, material)
        if results.find(place, order.settings) is not None:
            yield f"{number} of {len(orders)}: {size_of(order.settings)} is there already"
            continue
        yield f"{number} of {len(orders)}: {size_of(order.settings)}"
        point = yield from trained(base, order.settings, material, place)
        results = replace(results, points=(*results.points, point))
        yield results


def size_of(settings: TrainSettings) -> str:
    adapter = settings.adapter
    size = f"r {adapter.r}" if isinstance(adapter, LoraSettings) else f"{adapter.num_virtual_tokens} virtual tokens"
    return f"{size}, seed {settings.seed}"


def noted(
    results: Results, base: BaseModel, data: Dataset, order: TrainOrder, material: Material
) -> tuple[int, Results]:
    """The place of what is held out here, measured under the base model if it was not there.

    Rows that have changed are told by the number of their tokens.
    """
    tokens = [len(example.ids) - example.start for example in material.validation]
    share, length = order.validation_share, order.settings.max_length
    asked = (base.id, base.weights_hash, data.file.name, share, length)
    for place, known in enumerate(results.held_out):
        same = (known.base, known.base_hash, known.data, known.validation_share, known.max_length) == asked
        if same and [count for _, count in known.losses] == tokens:
            return place, results
    own = HeldOut(*asked, losses_of(tallies(base.model, material.validation, MEASURE_BATCH)))
    return len(results.held_out), replace(results, held_out=(*results.held_out, own))


def trained(base: BaseModel, settings: TrainSettings, material: Material, place: int) -> Generator[str, None, Point]:
    """Trains one adapter and takes it off the base model again; yields lines, returns the point."""
    model: Any = adapted(base, settings)
    training = Training(model, settings, material.training, material.validation)
    for step in training.run():
        if step.validation_loss is not None:
            yield f"  step {step.step}/{settings.steps}: {step.seconds:.0f} s, validation {step.validation_loss:.3f}"
    losses = losses_of(tallies(model, material.validation, MEASURE_BATCH))
    if isinstance(settings.adapter, LoraSettings):
        model.unload()
    return Point(place, settings, training.progress.best_step, training.progress.seconds, losses)


def losses_of(parts: Sequence[Tally]) -> Losses:
    return tuple((round(p.text_nll + p.end_nll, 4), p.text_tokens + p.end_tokens) for p in parts)


def curves(results: Results) -> list[Curve]:
    """The figures of the file, by what they were measured on and by their settings."""
    groups: dict[tuple[int, TrainSettings], list[Point]] = {}
    for point in results.points:
        sizeless: dict[str, Any] = {point.axis: 1}
        adapter = replace(point.settings.adapter, **sizeless)
        groups.setdefault((point.held_out, replace(point.settings, adapter=adapter, seed=0)), []).append(point)
    return [
        Curve(
            results.held_out[place],
            points[0].axis,
            settings,
            tuple(
                figure(value, [p for p in points if p.value == value]) for value in sorted({p.value for p in points})
            ),
            figure(0, [replace(points[0], losses=results.held_out[place].losses)]).perplexity,
        )
        for (place, settings), points in groups.items()
    ]


def figure(value: int, points: Sequence[Point]) -> Figure:
    """Perplexity of the trainings of one size."""
    nats, tokens = (np.array([[pair[part] for pair in p.losses] for p in points]) for part in (0, 1))  # (seeds, rows)
    random = np.random.default_rng(RESAMPLE_SEED)
    count, rows = nats.shape
    drawn = random.multinomial(rows, np.full(rows, 1 / rows), size=RESAMPLES)  # (resamples, rows)
    seeds = random.multinomial(count, np.full(count, 1 / count), size=RESAMPLES) / count  # (resamples, seeds)
    losses = ((drawn @ nats.T) / (drawn @ tokens.T) * seeds).sum(1)
    own = nats.sum(1) / tokens.sum(1)
    low, high = np.exp(np.quantile(losses, [0.025, 0.975])).tolist()
    return Figure(value, float(np.exp(own.mean())), low, high, tuple(np.exp(own).tolist()))
