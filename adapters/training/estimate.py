"""What a training will take: parameters exactly, memory and time about, before anything is loaded or trained.

Knows shapes, token counts and this machine; changes nothing of the model. Letters: T tokens of the largest batch, K of
them scored, V vocabulary, S outputs of all linear layers together, A those of the adapted ones.

    memory = libraries + 1.6 weights + 24 bytes a trained parameter (weight, gradient, two moments, best, checkpoint)
             + 4 (2.5 S + 1.3 A) T + 12 V K

The factors were fitted to the peaks of four trainings of the embedded model (LoRA on attention and on all layers, with
DoRA, batches of 256 and 1,024 tokens): 1.9 to 4.3 GB, within a fifth. For prefixes they are a rough guess.
"""

import json
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from adapters.base_model import BaseModel
from adapters.kv import Shape
from adapters.lora import lora
from adapters.lora.lora import LoraSettings
from adapters.prefix import prefix
from adapters.training.batches import Example
from adapters.training.material import Material
from adapters.training.order import QUEUED_GENERAL_ROWS, QUEUED_HELD_OUT, TrainSettings, TrainStep

LIBRARIES = 410_000_000  # bytes, once they are imported
SPEED_FILE = "speed.json"
OF_A_STEP = 1 / 3  # of the time of a training token, that a measured one takes
GENERAL_TOKENS = 120  # of a row of general text
PROBE_ROWS, PROBE_ROUNDS = 256, 5
SLOWER = 2.0  # than its matrix products alone a step is


class Estimate(NamedTuple):
    """What a training will take, before it is started."""

    trainable: int
    share: float  # of all parameters, the adapter's included
    num_bytes: int  # of memory that the training process will need
    seconds: float  # on this machine
    training_examples: int
    validation_examples: int
    steps: int
    notes: tuple[str, ...]  # what was cut or left out, and where the estimate comes from


def estimate(base: BaseModel, shape: Shape, material: Material, jobs: Path) -> Estimate:
    """What the material will take with its settings; `jobs` is where speeds are noted. Raises UserError."""
    settings = material.settings
    trainable = num_trainable(base, shape, settings)
    whole = base.model.num_parameters()
    speed = known_speed(jobs, base.id, settings)
    told = "Time: as fast as the newest training here."
    if speed is None:
        speed = probed_speed(base)
        told = "Time: from a matrix product timed just now; after the first training it comes from that."
    return Estimate(
        trainable=trainable,
        share=trainable / (whole + trainable),
        num_bytes=memory(base, material, trainable),
        seconds=speed * num_tokens(material),
        training_examples=len(material.training),
        validation_examples=len(material.validation),
        steps=settings.steps,
        notes=(*material.notes, told),
    )


def num_trainable(base: BaseModel, shape: Shape, settings: TrainSettings) -> int:
    """Parameters that are trained, from shapes alone. Raises UserError."""
    if isinstance(settings.adapter, LoraSettings):
        return lora.num_parameters(base.model, settings.adapter)
    return prefix.num_parameters(shape, settings.adapter)


def memory(base: BaseModel, material: Material, trainable: int) -> int:
    """Bytes at the peak of a step; see the head of this file."""
    adapter, size = material.settings.adapter, material.settings.batch_size
    linear = [lora.linear_shape(m) for m in base.model.modules() if m is not base.model.get_output_embeddings()]
    outputs = sum(shape[1] for shape in linear if shape)
    adapted = 0
    if isinstance(adapter, LoraSettings):
        endings = lora.targets(base.model, adapter.target_modules)
        adapted = sum(out for _, out in lora.target_shapes(base.model, endings).values())
    tokens = size * max(len(example.ids) for example in material.training)
    scored = size * max(len(example.ids) - example.start for example in material.training)
    weights = sum(p.numel() * p.element_size() for p in base.model.parameters())
    activations = 4 * (2.5 * outputs + 1.3 * adapted) * tokens + 12 * base.model.config.vocab_size * scored
    return round(LIBRARIES + 1.6 * weights + 24 * trainable + activations)


def num_tokens(material: Material) -> float:
    """Tokens that are read, measured ones counted by what they cost against those of a step."""
    settings = material.settings
    trained = mean_length(material.training) * settings.batch_size * settings.steps
    checked = mean_length(material.validation) * min(len(material.validation), settings.eval_examples)
    held_out = min(len(material.validation), QUEUED_HELD_OUT)
    at_the_end = 2 * (mean_length(material.validation) * held_out + QUEUED_GENERAL_ROWS * GENERAL_TOKENS)
    return trained + OF_A_STEP * (checked * settings.steps / settings.eval_every + at_the_end)


def mean_length(examples: list[Example]) -> float:
    return sum(len(example.ids) for example in examples) / len(examples)


def probed_speed(base: BaseModel) -> float:
    """Seconds a training token, from products with the largest weight of a layer: forward, and back through it."""
    head = base.model.get_output_embeddings()
    layers = [m for m in base.model.modules() if isinstance(m, nn.Linear | lora.Conv1D) and m is not head]
    weight = max((layer.weight.detach() for layer in layers), key=torch.numel)
    rows = torch.ones(PROBE_ROWS, weight.shape[0], device=weight.device, dtype=weight.dtype)
    times = []
    for _ in range(PROBE_ROUNDS):
        began = time.perf_counter()
        (rows @ weight)[0, 0].item()
        times.append(time.perf_counter() - began)
    a_parameter = min(times) / (PROBE_ROWS * weight.numel())  # seconds for one row and one parameter
    return 2 * SLOWER * a_parameter * base.model.num_parameters()


def known_speed(jobs: Path, base: str, settings: TrainSettings) -> float | None:
    """Seconds a training token in the newest training of this kind."""
    found = speeds(jobs).get(key(base, settings))
    return None if found is None else float(found)


def note_speed(jobs: Path, base: str, settings: TrainSettings, step: TrainStep) -> None:
    """Notes how fast a training was, from its last step."""
    known = speeds(jobs) | {key(base, settings): step.seconds / step.tokens}
    aside = jobs / f".{SPEED_FILE}"
    aside.write_text(json.dumps(known), "utf-8")
    aside.replace(jobs / SPEED_FILE)


def speeds(jobs: Path) -> dict[str, float]:
    file = jobs / SPEED_FILE
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def key(base: str, settings: TrainSettings) -> str:
    """What makes trainings about equally fast."""
    kind = "LoRA" if isinstance(settings.adapter, LoraSettings) else "prefix"
    return f"{base} {kind}{' bfloat16' if settings.bfloat16 else ''}"
