"""Trains at several sizes and seeds, and tells held-out perplexity with intervals.

    perplexity = exp(mean over seeds of (sum of losses / number of tokens)), and of questions the share that is answered
    word for word, as a mean over seeds;  interval = 2.5 and 97.5 percentiles of it over resamples of the held-out
    examples (the same for all sizes) and of the seeds

Knows settings, losses and the file of results; knows nothing of drawings. A point that is in the file costs nothing.
"""

import json
import math
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass

from adapters.base_model import BaseModel
from adapters.lora.lora import LoraSettings
from adapters.methods import STRICT, UserError, from_json, to_json
from adapters.training.batches import tallies
from adapters.training.corpus import Dataset
from adapters.training.loop import Training, adapted
from adapters.training.material import Material, prepare
from adapters.training.order import TrainOrder, TrainSettings
from adapters.training.scores import MEASURE_BATCH, exact_matches

RESAMPLES, RESAMPLE_SEED = 2_000, 20_211_125
Losses: TypeAlias = tuple[tuple[float, int], ...]  # of each held-out example: nats, tokens; end tokens included
Matches: TypeAlias = tuple[bool, ...]  # of each held-out question: answered word for word; () where there are none
Numbers: TypeAlias = NDArray[np.float64]
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
    exact: Matches


@dataclass(frozen=True, config=STRICT)
class Point:
    """One training."""

    held_out: int  # its place in the file
    settings: TrainSettings
    best_step: int
    seconds: float
    losses: Losses
    exact: Matches

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


class Estimated(NamedTuple):
    """A figure over seeds and held-out examples, with its 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]  # of each training alone


class Figure(NamedTuple):
    """What was measured at a size."""

    value: int
    perplexity: Estimated
    exact: Estimated | None  # share of questions answered word for word


class Curve(NamedTuple):
    """The figures of one kind of adapter on one data set, with settings that differ in size and seed alone."""

    held_out: HeldOut
    axis: Axis
    settings: TrainSettings
    figures: tuple[Figure, ...]
    base: Figure


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
    own = HeldOut(*asked, *measured(base, base.model, material))
    return len(results.held_out), replace(results, held_out=(*results.held_out, own))


def trained(base: BaseModel, settings: TrainSettings, material: Material, place: int) -> Generator[str, None, Point]:
    """Trains one adapter and takes it off the base model again; yields lines, returns the point."""
    model: Any = adapted(base, settings)
    training = Training(model, settings, material.training, material.validation)
    for step in training.run():
        if step.validation_loss is not None:
            yield f"  step {step.step}/{settings.steps}: {step.seconds:.0f} s, validation {step.validation_loss:.3f}"
    found = measured(base, model, material)
    if isinstance(settings.adapter, LoraSettings):
        model.unload()
    return Point(place, settings, training.progress.best_step, training.progress.seconds, *found)


def measured(base: BaseModel, model: Any, material: Material) -> tuple[Losses, Matches]:
    """What `model`, the base model or one with an adapter, scores on what is held out."""
    parts = tallies(model, material.validation, MEASURE_BATCH)
    losses = tuple((round(p.text_nll + p.end_nll, 4), p.text_tokens + p.end_tokens) for p in parts)
    return losses, tuple(exact_matches(base, model, material.held_out))


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
            of_base(results.held_out[place], points[0]),
        )
        for (place, settings), points in groups.items()
    ]


def of_base(held_out: HeldOut, point: Point) -> Figure:
    """What the base model scores, as if it were the point of size 0."""
    return figure(0, [replace(point, losses=held_out.losses, exact=held_out.exact)])


def figure(value: int, points: Sequence[Point]) -> Figure:
    """What the trainings of one size come to."""
    losses = np.array([point.losses for point in points])  # (seeds, examples, 2)
    exact = np.array([point.exact for point in points], dtype=float)  # (seeds, questions)
    mean, low, high, seeds = estimated(losses[..., 0], losses[..., 1])
    perplexity = Estimated(math.exp(mean), math.exp(low), math.exp(high), tuple(map(math.exp, seeds)))
    return Figure(value, perplexity, estimated(exact, np.ones_like(exact)) if exact.size else None)


def estimated(sums: Numbers, counts: Numbers) -> Estimated:
    """The mean over seeds of sums / counts, both (seeds, examples)."""
    random = np.random.default_rng(RESAMPLE_SEED)
    seeds, examples = sums.shape
    drawn = random.multinomial(examples, np.full(examples, 1 / examples), size=RESAMPLES)  # (resamples, examples)
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds  # (resamples, seeds)
    means = ((drawn @ sums.T) / (drawn @ counts.T) * weights).sum(1)
    own = sums.sum(1) / counts.sum(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return Estimated(float(own.mean()), low, high, tuple(own.tolist()))
