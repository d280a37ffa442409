"""What each way of adapting the base model costs here, measured in one run.

    python -m adapters methods [--json FILE]

Each method trains in a child process of its own, so that its memory is its own; one more child decodes with all of
them. They train on made-up tokens: neither time nor memory depends on the words. On a processor, time is processor time
of one thread, because the clock of a busy machine also counts what others do.
"""

import argparse
import copy
import json
import math
import multiprocessing
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import torch

from adapters.adapter_files import read_config
from adapters.base_model import BaseModel, load_base_model, store_by_long_side
from adapters.decoding.engine import Engine
from adapters.learned.costs import COLUMNS, FULL, LORA, MERGED, PREFIX, Cost, Costs, about, rows
from adapters.learned.prefix_attention import private
from adapters.lora.lora import merged_state
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, Method, Request, Sampling, UserError, from_json, to_json
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.training.batches import Example, collate
from adapters.training.card import machine
from adapters.training.loop import adapted, update
from adapters.training.order import TrainSettings, finish

ROUNDS = 5  # measured, after one that warms up
BATCH, TOKENS = 4, 64  # texts in a step, tokens of each
DECODED = 16  # new tokens in a round
PROMPT = "Once upon a time"
LR = 1e-6  # nothing diverges
FLOAT32 = 4  # bytes
COPIES, BESIDE = 5, 1_500_000_000  # of the weights in full fine-tuning, and bytes of libraries and batches
FILE = "methods.json"
ADAPTERS: dict[str, LoraSettings | PrefixSettings] = {LORA: LoraSettings(), PREFIX: PrefixSettings()}
Steps = Generator[str, None, Any]


def measure(model: str | None, home: Path, rounds: int = ROUNDS) -> Generator[str, None, Costs]:
    """Measure all methods; yield what is being done. Closing it ends the child. Raises UserError."""
    facts, token = yield from in_child(decoded, model, home, rounds)
    trained = {}
    for name in (LORA, PREFIX, FULL):
        trained[name] = yield from in_child(trained_cost, model, home, rounds, name)
    whole = facts["num_parameters"] * FLOAT32
    costs = (
        Cost(BASE.name, 0, 0, token_seconds=token[BASE.name]),
        replace(trained[LORA], token_seconds=token[LORA]),
        Cost(MERGED, None, whole, token_seconds=token[MERGED]),
        replace(trained[PREFIX], token_seconds=token[PREFIX]),
        trained[FULL],
    )
    return Costs(**facts, measured=datetime.now(UTC).strftime("%Y-%m-%d %H:%M"), rounds=rounds, methods=costs)


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
    except BrokenPipeError:  # nobody listens any longer
        return


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
        with Peak(base.device) as peak:
            began = now(base.device)
            update(trained, batch, optimizer, settings)
            seconds.append(now(base.device) - began)
        peaks.append(peak.bytes - before)
    count = sum(p.numel() for p in parameters)
    return Cost(name, count, count * FLOAT32, max(peaks[1:]), statistics.median(seconds[1:]))


def decoded(model: str | None, home: Path, rounds: int) -> Steps:
    """Decode by every method in turn; return the facts of the run, and name -> seconds a token."""
    yield "loading the base model"
    base = load_base_model(model, home)
    with tempfile.TemporaryDirectory() as folder:  # the store reads weights when they are needed
        engines = decoders(base, Path(folder))
        taken: dict[str, list[float]] = {name: [] for name in engines}
        for number in range(rounds + 1):
            yield f"decoding, round {number} of {rounds}"
            for name, (engine, method) in engines.items():
                taken[name].append(token_seconds(engine, method))
    facts = {
        "base": base.id,
        "num_parameters": base.model.num_parameters(),
        "device": base.device.type,
        "dtype": str(base.model.dtype).removeprefix("torch."),
        "machine": machine(),
        "rank": LoraSettings().r,
        "virtual": PrefixSettings().num_virtual_tokens,
        "batch": BATCH,
        "tokens": TOKENS,
        "decoded": DECODED,
    }
    return facts, {name: statistics.median(each[1:]) for name, each in taken.items()}


def decoders(base: BaseModel, folder: Path) -> dict[str, tuple[Engine, Method]]:
    """An engine and a method for each way of decoding; fresh adapters, in `folder`, cost as much as trained ones."""
    for name, settings in ADAPTERS.items():
        model: Any = adapted(private(base), TrainSettings(adapter=settings))
        model.save_pretrained(folder / name, save_embedding_layers=False)
    store = AdapterStore([folder], base)
    merged = copy.deepcopy(base.model)
    merged.load_state_dict(merged_state(base, store.lora(LORA)))
    engine = Engine(base, store)
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


def now(device: torch.device) -> float:
    """Seconds of processor time; of the clock on a GPU, when its work is done."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def memory(device: torch.device) -> int:
    """Bytes in use: the most on a GPU, those of this process otherwise."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else int(psutil.Process().memory_info().rss)


class Peak:
    """`bytes`: the most memory while it is entered, looked at every 2 ms."""

    def __init__(self, device: torch.device) -> None:
        self._device, self._done, self.bytes = device, threading.Event(), 0
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(0.002):
            self.bytes = max(self.bytes, memory(self._device))
        self.bytes = max(self.bytes, memory(self._device))


def check_memory(base: BaseModel) -> None:
    """Raises UserError where there is too little memory for full fine-tuning."""
    needed, free = COPIES * FLOAT32 * base.model.num_parameters() + BESIDE, psutil.virtual_memory().available
    if base.device.type == "cpu" and free < needed:
        raise UserError(
            f"Measuring {base.id} takes about {math.ceil(needed / 1e9)} GB of memory, {free / 1e9:.1f} GB are free: "
            "end something, or copy methods.json from another machine into the home folder."
        )


class MethodCosts:
    """The figures of one base model, kept in the home folder."""

    def __init__(self, model: str | None, base: str, home: Path) -> None:
        """`base`: the id of the base model that `model` names."""
        self._model, self._base, self._home = model, base, home

    def stored(self) -> Costs | None:
        """The newest figures of this base model; None where there are none. Raises UserError for a damaged file."""
        if not (self._home / FILE).is_file():
            return None
        costs = from_json(Costs, read_config(self._home, FILE))
        return costs if costs.base == self._base else None

    def measure(self) -> Generator[str, None, None]:
        """Measure and keep the figures; yield what is being done. Raises UserError."""
        costs = yield from measure(self._model, self._home)
        write_costs(costs, self._home / FILE)


def write_costs(costs: Costs, file: Path) -> None:
    """Write the figures, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.part")
    scratch.write_text(json.dumps(to_json(costs), indent=1, ensure_ascii=False) + "\n", "utf-8")
    scratch.replace(file)


def add_options(command: argparse.ArgumentParser) -> None:
    """The options of `methods`."""
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the app finds the figures")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    command.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    command.add_argument("--json", type=Path, help="write the figures to this file too")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Measure, keep and print the figures. Raises UserError."""
    if options.rounds < 1:
        raise UserError(f"--rounds is {options.rounds}: measure at least one.")
    costs = finish(measure(options.model, options.home, options.rounds), say)
    for file in filter(None, (options.home / FILE, options.json)):
        write_costs(costs, file)
    print("\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows(costs))))
    print(f"\n{about(costs)}")
    return 0
