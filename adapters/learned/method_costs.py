"""What each way of adapting the base model costs here: measured, in one run, never quoted.

    python -m adapters methods [--json FILE]

Training: LoRA, a prefix and full fine-tuning each run in a process of their own, so that the memory of one is not that
of another; they take turns at single steps, so that a busy machine slows all of them alike. Decoding: one engine for
the base, a LoRA and a prefix, another one for weights with the LoRA merged in; rounds of all, medians of tokens.

Knows processes, rounds and medians; knows nothing of pages. What the processes do is in adapters.learned.cost_workers.
"""

import argparse
import json
import math
import multiprocessing
import statistics
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from adapters.adapter_files import read_config
from adapters.learned.cost_workers import ADAPTERS, BATCH, DECODED, TOKENS, Ready, Step, decode, train
from adapters.learned.costs import COLUMNS, FULL, LORA, MERGED, PREFIX, Cost, Costs, about, rows
from adapters.methods import BASE, UserError, from_json, to_json

ROUNDS = 5  # that are measured, after one that warms up
TRAINED = (LORA, PREFIX, FULL)
FLOAT32 = 4  # bytes
COPIES, BESIDE = 7, 1_500_000_000  # of the weights that all of it takes at once, and bytes of libraries and batches
FILE = "methods.json"


def measure(model: str | None, home: Path, rounds: int = ROUNDS) -> Generator[str, None, Costs]:
    """Measures all methods; yields what it is doing. Closing it ends the processes. Raises UserError."""
    with opened(train, (model, home, LORA)) as first:
        yield "loading the base model"
        found = answer(first)
        assert isinstance(found, Ready)
        check_memory(found)
        with opened(train, (model, home, PREFIX)) as second, opened(train, (model, home, FULL)) as third:
            pipes = dict(zip(TRAINED, (first, second, third), strict=True))
            trained = {name: found.trained if pipe is first else answer(pipe).trained for name, pipe in pipes.items()}
            taken: dict[str, list[Step]] = {name: [] for name in TRAINED}
            for number in range(rounds + 1):
                yield f"training steps, round {number} of {rounds}"
                for name, pipe in pipes.items():
                    taken[name].append(asked(pipe))
    with opened(decode, (model, home)) as pipe:
        yield "loading the model for decoding"
        answer(pipe)
        decoded = []
        for number in range(rounds + 1):
            yield f"decoding, round {number} of {rounds}"
            decoded.append(asked(pipe))
    steps = {name: found_steps[1:] for name, found_steps in taken.items()}
    tokens = {name: statistics.median(one[name] for one in decoded[1:]) for name in decoded[0]}
    return collected(found, rounds, trained, steps, tokens)


def collected(
    found: Ready,
    rounds: int,
    trained: Mapping[str, int],
    steps: Mapping[str, Sequence[Step]],
    tokens: Mapping[str, float],
) -> Costs:
    """Everything that was measured, by method."""
    whole = found.num_parameters * FLOAT32
    costs = [Cost(BASE.name, 0, 0, token_seconds=tokens[BASE.name])]
    for name in (LORA, PREFIX):
        costs.append(trained_cost(name, trained[name], trained[name] * FLOAT32, steps[name], tokens[name]))
    costs.insert(2, Cost(MERGED, None, whole, token_seconds=tokens[MERGED]))
    costs.append(trained_cost(FULL, trained[FULL], whole, steps[FULL], None))
    lora, prefix = ADAPTERS[LORA], ADAPTERS[PREFIX]
    return Costs(
        found.base,
        found.num_parameters,
        found.device,
        found.dtype,
        found.machine,
        datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        getattr(lora, "r", 0),
        getattr(prefix, "num_virtual_tokens", 0),
        BATCH,
        TOKENS,
        DECODED,
        rounds,
        tuple(costs),
    )


def trained_cost(name: str, trained: int, num_bytes: int, steps: Sequence[Step], token: float | None) -> Cost:
    seconds = statistics.median(step.seconds for step in steps)
    return Cost(name, trained, num_bytes, max(step.memory for step in steps), seconds, token)


def check_memory(found: Ready) -> None:
    """Raises UserError where the machine has too little memory for full fine-tuning beside the others."""
    needed, free = COPIES * FLOAT32 * found.num_parameters + BESIDE, psutil.virtual_memory().available
    if found.device == "cpu" and free < needed:
        raise UserError(
            f"Measuring {found.base} takes about {math.ceil(needed / 1e9)} GB of memory, and {free / 1e9:.1f} GB are "
            "free: end something, or measure on another machine and copy methods.json into the home folder."
        )


@contextmanager
def opened(work: Callable[..., None], arguments: tuple[Any, ...]) -> Iterator[Connection]:
    """A process that answers at the other end of a pipe; it ends with the block, however that ends."""
    context = multiprocessing.get_context("spawn")
    mine, its = context.Pipe()
    process = context.Process(target=work, args=(its, *arguments), daemon=True)
    process.start()
    its.close()  # so that the pipe ends with the process
    try:
        yield mine
    finally:
        process.kill()
        process.join()
        mine.close()


def asked(pipe: Connection) -> Any:
    """A round of a process. Raises UserError."""
    pipe.send(None)
    return answer(pipe)


def answer(pipe: Connection) -> Any:
    """The next answer of a process. Raises UserError."""
    try:
        found = pipe.recv()
    except EOFError as error:
        raise UserError(
            "A process that measures was ended, perhaps for want of memory: free some and retry."
        ) from error
    if isinstance(found, UserError):
        raise found
    return found


class MethodCosts:
    """The figures of one base model, kept in the home folder between two measurements."""

    def __init__(self, model: str | None, base: str, home: Path) -> None:
        """`base`: the id of the base model that `model` names."""
        self._model, self._base, self._home = model, base, home

    def stored(self) -> Costs | None:
        """What was measured last for this base model; None where nothing was. Raises UserError for a damaged file."""
        if not (self._home / FILE).is_file():
            return None
        costs = from_json(Costs, read_config(self._home, FILE))
        return costs if costs.base == self._base else None

    def measure(self) -> Generator[str, None, None]:
        """Measures and keeps the figures; yields what it is doing. Raises UserError."""
        costs = yield from measure(self._model, self._home)
        write_costs(costs, self._home / FILE)


def write_costs(costs: Costs, file: Path) -> None:
    """Writes the figures, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.part")
    scratch.write_text(json.dumps(to_json(costs), indent=1, ensure_ascii=False) + "\n", "utf-8")
    scratch.rename(file)


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be said of a measurement."""
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the app finds the figures")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    command.add_argument("--rounds", type=int, default=ROUNDS, help=f"default {ROUNDS}")
    command.add_argument("--json", type=Path, help="a file for the figures beside the one in the home folder")


def run(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Measures, keeps and prints the figures. Raises UserError."""
    if options.rounds < 1:
        raise UserError(f"--rounds is {options.rounds}: measure at least one.")
    measuring = measure(options.model, options.home, options.rounds)
    while True:
        try:
            say(next(measuring))
        except StopIteration as end:
            costs: Costs = end.value
            break
    for file in filter(None, (options.home / FILE, options.json)):
        write_costs(costs, file)
    print("\n".join(f"| {' | '.join(row)} |" for row in (COLUMNS, ["---"] * len(COLUMNS), *rows(costs))))
    print(f"\n{about(costs)}")
    return 0
