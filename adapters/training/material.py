"""What an order is trained on: its rows, read, split and encoded.

Knows orders, rows and the tokenizer; knows nothing of how a step is made.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from adapters.base_model import BaseModel
from adapters.lora.lora import targets
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.batches import Example
from adapters.training.corpus import Dataset, Row, encode, rows_of, split
from adapters.training.order import MAX_STEPS, TrainOrder, TrainSettings

STEP_TOKENS = 40  # of a sample during training
LEAST_ROOM = 8  # tokens beside a prefix


class Material(NamedTuple):
    """What an order is trained on."""

    rows: list[Row]
    held_out: list[Row]
    training: list[Example]
    validation: list[Example]
    settings: TrainSettings  # of the order, with the steps of its epochs and a max_length that fits
    notes: tuple[str, ...]

    @property
    def epochs(self) -> float:
        """Times that the examples are read in all steps."""
        return self.settings.steps / math.ceil(len(self.training) / self.settings.batch_size)


def prepare(base: BaseModel, order: TrainOrder, data: Dataset) -> Material:
    """Read, split and encode the data of an order. Raises UserError for what cannot be trained."""
    settings, notes = fitting(base, order)
    material = encoded(base, data, settings, order.validation_share)
    settings, late = with_steps(order, settings, len(material.training))
    return material._replace(settings=settings, notes=(*notes, *material.notes, *late))


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


def encoded(base: BaseModel, data: Dataset, settings: TrainSettings, validation_share: float) -> Material:
    """Read, split and encode a data set by max_length of the settings. Raises UserError without examples."""
    max_length = settings.max_length
    rows, held_out = split(rows_of(data), data, validation_share)
    parts = [encode(base, part, max_length, data.whole) for part in (rows, held_out)]
    both = parts[0]._replace(cut=parts[0].cut + parts[1].cut, left_out=parts[0].left_out + parts[1].left_out)
    notes = both.notes(len(rows) + len(held_out), max_length)
    training, validation = parts[0].examples, parts[1].examples
    if not training or not validation:
        told = " ".join([f"{len(training)} examples to train and {len(validation)} to validate on:", *notes])
        raise UserError(f"{told} Give more rows, or raise max_length.")
    return Material(rows, held_out, training, validation, settings, tuple(notes))


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
