"""Makes an adapter: from an order to a folder with its card, for the command line and the app alike."""

import json
from collections.abc import Callable, Generator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from adapters.adapter_files import CARD_FILE, METRICS_FILE, new_folder, store_as_float16, write_owner
from adapters.base_model import BaseModel
from adapters.methods import UserError, to_json
from adapters.training.batches import evenly
from adapters.training.card import Report, card, machine
from adapters.training.corpus import Dataset, pair
from adapters.training.loop import (
    Progress,
    Training,
    adapted,
    never,
    read_checkpoint,
    round_to_float16,
    write_checkpoint,
)
from adapters.training.material import STEP_TOKENS, Material, prepare
from adapters.training.order import GENERAL_ROWS, Event, Plan, StepSample, TrainOrder, TrainStep
from adapters.training.scores import greedy, samples, score

CURVE_POINTS = 200  # of a report


class Place(NamedTuple):
    """Where an adapter goes, and its checkpoint."""

    folder: Path  # of the adapter
    command: str  # that repeats the training
    logs: Path  # of tensorboard
    general_rows: int = GENERAL_ROWS  # measured at the end
    held_out: int | None = None  # held-out rows measured then; None: all
    owner: str | None = None
    checkpoint: Path | None = None  # written at each measurement; None: never


def make_adapter(
    base: BaseModel, order: TrainOrder, data: Dataset, place: Place, stop: Callable[[], bool] = never
) -> Generator[Event, None, Report]:
    """Train an adapter, measure it and write its folder; yield its events. Raises UserError.

    Wraps `base` in place. Goes on from the checkpoint of `place`. The folder is written after all measurements.
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
    """The measured part of a report, for adapter and base model; yield what is being measured."""
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
    """The part of a report about the rows and the training."""
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
    """The steps of a training, with samples, checkpoints and trackers; return why it ended."""
    if stop() and training.progress.step == 0:
        raise UserError("It was stopped before its first step: nothing was kept.")
    steps, tools = training.run(stop), trackers(order, place.logs)
    try:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            for tool in tools:
                tool.log(figures(step), step.step)
            yield step
            if order.sample_prompt and step.step % order.sample_every == 0:
                yield StepSample(step.step, greedy(base, training.model, [order.sample_prompt], STEP_TOKENS)[0])
            if place.checkpoint is not None and step.validation_loss is not None:
                write_checkpoint(place.checkpoint, training.saved())
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

    made = {
        "tensorboard": lambda: TensorBoardTracker(order.name, logs),
        "trackio": lambda: TrackioTracker("steerboard", name=order.name),
    }
    found: list[Any] = [made[tool]() for tool in order.report_to]
    for tool in found:
        tool.start()
        tool.store_init_configuration({"order": json.dumps(to_json(order))})
    return found


def figures(step: TrainStep) -> dict[str, float]:
    """The figures of a step, under the names that these tools use."""
    found = {"train/loss": step.loss, "train/tokens": float(step.tokens)}
    return found if step.validation_loss is None else found | {"eval/loss": step.validation_loss}


def write_folder(model: Any, report: Report, place: Place) -> None:
    """Write an adapter's folder whole, replacing an older one."""
    with new_folder(place.folder) as made:
        # Without the flag PEFT asks the Hub whether the vocabulary was resized.
        model.save_pretrained(made, save_embedding_layers=False)
        store_as_float16(made)
        write_owner(made, place.owner)
        write_texts(report, made)


def write_texts(report: Report, folder: Path) -> None:
    """Write the figures and their card."""
    (folder / METRICS_FILE).write_text(json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
    (folder / CARD_FILE).write_text(card(report), "utf-8")
