"""The processes that measure what methods cost: one trains by one method, one decodes by all.

Knows a model, a pipe and how much memory this process takes. Whoever holds the other end asks for a round and gets its
figures, so that several of these take turns. What is trained are made-up tokens: neither time nor memory depends on
what they say. Time is that of the processor where the model runs on one, with one thread: the clock of a busy machine
also counts what others do.
"""

import copy
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from torch import nn

from adapters.base_model import BaseModel, load_base_model, store_by_long_side
from adapters.decoding.engine import Engine
from adapters.learned.costs import FULL, LORA, MERGED, PREFIX
from adapters.learned.prefix_attention import private
from adapters.lora.lora import LoraSettings
from adapters.lora.merge import merged_state
from adapters.methods import BASE, Method, Request, Sampling, UserError
from adapters.prefix.prefix import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.training.batches import Example, collate
from adapters.training.card import machine
from adapters.training.loop import adapted, update
from adapters.training.order import TrainSettings
from adapters.training.worker import end_with_parent

BATCH, TOKENS = 4, 64  # texts in a step, and tokens of each
DECODED = 16  # new tokens in a round
PROMPT = "Once upon a time"
LR = 1e-6  # so that nothing diverges
LOOKS = 0.002  # seconds between two looks at the memory
ADAPTERS: dict[str, LoraSettings | PrefixSettings] = {LORA: LoraSettings(), PREFIX: PrefixSettings()}


class Ready(NamedTuple):
    """The first answer of a process."""

    base: str
    num_parameters: int  # of the base model
    trained: int
    device: str
    dtype: str
    machine: str


class Step(NamedTuple):
    """What a training step took."""

    seconds: float
    memory: int  # bytes at most, beyond the loaded model


def train(pipe: Connection, model: str | None, home: Path, name: str) -> None:
    """Trains by a method, a step whenever it is asked."""

    def begin() -> tuple[Ready, Callable[[], Any]]:
        base = load_base_model(model, home)
        count = base.model.num_parameters()
        memory = Memory(base.device)
        trained = trainable(base, name)
        parameters = [p for p in trained.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(parameters, lr=LR)
        settings = TrainSettings(adapter=ADAPTERS.get(name, LoraSettings()), batch_size=BATCH, max_length=TOKENS)
        batch = collate([Example(tuple(range(place, place + TOKENS)), 1, False) for place in range(BATCH)])

        def step() -> Step:
            with memory:
                seconds = timed(lambda: update(trained, batch, optimizer, settings), base.device)
            return Step(seconds, memory.most)

        return ready(base, count, sum(p.numel() for p in parameters)), step

    serve(pipe, begin)


def decode(pipe: Connection, model: str | None, home: Path) -> None:
    """Decodes by every method, a round whenever it is asked: name -> seconds a token."""

    def begin() -> tuple[Ready, Callable[[], Any]]:
        base = load_base_model(model, home)
        engines = decoders(base)
        return ready(base, base.model.num_parameters(), 0), lambda: {
            name: token_seconds(engine, method) for name, (engine, method) in engines.items()
        }

    serve(pipe, begin)


def serve(pipe: Connection, begin: Callable[[], tuple[Ready, Callable[[], Any]]]) -> None:
    """Says what was made ready, then answers each message with a round, until the pipe ends; says a UserError too."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    try:
        first, work = begin()
        pipe.send(first)
        while True:
            pipe.recv()
            pipe.send(work())
    except UserError as error:
        pipe.send(error)
    except EOFError:  # nobody asks any longer
        return


def trainable(base: BaseModel, name: str) -> nn.Module:
    """The model whose parameters that ask for gradients are those of the method."""
    if name == FULL:
        module: nn.Module = base.model
        return module.requires_grad_(True)
    return adapted(base, TrainSettings(adapter=ADAPTERS[name]))


def decoders(base: BaseModel) -> dict[str, tuple[Engine, Method]]:
    """An engine and a method of it for each way of decoding; the adapters are fresh, which costs as much as trained."""
    with tempfile.TemporaryDirectory() as folder:
        for name, settings in ADAPTERS.items():
            model: Any = adapted(private(base), TrainSettings(adapter=settings))
            model.save_pretrained(Path(folder) / name, save_embedding_layers=False)
        store = AdapterStore([Path(folder)], base)
    engine = Engine(base, store)
    merged = copy.deepcopy(base.model)
    merged.load_state_dict(merged_state(base, store.lora(LORA)))
    if base.device.type == "cpu":
        store_by_long_side(merged)
    other = replace(base, model=merged)
    return {
        BASE.name: (engine, BASE),
        LORA: (engine, Method(LORA, lora=LORA)),
        MERGED: (Engine(other, AdapterStore([], other)), BASE),
        PREFIX: (engine, Method(PREFIX, prefix=PREFIX)),
    }


def token_seconds(engine: Engine, method: Method) -> float:
    """Median time between two tokens of one row."""
    sampling = Sampling(temperature=0, max_new_tokens=DECODED)
    times = [now(engine.base.device) for _ in engine.generate([Request(PROMPT, method)], sampling)]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    if not gaps:
        raise UserError(f"The base model ends its text at once after {PROMPT!r}, so decoding cannot be timed.")
    return statistics.median(gaps)


def timed(work: Callable[[], Any], device: torch.device) -> float:
    """Seconds that some work takes."""
    started = now(device)
    work()
    return now(device) - started


def now(device: torch.device) -> float:
    """Seconds of this process on a processor; those of the clock where a GPU works, once it has done all it has to."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def ready(base: BaseModel, num_parameters: int, trained: int) -> Ready:
    dtype = str(base.model.dtype).removeprefix("torch.")
    return Ready(base.id, num_parameters, trained, base.device.type, dtype, machine())


class Memory:
    """The most bytes while it is entered, beyond those when it was made: of the GPU, or of this process."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.process, self.most = device, psutil.Process(os.getpid()), 0
        self.before = self._now()

    def __enter__(self) -> None:
        self.done = threading.Event()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        self.looking = threading.Thread(target=self._look)
        self.looking.start()

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.looking.join()

    def _look(self) -> None:
        while True:
            self.most = max(self.most, self._now() - self.before)
            if self.done.wait(LOOKS):
                self.most = max(self.most, self._now() - self.before)
                return

    def _now(self) -> int:
        on_gpu = self.device.type == "cuda"
        return torch.cuda.max_memory_allocated(self.device) if on_gpu else int(self.process.memory_info().rss)
