"""What an order is trained on: its rows, read, split and encoded.

Knows orders, rows and the tokenizer; knows nothing of how a step is made.
"""

import math
from dataclasses import replace
from typing import NamedTuple

from adapters.base_model import BaseModel
from adapters.lora.lora import LoraSettings, targets
from adapters.methods import UserError
from adapters.training.batches import Example
from adapters.training.corpus import Dataset, encode, rows_of, split
from adapters.training.order import TrainOrder, TrainSettings
from adapters.training.uploads import Row

STEP_TOKENS = 40  # of a sample on the way
LEAST_ROOM = 8  # tokens beside a prefix


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
