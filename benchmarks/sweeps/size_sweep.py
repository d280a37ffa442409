"""Trains adapters of several sizes and seeds, and estimates held-out perplexity with intervals.

    perplexity = exp(mean over seeds of (sum of losses / number of tokens))
    exact      = mean over seeds of the share of questions answered word for word
    interval   = 2.5 and 97.5 percentiles over resamples of seeds and of held-out examples (the same for all sizes)

Trainings that the results file holds are not run again.
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
from adapters.lora.settings import LoraSettings
from adapters.methods import STRICT, UserError, from_json, to_json
from adapters.training.batches import tallies
from adapters.training.card import MEASURE_BATCH, exact_matches
from adapters.training.corpus import Dataset
from adapters.training.loop import Training, adapted
from adapters.training.making import Material, prepare
from adapters.training.order import TrainOrder, TrainSettings

RESAMPLES, RESAMPLE_SEED = 2_000, 20_211_125
Losses: TypeAlias = tuple[tuple[float, int], ...]  # of each held-out example: nats and tokens, end token included
Matches: TypeAlias = tuple[bool, ...]  # of each held-out question; () if the rows are no questions
Numbers: TypeAlias = NDArray[np.float64]
Axis = Literal["r", "num_virtual_tokens"]


@dataclass(frozen=True, config=STRICT)
class HeldOut:
    """The held-out rows of a data set, and the base model's scores on them."""

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

    held_out: int  # index in Results.held_out
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
    """Everything a results file holds."""

    held_out: tuple[HeldOut, ...] = ()
    points: tuple[Point, ...] = ()
    commands: tuple[str, ...] = ()

    def find(self, held_out: int, settings: TrainSettings) -> Point | None:
        """The point with these settings, if it was measured."""
        return next((p for p in self.points if p.held_out == held_out and p.settings == settings), None)


