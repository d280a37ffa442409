"""What each way of adapting the base model costs here, measured in one run.

    python -m benchmarks methods [--json FILE]

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
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch

from adapters.adapter_files import write_json
from adapters.base_model import BaseModel, load_base_model, memory, store_by_long_side
from adapters.cards import machine
from adapters.decoding.engine import Engine
from adapters.learned.costs import COLUMNS, FILE, FULL, LORA, MERGED, PREFIX, Cost, Costs, about, rows
from adapters.lora.lora import merged_state
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, Method, Request, Sampling, UserError, to_json
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import FLOAT_BYTES, AdapterStore
from adapters.training.batches import Example, collate
from adapters.training.loop import adapted, update
from adapters.training.order import TrainSettings

ROUNDS = 5  # measured, after one that warms up
BATCH, TOKENS = 4, 64  # texts in a step, tokens of each
DECODED = 16  # new tokens in a round
PROMPT = "Once upon a time"
LR = 1e-6  # nothing diverges
COPIES, BESIDE = 5, 1_500_000_000  # of the weights in full fine-tuning, and bytes of libraries and batches
ADAPTERS: dict[str, LoraSettings | PrefixSettings] = {LORA: LoraSettings(), PREFIX: PrefixSettings()}
T = TypeVar("T")


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the app finds the figures")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    command.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    command.add_argument("--json", type=Path, help="write the figures to this file too")


def run(options: argparse.Namespace, _: str) -> int:
    """Measure, keep and print the figures. Raises UserError."""
    if options.rounds < 1:
        raise UserError(f"--rounds is {options.rounds}: measure at least one.")
    costs = measure(options.model, options.home, options.rounds)
    for file in (options.home / FILE, options.json):
        if file is not None:
            write_json(file, to_json(costs))
    print("\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows(costs))))
    print(f"\n{about(costs)}")
    return 0


def measure(model: str | None, home: Path, rounds: int = ROUNDS) -> Costs:
    """Measure all methods. Raises UserError."""
    costs = in_child(partial(decoded, model, home, rounds))
    found = {cost.name: cost for cost in costs.methods}
    for name in (LORA, PREFIX, FULL):
        cost = in_child(partial(trained_cost, model, home, rounds, name))
        found[name] = replace(cost, token_seconds=found[name].token_seconds if name in found else None)
    return replace(costs, methods=tuple(found.values()))


def in_child(work: Callable[[], T]) -> T:
    """Do work in a new process with one thread. Raises UserError."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (1,)) as child:
        try:
            return child.submit(work).result()
        except BrokenProcessPool as error:
            raise UserError("A process that measures died, perhaps for want of memory: free some and retry.") from error


def say(line: str) -> None:
    print(line, flush=True)


def trained_cost(model: str | None, home: Path, rounds: int, name: str) -> Cost:
    """Train by one method; return its cost."""
    say(f"loading the model for {name}")
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
        say(f"training steps of {name}, round {number} of {rounds}")
        with watched_memory(base.device) as seen:
            began = now(base.device)
            update(trained, batch, optimizer, settings)
            seconds.append(now(base.device) - began)
        peaks.append(max(seen) - before)
    count = sum(p.numel() for p in parameters)
    return Cost(name, count, count * FLOAT_BYTES, max(peaks[1:]), statistics.median(seconds[1:]))


def decoded(model: str | None, home: Path, rounds: int) -> Costs:
    """Decode by each method, with fresh adapters, which cost as much; return the facts and the seconds a token."""
    say("loading the base model")
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
            say(f"decoding, round {number} of {rounds}")
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
