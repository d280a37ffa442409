"""Makes an adapter: from an order to a folder with its card; the same for the command line, the app and a sweep.

Knows orders, data sets and folders; how a step is made is in adapters.training.loop, what a card says in
adapters.training.card.
"""

import json
import math
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.adapter_files import CARD_FILE, METRICS_FILE, new_folder, store_as_float16, write_owner
from adapters.base_model import BaseModel
from adapters.lora.lora import LoraSettings, targets
from adapters.methods import STRICT, UserError, to_json
from adapters.training.batches import evenly
from adapters.training.card import Report, card, machine
from adapters.training.checkpoint import read_checkpoint, write_checkpoint
from adapters.training.corpus import Dataset, Example, encode, pair, rows_of, split
from adapters.training.loop import Progress, Training, TrainSettings, TrainStep, adapted, never, round_to_float16
from adapters.training.reporting import report_to
from adapters.training.scores import greedy, samples, score
from adapters.training.uploads import Row

STEP_TOKENS = 40  # of a sample on the way
GENERAL_ROWS = 128
LEAST_ROOM = 8  # tokens beside a prefix
CURVE_POINTS = 200  # that are kept


@dataclass(frozen=True, config=STRICT)
class TrainOrder:
    """What to train, on what, and what to be told meanwhile."""

    name: str
    settings: TrainSettings
    data: str = ""  # a shipped data set; "" where a file was uploaded
    epochs: Annotated[float, Field(gt=0, le=1_000)] | None = None  # instead of settings.steps
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    sample_prompt: Annotated[str, Field(max_length=2_000)] = ""  # continued every `sample_every` steps; "": never
    sample_every: Annotated[int, Field(ge=1)] = 50
    report_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    about: Annotated[str, Field(max_length=1_000)] = ""  # of the data, for the card; "": what is known of the data set
    licence: Annotated[str, Field(max_length=1_000)] = ""


class StepSample(NamedTuple):
    """What the adapter writes at a step."""

    step: int
    text: str


class Plan(NamedTuple):
    """What is going to be done."""

    steps: int
    notes: tuple[str, ...]  # what was cut or left out of the rows


Event: TypeAlias = str | Plan | TrainStep | StepSample  # a string says what is being done


class Place(NamedTuple):
    """Where an adapter goes, and what is kept on the way."""

    folder: Path  # of the adapter
    command: str  # that makes it again
    logs: Path  # for what `report_to` writes
    general_rows: int = GENERAL_ROWS  # of general text that are measured at the end
    held_out: int | None = None  # rows and examples of them that are measured then; None: all
    owner: str | None = None
    checkpoint: Path | None = None  # the file to go on from; None: nothing is kept


class Material(NamedTuple):
    """What an order is trained on."""

    rows: list[Row]
    held_out: list[Row]
    training: list[Example]
    validation: list[Example]
    settings: TrainSettings  # of the order, with the steps that its epochs come to
    notes: tuple[str, ...]

    @property
    def epochs(self) -> float:
        """Times that the examples are read in all steps."""
        return self.settings.steps / math.ceil(len(self.training) / self.settings.batch_size)


def prepare(base: BaseModel, order: TrainOrder, data: Dataset) -> Material:
    """Reads, splits and encodes the data of an order. Raises UserError for whatever cannot be trained."""
    settings = order.settings
    virtual = 0 if isinstance(settings.adapter, LoraSettings) else settings.adapter.num_virtual_tokens
    room = base.context_length - virtual
    if room < LEAST_ROOM:
        raise UserError(
            f"{virtual:,} virtual tokens leave no room in a context of {base.context_length:,}: take fewer."
        )
    if len(base.encode(order.sample_prompt)) + STEP_TOKENS > room:
        raise UserError(f"The sample prompt is too long for a context of {base.context_length:,} tokens: shorten it.")
    notes = []
    if settings.max_length > room:
        notes.append(f"max_length is {room:,} instead of {settings.max_length:,}: more does not fit into the context.")
        settings = replace(settings, max_length=room)
    if isinstance(settings.adapter, LoraSettings):
        targets(base.model, settings.adapter.target_modules)
    found = rows_of(data)
    rows, held_out = split(found, data, order.validation_share)
    parts = [encode(base, part, settings.max_length, data.whole) for part in (rows, held_out)]
    both = parts[0]._replace(cut=parts[0].cut + parts[1].cut, left_out=parts[0].left_out + parts[1].left_out)
    notes += both.notes(len(rows) + len(held_out), settings.max_length)
    training, validation = parts[0].examples, parts[1].examples
    if not training or not validation:
        told = " ".join([f"{len(training)} examples to train and {len(validation)} to validate on:", *notes])
        raise UserError(f"{told} Give more rows, or raise max_length.")
    if order.epochs is not None:
        steps = math.ceil(order.epochs * math.ceil(len(training) / settings.batch_size))
        settings = replace(settings, steps=steps)
    if settings.warmup_steps >= settings.steps:
        notes.append(f"The warm-up of {settings.warmup_steps} steps is not over in {settings.steps}: lr stays low.")
    return Material(rows, held_out, training, validation, settings, tuple(notes))