class Estimated(NamedTuple):
    """A mean over seeds, with its 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: tuple[float, ...]  # of each training alone


class Figure(NamedTuple):
    """The estimates for one size."""

    value: int
    perplexity: Estimated
    exact: Estimated | None


class Curve(NamedTuple):
    """The figures of trainings that differ in size and seed only."""

    held_out: HeldOut
    axis: Axis
    settings: TrainSettings
    figures: tuple[Figure, ...]
    base: Figure


def read_results(file: Path) -> Results:
    """Load a results file; empty results if it is missing. Raises UserError."""
    if not file.is_file():
        return Results()
    try:
        return from_json(Results, json.loads(file.read_text("utf-8")))
    except ValueError as error:
        raise UserError(f"{file} is not a results file of a sweep: name another file for --out.") from error


def write_results(results: Results, file: Path) -> None:
    """Write to a temporary file, then rename it: an interruption loses nothing."""
    aside = file.with_name(f".{file.name}.aside")
    aside.write_text(json.dumps(to_json(results), ensure_ascii=False) + "\n", "utf-8")
    aside.replace(file)


def sweep(
    base: BaseModel, data: Dataset, settings: Sequence[TrainSettings], share: float, results: Results
) -> Iterator[str | Results]:
    """Run the missing trainings; yields messages, and the results after each training. Raises UserError."""
    orders = [TrainOrder("sweep", each, validation_share=share) for each in settings]
    materials = [prepare(base, order, data)[1] for order in orders]  # check everything before the first training
    for number, (order, material) in enumerate(zip(orders, materials, strict=True), start=1):
        index, results = noted(results, base, data, order, material)
        if results.find(index, order.settings) is not None:
            yield f"{number} of {len(orders)}: {size_of(order.settings)} is measured already"
            continue
        yield f"{number} of {len(orders)}: {size_of(order.settings)}"
        point = yield from trained(base, order.settings, material, index)
        results = replace(results, points=(*results.points, point))
        yield results


def size_of(settings: TrainSettings) -> str:
    adapter = settings.adapter
    size = f"r {adapter.r}" if isinstance(adapter, LoraSettings) else f"{adapter.num_virtual_tokens} virtual tokens"
    return f"{size}, seed {settings.seed}"


def noted(
    results: Results, base: BaseModel, data: Dataset, order: TrainOrder, material: Material
) -> tuple[int, Results]:
    """The index of the held-out rows in the results; scores the base model on them if they are new.

    Changed rows are recognised by their numbers of tokens.
    """
    tokens = [len(example.ids) - example.start for example in material.validation]
    share, length = order.validation_share, order.settings.max_length
    asked = (base.id, base.weights_hash, data.file.name, share, length)
    for index, known in enumerate(results.held_out):
        same = (known.base, known.base_hash, known.data, known.validation_share, known.max_length) == asked
        if same and [count for _, count in known.losses] == tokens:
            return index, results
    own = HeldOut(*asked, *measured(base, base.model, material))
    return len(results.held_out), replace(results, held_out=(*results.held_out, own))


def trained(base: BaseModel, settings: TrainSettings, material: Material, index: int) -> Generator[str, None, Point]:
    """Train one adapter, then remove it from the base model; yields messages, returns the point."""
    model: Any = adapted(base, settings)
    training = Training(model, settings, material.training, material.validation)
    for step in training.run():
        if step.validation_loss is not None:
            yield f"  step {step.step}/{settings.steps}: {step.seconds:.0f} s, validation {step.validation_loss:.3f}"
    found = measured(base, model, material)
    if isinstance(settings.adapter, LoraSettings):
        model.unload()
    return Point(index, settings, training.progress.best_step, training.progress.seconds, *found)


def measured(base: BaseModel, model: Any, material: Material) -> tuple[Losses, Matches]:
    """The scores of `model`, with or without an adapter, on the held-out rows."""
    parts = tallies(model, material.validation, MEASURE_BATCH)
    losses = tuple((round(p.text_nll + p.end_nll, 4), p.text_tokens + p.end_tokens) for p in parts)
    return losses, tuple(exact_matches(base, model, material.held_out))


def curves(results: Results) -> list[Curve]:
    """Group the points by held-out rows and settings."""
    groups: dict[tuple[int, TrainSettings], list[Point]] = {}
    for point in results.points:
        sizeless: dict[str, Any] = {point.axis: 1}
        adapter = replace(point.settings.adapter, **sizeless)
        groups.setdefault((point.held_out, replace(point.settings, adapter=adapter, seed=0)), []).append(point)
    return [
        Curve(
            results.held_out[index],
            points[0].axis,
            settings,
            tuple(
                figure(value, [p for p in points if p.value == value]) for value in sorted({p.value for p in points})
            ),
            of_base(results.held_out[index], points[0]),
        )
        for (index, settings), points in groups.items()
    ]


def of_base(held_out: HeldOut, point: Point) -> Figure:
    """The base model's figure, as a point of size 0."""
    return figure(0, [replace(point, losses=held_out.losses, exact=held_out.exact)])


def figure(value: int, points: Sequence[Point]) -> Figure:
    """Estimate perplexity and exact answers from all trainings of one size."""
    losses = np.array([point.losses for point in points])  # (seeds, examples, 2)
    exact = np.array([point.exact for point in points], dtype=float)  # (seeds, questions)
    mean, low, high, seeds = estimated(losses[..., 0], losses[..., 1])
    perplexity = Estimated(math.exp(mean), math.exp(low), math.exp(high), tuple(map(math.exp, seeds)))
    return Figure(value, perplexity, estimated(exact, np.ones_like(exact)) if exact.size else None)


def estimated(sums: Numbers, counts: Numbers) -> Estimated:
    """The mean over seeds of sum(sums) / sum(counts); both are (seeds, examples)."""
    random = np.random.default_rng(RESAMPLE_SEED)
    seeds, examples = sums.shape
    drawn = random.multinomial(examples, np.full(examples, 1 / examples), size=RESAMPLES)  # (resamples, examples)
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds  # (resamples, seeds)
    means = ((drawn @ sums.T) / (drawn @ counts.T) * weights).sum(1)
    own = sums.sum(1) / counts.sum(1)
    low, high = np.quantile(means, [0.025, 0.975]).tolist()
    return Estimated(float(own.mean()), low, high, tuple(own.tolist()))
