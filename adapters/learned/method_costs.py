"""What each way of adapting the base model costs here, measured in one run.

    python -m adapters methods [--json FILE]

Each method trains in a child process of its own, so that its memory is its own; one more child decodes with all of
them. They train on made-up tokens: neither time nor memory depends on the words. On a processor, time is processor time
of one thread, because the clock of a busy machine also counts what others do.
"""

import argparse
import copy
import math
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch

from adapters.adapter_files import read_config, write_json
from adapters.base_model import BaseModel, load_base_model, memory, store_by_long_side
from adapters.cards import machine
from adapters.decoding.engine import Engine
from adapters.learned.costs import COLUMNS, FULL, LORA, MERGED, PREFIX, Cost, Costs, about, rows
from adapters.lora.lora import merged_state
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, Method, Request, Sampling, UserError, from_json, to_json
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import FLOAT_BYTES, AdapterStore
from adapters.training.batches import Example, collate
from adapters.training.loop import adapted, update
from adapters.training.order import TrainSettings, finish

ROUNDS = 5  # measured, after one that warms up
BATCH, TOKENS = 4, 64  # texts in a step, tokens of each
DECODED = 16  # new tokens in a round
PROMPT = "Once upon a time"
LR = 1e-6  # nothing diverges
COPIES, BESIDE = 5, 1_500_000_000  # of the weights in full fine-tuning, and bytes of libraries and batches
FILE, DATA = "methods.json", Path(__file__).parents[1] / "data"  # in the home folder; else the shipped one
ADAPTERS: dict[str, LoraSettings | PrefixSettings] = {LORA: LoraSettings(), PREFIX: PrefixSettings()}
Steps = Generator[str, None, Any]


