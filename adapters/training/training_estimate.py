"""What a training takes: parameters exactly, memory and time about, before anything is loaded or trained.

Letters: T tokens of the largest batch, K of them scored, V vocabulary, S outputs of all linear layers together, A those
of the adapted ones.

    memory = libraries + 1.6 weights + 24 bytes a trained parameter (weight, gradient, two moments, best, checkpoint)
             + 4 (2.5 S + 1.3 A) T + 12 V K

The factors were fitted to the peaks of four trainings of the embedded model (LoRA on attention and on all layers, with
DoRA, batches of 256 and 1,024 tokens): 1.9 to 4.3 GB, within a fifth. For prefixes they are a rough guess.
"""

import math
import threading
import time
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path
from statistics import fmean
from timeit import repeat
from typing import NamedTuple

import psutil
import torch
from torch import nn

from adapters.base_model import BaseModel
from adapters.lora import lora
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.prefix import prefix
from adapters.training.batches import evenly
from adapters.training.card import ANSWER_TOKENS, ASKED_ROWS, SAMPLE_TOKENS, short_answers
from adapters.training.corpus import Dataset
from adapters.training.making import encoded, fitting, with_steps
from adapters.training.order import Times, TrainOrder, TrainSettings, measured_rows
from adapters.training.speeds import EXTRA_TOKENS, STEP_TOKENS, Speeds, known_speeds, num_threads

LIBRARIES = 410_000_000  # bytes, once they are imported
MEASURED, WRITTEN = 0.55, 12  # cost of a measured and of a written token against a training token
GENERAL_TOKENS = 180  # of a row of general text, padded
START = 15.0  # seconds of a process, until it begins to train
PROBE_ROWS, PROBE_ROUNDS = 256, 5
FAR_TOKEN = 0.001  # seconds of a training token on a GPU that is lent: a guess, until one was trained
SLOWER = 1.5  # a step against its matrix products alone
NOTED = "Time: from earlier trainings here, for a quiet machine."
PROBED = "Time: from a matrix product timed here, for a quiet machine; after the first training from that."
GUESSED = "Time: a guess, until a first training was measured here."


class Estimate(NamedTuple):
    trainable: int
    share: float  # of all parameters, the adapter's included
    num_bytes: int  # memory of the training process
    times: Times  # on this machine, when nothing else runs
    training_examples: int
    validation_examples: int
    steps: int
    notes: tuple[str, ...]  # rows cut or left out, what is over a limit, where the estimate comes from
    refusal: str = ""  # why it cannot be started

    @property
    def seconds(self) -> float:
        return sum(self.times)


class Counts(NamedTuple):
    training: int
    validation: int
    training_length: float  # mean tokens of an example
    validation_length: float
    longest: int
    most_scored: int  # tokens of one example
    asked: tuple[int, ...]  # tokens of each held-out prompt that is answered at the end
    notes: tuple[str, ...]


class Estimator:
    """Estimates trainings on one base model. Each data set is read and tokenised once for each length and split."""

    def __init__(self, base: BaseModel, jobs: Path, max_minutes: int, max_mb: int, far: bool = False) -> None:
        """`jobs`: the folder of the file of speeds. What is beyond the limits is refused. `far`: not trained here."""
        self._base, self._jobs, self._max_minutes, self._max_mb = base, jobs, max_minutes, max_mb
        self._lock, self._far = threading.Lock(), far
        self._counts = lru_cache(64)(partial(counted, base))
        self._probed = (lambda: FAR_TOKEN) if far else cache(partial(probed_speed, base))

    def estimate(self, order: TrainOrder, data: Dataset) -> Estimate:
        """What an order takes. Raises UserError for what cannot be trained."""
        base = self._base
        settings, notes = fitting(base, order)
        try:
            now = data.file.stat()
        except OSError as error:
            raise UserError(f"Cannot read {data.file.name}: {error.strerror}.") from error
        with self._lock:
            changed = now.st_size, now.st_mtime_ns
            counts = self._counts(data, settings.max_length, order.validation_share, changed)
        settings, late = with_steps(order, settings, counts.training)
        if isinstance(settings.adapter, LoraSettings):
            trainable = lora.num_parameters(base.model, settings.adapter)
        else:
            trainable = prefix.num_parameters(base.cache_shape, settings.adapter)
        known = known_speeds(self._jobs, base.id, settings)
        a_token = known.get("trained") or self._probed()
        speeds = Speeds(**{"start": START, "trained": a_token, "written": WRITTEN * a_token} | known)
        times = times_of(replace(order, settings=settings), counts, speeds)
        num_bytes = memory(base, settings, counts, trainable)
        refusal = self._refusal(sum(times), num_bytes)
        told = NOTED if "trained" in known else GUESSED if self._far else PROBED
        return Estimate(
            trainable,
            trainable / (base.model.num_parameters() + trainable),
            num_bytes,
            times,
            counts.training,
            counts.validation,
            settings.steps,
            notes=(*filter(None, [refusal]), *notes, *counts.notes, *late, told),
            refusal=refusal,
        )

    def _refusal(self, seconds: float, num_bytes: int) -> str:
        """Why a training is too large, in a line; "" where it is not."""
        if seconds > 60 * self._max_minutes:
            return f"It takes about {seconds / 60:,.0f} minutes, {self._max_minutes:,} are allowed: lower the steps."
        most = min(1e6 * self._max_mb, psutil.virtual_memory().total)
        if num_bytes > most:
            needed = f"about {num_bytes / 1e9:.1f} GB of memory, {most / 1e9:.1f} are allowed"
            return f"It needs {needed}: lower batch_size or max_length."
        return ""


