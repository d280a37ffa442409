"""Times each token of a run by wall and CPU clock, and divides the times of one run by another's."""

import statistics
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import Request, Sampling

RATIOS = Path(__file__).with_name("ratios.toml")


class Stamp(NamedTuple):
    """Wall and CPU time in seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Stamp":
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Stamp") -> "Stamp":
        return Stamp(self.wall - start.wall, self.cpu - start.cpu)


Timeline = list[Stamp]  # entry n: time of the nth token since the start


class Ratio(NamedTuple):
    """A line of the table: time of a run at a token, divided by another's and by `unit`; `bar` is the limit."""

    name: str
    above: tuple[str, int]  # run, token
    below: tuple[str, int]
    bar: float | None = None
    unit: float = 1.0

    def of(self, timelines: Mapping[str, Timeline]) -> Stamp:
        """The ratio by both clocks."""
        above, below = (timelines[run][token] for run, token in (self.above, self.below))
        return Stamp(above.wall / below.wall / self.unit, above.cpu / below.cpu / self.unit)


def generate(base: BaseModel, prompt: str, num_tokens: int) -> Timeline:
    """Greedy `generate` of one row."""
    start, timeline = Stamp.now(), [Stamp(0, 0)]

    def note(ids: torch.Tensor, scores: Any) -> torch.Tensor:
        timeline.append(Stamp.now().since(start))
        return torch.zeros(len(ids), dtype=torch.bool)  # nothing ends here

    model: Any = base.model  # `generate` has no type
    model.generate(prompt_ids(base, prompt), max_new_tokens=num_tokens, do_sample=False, stopping_criteria=[note])
    return timeline


def decode(engine: Engine, requests: Sequence[Request], num_tokens: int, watched: int | None = None) -> Timeline:
    """Greedy decoding by the engine: times of the slowest among the first `watched` rows (None: all)."""
    start, timeline = Stamp.now(), [Stamp(0, 0)]
    for rows in engine.generate(requests, Sampling(temperature=0, max_new_tokens=num_tokens)):
        written = min(len(row.token_ids) for row in rows[:watched])
        timeline += [Stamp.now().since(start)] * (written + 1 - len(timeline))
        if written == num_tokens:
            break
    return timeline


def timed(tokens: Iterator[int], num_tokens: int) -> Timeline:
    """Any decoding that yields tokens."""
    start, timeline = Stamp.now(), [Stamp(0, 0)]
    for _ in range(num_tokens):
        next(tokens)
        timeline.append(Stamp.now().since(start))
    return timeline


def prompt_ids(base: BaseModel, prompt: str) -> torch.Tensor:
    """Token ids (1, T) of a prompt."""
    return torch.tensor([base.encode(prompt)], device=base.device)


def measure(runs: Mapping[str, Callable[[], Timeline]], rounds: int) -> list[dict[str, Timeline]]:
    """Run everything in turn, `rounds` times."""
    results = []
    for number in range(rounds):
        results.append({name: run() for name, run in runs.items()})
        print(f"round {number + 1} of {rounds}", flush=True)
    return results


def ratio_rows(part: str, rounds: Sequence[Mapping[str, Timeline]]) -> list[dict[str, Any]]:
    """The ratios of a part of ratios.toml as rows of results.json."""
    rows = []
    for ratio in (Ratio(*line) for line in tomllib.loads(RATIOS.read_text("utf-8"))[part]):
        walls, cpus = zip(*(ratio.of(timelines) for timelines in rounds), strict=True)
        rows.append(summarise(ratio.name, walls, ratio.bar, cpus))
    return rows


def summarise(
    name: str, values: Iterable[float], bar: float | None, cpu: Iterable[float] | None = None
) -> dict[str, Any]:
    """A row of results.json."""
    wall = list(values)
    row = {"name": name, "min": min(wall), "median": statistics.median(wall), "max": max(wall)}
    return row | {"cpu_median": statistics.median(cpu) if cpu else None, "bar": bar}
