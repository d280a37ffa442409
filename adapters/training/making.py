"""Makes an adapter: from an order to a folder with its card, for the command line and the app alike."""

import json
import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from adapters.adapter_files import new_folder, store_as_float16, write_owner
from adapters.base_model import BaseModel
from adapters.cards import machine, write_report
from adapters.lora.lora import targets
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, to_json
from adapters.training.batches import Example, evenly
from adapters.training.card import Report, card, greedy, samples, score
from adapters.training.corpus import Dataset, Row, encode, pair, rows_of, split
from adapters.training.loop import Training, adapted, read_checkpoint, round_to_float16, write_checkpoint
from adapters.training.order import MAX_STEPS, Event, Plan, StepSample, Telling, TrainOrder, TrainSettings
from adapters.training.speeds import STEP_TOKENS

CURVE_POINTS = 200  # of a report
GENERAL_ROWS = 128  # rows of general text measured at the end
LEAST_ROOM = 8  # tokens beside a prefix


class Place(NamedTuple):
    folder: Path  # of the adapter
    command: str  # that repeats the training
    logs: Path  # of tensorboard
    general_rows: int = GENERAL_ROWS
    held_out: int | None = None  # held-out rows measured at the end; None: all
    owner: str | None = None
    checkpoint: Path | None = None  # written at each measurement; None: never
    deadline: float = math.inf  # of time.monotonic(): a step that ends later is the last for now


class Paused(Exception):
    """The deadline has passed; a checkpoint has everything that the training needs to go on."""


class Material(NamedTuple):
    rows: list[Row]
    held_out: list[Row]
    training: list[Example]
    validation: list[Example]
    notes: tuple[str, ...]


def prepare(base: BaseModel, order: TrainOrder, data: Dataset) -> tuple[TrainSettings, Material]:
    """An order's settings, with its steps and a fitting max_length, and its encoded data. Raises UserError."""
    settings, notes = fitting(base, order)
    material = encoded(base, data, settings.max_length, order.validation_share)
    settings, late = with_steps(order, settings, len(material.training))
    return settings, material._replace(notes=(*notes, *material.notes, *late))


def fitting(base: BaseModel, order: TrainOrder) -> tuple[TrainSettings, list[str]]:
    """The settings with a max_length that fits into the context, and notes. Raises UserError."""
    settings, notes = order.settings, []
    virtual = 0 if isinstance(settings.adapter, LoraSettings) else settings.adapter.num_virtual_tokens
    room = base.context_length - virtual
    if room < LEAST_ROOM:
        raise UserError(
            f"{virtual:,} virtual tokens leave no room in a context of {base.context_length:,}: take fewer."
        )
    if len(base.encode(order.sample_prompt)) + STEP_TOKENS > room:
        raise UserError(f"The sample prompt is too long for a context of {base.context_length:,} tokens: shorten it.")
    if settings.max_length > room:
        notes.append(f"max_length is {room:,} instead of {settings.max_length:,}: the context holds no more.")
        settings = replace(settings, max_length=room)
    if isinstance(settings.adapter, LoraSettings):
        targets(base.model, settings.adapter.target_modules)
    return settings, notes


def encoded(base: BaseModel, data: Dataset, max_length: int, validation_share: float) -> Material:
    """Read, split and encode a data set. Raises UserError without examples."""
    rows, held_out = split(rows_of(data), data, validation_share)
    training, validation = (encode(base, part, max_length, data.whole) for part in (rows, held_out))
    long = f"of {len(rows) + len(held_out):,} rows longer than {max_length:,} tokens (max_length)"
    told = {
        "cut into pieces of that length": training.cut + validation.cut,
        "left out": training.left_out + validation.left_out,
    }
    notes = tuple(f"{count:,} {long}: {what}." for what, count in told.items() if count)
    sizes = len(training.examples), len(validation.examples)
    if not all(sizes):
        found = " ".join([f"{sizes[0]} examples to train and {sizes[1]} to validate on:", *notes])
        raise UserError(f"{found} Give more rows, or raise max_length.")
    return Material(rows, held_out, training.examples, validation.examples, notes)


def with_steps(order: TrainOrder, settings: TrainSettings, num_examples: int) -> tuple[TrainSettings, list[str]]:
    """The settings with the steps of the order's epochs, and a note on a long warm-up. Raises UserError."""
    if order.epochs is not None:
        steps = math.ceil(order.epochs * math.ceil(num_examples / settings.batch_size))
        if steps > MAX_STEPS:
            raise UserError(f"{order.epochs:g} epochs are {steps:,} steps, at most {MAX_STEPS:,} are allowed.")
        settings = replace(settings, steps=steps)
    if settings.warmup_steps < settings.steps:
        return settings, []
    return settings, [f"The warm-up of {settings.warmup_steps} steps does not end in {settings.steps}: lr stays low."]