class MethodCosts:
    """The figures of one base model, kept in the home folder."""

    def __init__(self, model: str | None, base: str, home: Path) -> None:
        """`base`: the id of the base model that `model` names."""
        self._model, self._base, self._home = model, base, home

    def stored(self) -> Costs | None:
        """The newest figures of this base model, else the shipped ones, else None. Raises UserError if damaged."""
        files = [folder for folder in (self._home, DATA) if (folder / FILE).is_file()]
        known = (from_json(Costs, read_config(folder, FILE)) for folder in files)
        return next((costs for costs in known if costs.base == self._base), None)

    def measure(self, rounds: int = ROUNDS) -> Generator[str, None, Costs]:
        """Measure all methods, keep the figures; yield what is being done. Closing ends the child. Raises UserError."""
        costs = yield from in_child(decoded, self._model, self._home, rounds)
        found = {cost.name: cost for cost in costs.methods}
        for name in (LORA, PREFIX, FULL):
            cost = yield from in_child(trained_cost, self._model, self._home, rounds, name)
            found[name] = replace(cost, token_seconds=found[name].token_seconds if name in found else None)
        costs = replace(costs, methods=tuple(found.values()))
        write_json(self._home / FILE, to_json(costs))
        return costs


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the app finds the figures")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    command.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    command.add_argument("--json", type=Path, help="write the figures to this file too")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Measure, keep and print the figures. Raises UserError."""
    if options.rounds < 1:
        raise UserError(f"--rounds is {options.rounds}: measure at least one.")
    costs = finish(MethodCosts(options.model, "", options.home).measure(options.rounds), say)
    if options.json:
        write_json(options.json, to_json(costs))
    print("\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows(costs))))
    print(f"\n{about(costs)}")
    return 0


def in_child(work: Callable[..., Steps], *arguments: Any) -> Steps:
    """Run a generator in a child process: yield its lines, return its result. Raises UserError."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe(duplex=False)
    process = context.Process(target=send, args=(its, work, *arguments), daemon=True)
    process.start()
    its.close()  # so that the pipe ends with the process
    try:
        while isinstance(found := mine.recv(), str):
            yield found
    except EOFError as error:
        raise UserError("A process that measures died, perhaps for want of memory: free some and retry.") from error
    finally:
        process.kill()
        process.join()
        mine.close()
    if isinstance(found, UserError):
        raise found
    return found


def send(pipe: Connection, work: Callable[..., Steps], *arguments: Any) -> None:
    """Send the lines of a generator, then its result or its UserError."""
    torch.set_num_threads(1)
    try:
        pipe.send(finish(work(*arguments), pipe.send))
    except UserError as error:
        pipe.send(error)


def trained_cost(model: str | None, home: Path, rounds: int, name: str) -> Generator[str, None, Cost]:
    """Train by one method; return its cost."""
    yield f"loading the model for {name}"
    base = load_base_model(model, home)
    if name == FULL:
        check_memory(base)
    before = memory(base.device)
    settings = TrainSettings(adapter=ADAPTERS.get(name, LoraSettings()), batch_size=BATCH, max_length=TOKENS)
    trained: Any = base.model.requires_grad_(True) if name == FULL else adapted(base, settings)
    parameters = [p for p in trained.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=LR)
    batch = collate([Example(tuple(range(index, index + TOKENS)), 1, False) for index in range(BATCH)])
    seconds, peaks = [], []
    for number in range(rounds + 1):
        yield f"training steps of {name}, round {number} of {rounds}"
        with watched_memory(base.device) as seen:
            began = now(base.device)
            update(trained, batch, optimizer, settings)
            seconds.append(now(base.device) - began)
        peaks.append(max(seen) - before)
    count = sum(p.numel() for p in parameters)
    return Cost(name, count, count * FLOAT_BYTES, max(peaks[1:]), statistics.median(seconds[1:]))


def decoded(model: str | None, home: Path, rounds: int) -> Generator[str, None, Costs]:
    """Decode by each method, with fresh adapters, which cost as much; return the facts and the seconds a token."""
    yield "loading the base model"
    base = load_base_model(model, home)
    merged = replace(base, model=copy.deepcopy(base.model))
    with tempfile.TemporaryDirectory() as folder:  # the store reads weights when they are needed
        for name, settings in ADAPTERS.items():
            adapter: Any = adapted(base.private(), TrainSettings(adapter=settings))
            adapter.save_pretrained(Path(folder) / name, save_embedding_layers=False)
        engine = Engine(base, AdapterStore([Path(folder)], base))
        merged.model.load_state_dict(merged_state(base, engine.store.lora(LORA)))
        if base.device.type == "cpu":
            store_by_long_side(merged.model)
        methods = {
            BASE.name: (engine, BASE),
            LORA: (engine, Method(LORA, lora=LORA)),
            MERGED: (Engine(merged, AdapterStore([], merged)), BASE),
            PREFIX: (engine, Method(PREFIX, prefix=PREFIX)),
        }
        taken: dict[str, list[float]] = {name: [] for name in methods}
        for number in range(rounds + 1):
            yield f"decoding, round {number} of {rounds}"
            for name, method in methods.items():
                taken[name].append(token_seconds(*method))
    seconds = {name: statistics.median(each[1:]) for name, each in taken.items()}
    size, dtype = base.model.num_parameters(), str(base.model.dtype).removeprefix("torch.")
    return Costs(
        *(base.id, size, base.device.type, dtype, machine(), datetime.now(UTC).strftime("%Y-%m-%d %H:%M")),
        *(LoraSettings().r, PrefixSettings().num_virtual_tokens, BATCH, TOKENS, DECODED, rounds),
        methods=tuple(
            Cost(name, None if name == MERGED else 0, size * FLOAT_BYTES * (name == MERGED), token_seconds=each)
            for name, each in seconds.items()
        ),
    )


def token_seconds(engine: Engine, method: Method) -> float:
    """Median time between two tokens of one row."""
    sampling = Sampling(temperature=0, max_new_tokens=DECODED)
    times = [now(engine.base.device) for _ in engine.generate([Request(PROMPT, method)], sampling)]
    gaps = [after - before for before, after in zip(times, times[1:], strict=False)]
    if not gaps:
        raise UserError(f"The base model ends its text at once after {PROMPT!r}, so decoding cannot be timed.")
    return statistics.median(gaps)


def now(device: torch.device) -> float:
    """Seconds of processor time; of the clock on a GPU, when its work is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def watched_memory(device: torch.device) -> Iterator[list[int]]:
    """A list of the memory in use, looked at every 2 ms while it is entered."""
    seen: list[int] = []
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.002):
            seen.append(memory(device))
        seen.append(memory(device))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def check_memory(base: BaseModel) -> None:
    """Raises UserError where there is too little memory for full fine-tuning."""
    needed, free = COPIES * FLOAT_BYTES * base.model.num_parameters() + BESIDE, psutil.virtual_memory().available
    if base.device.type == "cpu" and free < needed:
        raise UserError(
            f"Measuring {base.id} takes about {math.ceil(needed / 1e9)} GB of memory, {free / 1e9:.1f} GB are free: "
            "end something, or copy methods.json from another machine into the home folder."
        )