def make_adapter(
    base: BaseModel, order: TrainOrder, data: Dataset, place: Place, stop: Callable[[], bool] = never
) -> Generator[Event, None, Report]:
    """Trains an adapter, measures it and writes its folder; yields what it is doing. Raises UserError.

    Wraps `base` in place. Goes on from the checkpoint of `place` where there is one. Nothing is written into the
    folder before all is measured.
    """
    yield "reading the rows"
    material = prepare(base, order, data)
    yield f"{len(material.rows):,} rows to train, {len(material.held_out):,} to validate on"
    yield Plan(material.settings.steps, material.notes)
    model = adapted(base, material.settings)
    training = Training(model, material.settings, material.training, material.validation)
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
        validation_share=order.validation_share,
        general_rows=place.general_rows,
        ended=ended,
        **described(material, progress),
        **measured,
    )
    write_folder(model, report, place)
    return report


def measure_both(
    base: BaseModel, training: Training, material: Material, place: Place
) -> Generator[str, None, dict[str, Any]]:
    """What a report says of the adapter and of the base model below it; yields which it measures."""
    model: Any = training.model
    most = place.held_out or max(len(material.validation), len(material.held_out))
    held_out = evenly(material.validation, most), evenly(material.held_out, most), place.general_rows
    left = len(held_out[0]) < len(material.validation)
    note = f"Measured at the end: {most:,} of {len(material.validation):,} held-out examples."
    yield f"the best step was {training.progress.best_step}; measuring the adapter"
    round_to_float16(model)
    of_adapter = {"adapter_scores": score(base, model, *held_out), "samples": samples(base, model, material.held_out)}
    yield "measuring the base model"
    with model.disable_adapter():
        of_base = {"base_scores": score(base, model, *held_out)}
    return of_adapter | of_base | {"notes": (*material.notes, *([note] if left else []))}


def described(material: Material, progress: Progress) -> dict[str, Any]:
    """What a report says of the rows and of the training."""
    return {
        "machine": machine(),
        "settings": material.settings,
        "steps": progress.step,
        "best_step": progress.best_step,
        "seconds": progress.seconds,
        "training_rows": len(material.rows),
        "validation_rows": len(material.held_out),
        "prompted": pair(material.held_out[0]) is not None,
        "epochs": material.epochs * progress.step / material.settings.steps,
        "curve": (*evenly(progress.curve[:-1], CURVE_POINTS - 1), progress.curve[-1]),
    }


def followed(
    base: BaseModel, training: Training, order: TrainOrder, place: Place, stop: Callable[[], bool]
) -> Generator[Event, None, Any]:
    """The steps of a training, with samples, checkpoints and reports to other tools; returns why it ended."""
    if stop() and training.progress.step == 0:
        raise UserError("It was stopped before its first step: nothing was kept.")
    steps = training.run(stop)
    with report_to(order.report_to, place.logs / order.name, to_json(order)) as tell:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            tell(step)
            yield step
            if order.sample_prompt and step.step % order.sample_every == 0:
                yield StepSample(step.step, greedy(base, training.model, [order.sample_prompt], STEP_TOKENS)[0])
            if place.checkpoint is not None and step.validation_loss is not None:
                write_checkpoint(place.checkpoint, training.saved())


def write_folder(model: Any, report: Report, place: Place) -> None:
    """Writes an adapter's folder whole, in the place of the one that was there."""
    with new_folder(place.folder) as made:
        # Without the flag PEFT asks the Hub whether the vocabulary was resized.
        model.save_pretrained(made, save_embedding_layers=False)
        store_as_float16(made)
        write_owner(made, place.owner)
        write_texts(report, made)


def write_texts(report: Report, folder: Path) -> None:
    """Writes the figures and the card that is made of them."""
    (folder / METRICS_FILE).write_text(json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / CARD_FILE).write_text(card(report), "utf-8")