def make_adapter(
    base: BaseModel, order: TrainOrder, data: Dataset, place: Place, stop: Callable[[], bool] = lambda: False
) -> Generator[Event, None, Report]:
    """Train an adapter, measure it and write its folder; yield its events. Raises UserError.

    Wraps `base` in place. Goes on from the checkpoint of `place`. The folder is written after all measurements.
    """
    yield "reading the rows"
    settings, material = prepare(base, order, data)
    yield f"{len(material.rows):,} rows to train, {len(material.held_out):,} to validate on"
    yield Plan(settings.steps, material.notes)
    model: Any = adapted(base, settings)
    training = Training(model, settings, material.training, material.validation)
    if place.checkpoint is not None and (saved := read_checkpoint(place.checkpoint)) is not None:
        training.go_on(saved)
        yield f"going on after step {saved.progress.step}"
    ended = yield from followed(base, training, order, place, stop)
    measured = yield from measure_both(base, training, material, place)
    progress = training.progress
    report = Report(
        name=order.name,
        base=base.id,
        about=order.about or data.about,
        licence=order.licence or data.licence,
        command=place.command,
        machine=machine(),
        settings=settings,
        steps=progress.step,
        best_step=progress.best_step,
        seconds=progress.seconds,
        training_rows=len(material.rows),
        validation_rows=len(material.held_out),
        general_rows=place.general_rows,
        prompted=pair(material.held_out[0]) is not None,
        epochs=progress.step / math.ceil(len(material.training) / settings.batch_size),
        ended=ended,
        validation_share=order.validation_share,
        curve=(*evenly(progress.curve[:-1], CURVE_POINTS - 1), progress.curve[-1]),
        **measured,
    )
    with new_folder(place.folder) as made:
        # Without the flag PEFT asks the Hub whether the vocabulary was resized.
        model.save_pretrained(made, save_embedding_layers=False)
        store_as_float16(made)
        write_owner(made, place.owner)
        write_report(report, card(report), made)
    return report


def measure_both(base: BaseModel, training: Training, material: Material, place: Place) -> Telling[dict[str, Any]]:
    """The measured part of a report, for adapter and base model; yield what is being measured."""
    model: Any = training.model
    examples, notes = evenly(material.validation, place.held_out), material.notes
    if len(examples) < len(material.validation):
        part = f"{len(examples):,} of {len(material.validation):,}"
        notes = (*notes, f"Measured at the end: {part} held-out examples.")
    held_out = examples, evenly(material.held_out, place.held_out), place.general_rows
    yield f"the best step was {training.progress.best_step}; measuring the adapter"
    round_to_float16(model)
    found = {"adapter_scores": score(base, model, *held_out), "samples": samples(base, model, material.held_out)}
    yield "measuring the base model"
    with model.disable_adapter():
        return found | {"base_scores": score(base, model, *held_out), "notes": notes}


def followed(
    base: BaseModel, training: Training, order: TrainOrder, place: Place, stop: Callable[[], bool]
) -> Generator[Event, None, Any]:
    """The steps of a training, with samples, checkpoints and trackers; return why it ended."""
    if stop() and training.progress.step == 0:
        raise UserError("It was stopped before its first step: nothing was kept.")
    steps, tools = training.run(stop), trackers(order, place.logs)

    def sample(step: int) -> StepSample:
        return StepSample(step, greedy(base, training.model, [order.sample_prompt], STEP_TOKENS)[0])

    try:
        if order.sample_prompt and training.progress.step == 0:
            with training.model.disable_adapter():  # type: ignore[operator]
                yield sample(0)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            named = {"train/loss": step.loss, "train/tokens": float(step.tokens), "eval/loss": step.validation_loss}
            for tool in tools:
                tool.log({name: value for name, value in named.items() if value is not None}, step.step)
            yield step
            if order.sample_prompt and step.step % order.sample_every == 0:
                yield sample(step.step)
            late = time.monotonic() > place.deadline and step.step < training.settings.steps
            if place.checkpoint is not None and (late or step.validation_loss is not None):
                write_checkpoint(place.checkpoint, training.saved())
            if late:
                raise Paused
    finally:
        for tool in tools:
            tool.finish()


def check_tools(tools: Sequence[str]) -> None:
    """Raise UserError for a tool that is not installed."""
    for tool in tools:
        if find_spec(tool) is None:
            raise UserError(f"{tool} is not installed: run `pip install {tool}`, or leave it out of report_to.")


def trackers(order: TrainOrder, logs: Path) -> list[Any]:
    """Accelerate's trackers of the tools that the order names, started. Raises UserError."""
    check_tools(order.report_to)
    from accelerate.tracking import TensorBoardTracker, TrackioTracker  # takes a second

    found: list[Any] = [
        TensorBoardTracker(order.name, logs) if tool == "tensorboard" else TrackioTracker("steerboard", name=order.name)
        for tool in order.report_to
    ]
    for tool in found:
        tool.start()
        tool.store_init_configuration({"order": json.dumps(to_json(order))})
    return found