def fitted(base: BaseModel, order: TrainOrder, data: Dataset, num_bytes: int) -> TrainOrder:
    """The order with its batch halved, for twice the steps, until it needs at most `num_bytes` or is one example."""
    estimator, settings = Estimator(base, Path(), max_minutes=0, max_mb=0), order.settings
    while settings.batch_size > 1 and estimator.estimate(replace(order, settings=settings), data).num_bytes > num_bytes:
        half, steps, every = settings.batch_size // 2, 2 * settings.steps, 2 * settings.eval_every
        settings = replace(settings, batch_size=half, steps=steps, eval_every=every)
    return replace(order, settings=settings)


def room(device: torch.device) -> int:
    """Bytes that a training may need on its device."""
    total = torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else psutil.virtual_memory().total
    return round(0.8 * total)


def counted(base: BaseModel, data: Dataset, max_length: int, share: float, changed: tuple[int, int]) -> Counts:
    """The counts of a data set. `changed`: size and time of its file, so that a cache knows its versions."""
    material = encoded(base, data, max_length, share)
    training, validation = ([len(e.ids) for e in part] for part in (material.training, material.validation))
    return Counts(
        len(training),
        len(validation),
        fmean(training),
        fmean(validation),
        max(training),
        max(len(example.ids) - example.start for example in material.training),
        tuple(example.start for example in material.validation) if short_answers(material.held_out) else (),
        material.notes,
    )


def memory(base: BaseModel, settings: TrainSettings, counts: Counts, trainable: int) -> int:
    """Bytes at the peak of a step; see the head of this file."""
    linear = [lora.linear_shape(m) for m in base.model.modules() if m is not base.model.get_output_embeddings()]
    outputs = sum(shape[1] for shape in linear if shape)
    adapted = 0
    if isinstance(settings.adapter, LoraSettings):
        endings = lora.targets(base.model, settings.adapter.target_modules)
        adapted = sum(out for _, out in lora.target_shapes(base.model, endings).values())
    tokens, scored = settings.batch_size * counts.longest, settings.batch_size * counts.most_scored
    weights = sum(p.numel() * p.element_size() for p in base.model.parameters())
    activations = 4 * (2.5 * outputs + 1.3 * adapted) * tokens + 12 * base.model.config.vocab_size * scored
    return round(LIBRARIES + 1.6 * weights + 24 * trainable + activations)


def times_of(order: TrainOrder, counts: Counts, speeds: Speeds) -> Times:
    """The seconds of a training; its settings have the steps of its epochs."""
    settings = order.settings
    a_step = settings.batch_size * counts.training_length + EXTRA_TOKENS
    checked = counts.validation_length * min(counts.validation, settings.eval_examples)
    checks = math.ceil(settings.steps / settings.eval_every)
    texts = 1 + settings.steps // order.sample_every if order.sample_prompt else 0
    held_out, general = measured_rows(order)
    measured = counts.validation_length * min(counts.validation, held_out) + general * GENERAL_TOKENS
    lengths = evenly(counts.asked, min(held_out, ASKED_ROWS))
    answers = 1.5 * ANSWER_TOKENS * len(set(lengths))  # one length at a time; those of the adapter end sooner
    training = a_step * settings.steps + MEASURED * checked * checks
    return Times(
        speeds.start,
        speeds.trained * training + speeds.written * STEP_TOKENS * texts,
        speeds.trained * 2 * MEASURED * measured + speeds.written * (2 * SAMPLE_TOKENS + answers),
    )


def probed_speed(base: BaseModel) -> float:
    """Seconds a training token, from products with the largest weight of a layer, forward and backward."""
    head = base.model.get_output_embeddings()
    layers = [m for m in base.model.modules() if isinstance(m, nn.Linear | lora.Conv1D) and m is not head]
    weight = max((layer.weight.detach() for layer in layers), key=torch.numel)
    rows = torch.ones(PROBE_ROWS, weight.shape[0], device=weight.device, dtype=weight.dtype)
    on_cpu = weight.device.type == "cpu"
    clock, threads = (time.thread_time, torch.get_num_threads() / num_threads()) if on_cpu else (time.perf_counter, 1.0)
    times = repeat(lambda: (rows @ weight)[0, 0].item(), number=1, repeat=PROBE_ROUNDS, timer=clock)
    a_parameter = threads * min(times) / (PROBE_ROWS * weight.numel())  # seconds for one row and one parameter
    return 2 * SLOWER * a_parameter * base.model.num_parameters()
