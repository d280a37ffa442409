"""`make bench`: what the engine and the leaderboard cost, as ratios in the same run.

Absolute figures mean nothing on a shared machine, so everything is run in turn, several times, and each figure is
divided by one of the same round. Wall time decides; CPU time stands beside it. One thread, greedy, float32 on a CPU.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from transformers.generation.streamers import BaseStreamer

from adapters.attributes import word_lists
from adapters.base_model import BaseModel
from adapters.engine import Engine
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, as_in_paper, parse_method
from adapters.store import WEIGHTS, AdapterStore
from benchmarks import board
from leaderboard.run import load_engine

PROMPT = "The potato is a plant that"
NUM_TOKENS = 200  # of the longest run; shorter ones are read off the same run
NUM_WORDS = 50
RESULTS = Path(__file__).parent / "results.json"
README = Path(__file__).parents[1] / "README.md"
MARKS = ("<!-- bench -->", "<!-- /bench -->")

LORA, SCIFI, PREFIX = (parse_method(name) for name in ("lora:poetry", "lora:scifi", "prefix:facts"))


class Stamp(NamedTuple):
    """Two clocks, in seconds."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> "Stamp":
        return cls(time.perf_counter(), time.process_time())

    def since(self, start: "Stamp") -> "Stamp":
        return Stamp(self.wall - start.wall, self.cpu - start.cpu)


Timeline = list[Stamp]  # entry n: when the nth token stood, since the start


class Ratio(NamedTuple):
    """A line of the table: run and token, divided by run and token; `bar` is what it must not exceed."""

    name: str
    above: tuple[str, int]
    below: tuple[str, int]
    bar: float | None


RATIOS = [
    Ratio("base row / generate, 50 tokens", ("base", 50), ("generate", 50), 1.02),
    Ratio("base + 2 LoRA + prefix in one batch / generate, 50 tokens", ("panes", 50), ("generate", 50), 1.7),
    Ratio("PPLM of the paper, 3 iterations / generate, 50 tokens", ("pplm", 50), ("generate", 50), 8.5),
    Ratio("the same, 100 tokens", ("pplm", 100), ("generate", 100), None),
    Ratio("the same, 200 tokens", ("pplm", 200), ("generate", 200), None),
    Ratio("the card's four panes together / generate, 50 tokens", ("card", 50), ("generate", 50), 10.0),
    Ratio("unsteered panes beside a steered one / without it", ("beside", 50), ("unsteered", 50), 1.5),
    Ratio("first token of the card's four panes / reading the prompt", ("card", 1), ("prefill", 1), None),
]
# How much more a PPLM token costs, in plain tokens, as the text grows.
GROWTH = [("PPLM at 100 tokens / at 50", 3, 2, 1.05), ("PPLM at 200 tokens / at 50", 4, 2, 1.05)]


class TokenClock(BaseStreamer):
    """Notes when `generate` hands out each token."""

    def __init__(self) -> None:
        self.timeline: Timeline = []
        self.start = Stamp.now()

    def put(self, value: Any) -> None:
        self.timeline.append(Stamp.now().since(self.start))  # the first one is the prompt itself

    def end(self) -> None:
        """Nothing is kept back."""


class Bench:
    """The runs that are timed, on one model."""

    def __init__(self, base: BaseModel, engine: Engine) -> None:
        self.base, self.engine = base, engine
        words = word_lists()["science"][:NUM_WORDS]
        steering = PPLM((Attribute("science", words=words),), num_iterations=3)
        unsteered = [BASE, LORA, PREFIX]
        steered = Method("pplm", steering=steering)
        self.runs: dict[str, Callable[[], Timeline]] = {
            "prefill": self.prefill,
            "generate": self.generate,
            "base": lambda: self.decode([BASE], 50),
            "panes": lambda: self.decode([BASE, LORA, SCIFI, PREFIX], 50),
            "pplm": lambda: self.decode([Method("pplm", steering=as_in_paper(steering))], NUM_TOKENS),
            "card": lambda: self.decode([*unsteered, steered], 50),
            "unsteered": lambda: self.decode(unsteered, 50),
            "beside": lambda: self.decode([*unsteered, steered], 50, watched=len(unsteered)),
        }

    def prefill(self) -> Timeline:
        start = Stamp.now()
        with torch.no_grad():
            self.base.model(input_ids=self.ids(), use_cache=True, logits_to_keep=1)
        return [Stamp(0, 0), Stamp.now().since(start)]

    def generate(self) -> Timeline:
        clock = TokenClock()
        model: Any = self.base.model  # transformers leaves the type of `generate` open
        model.generate(self.ids(), max_new_tokens=NUM_TOKENS, do_sample=False, streamer=clock)
        return clock.timeline

    def decode(self, methods: list[Method], num_tokens: int, watched: int | None = None) -> Timeline:
        """Timeline of the slowest of the first `watched` rows (all: None)."""
        start, timeline = Stamp.now(), [Stamp(0, 0)]
        sampling = Sampling(temperature=0, max_new_tokens=num_tokens)
        states = self.engine.generate([Request(PROMPT, method) for method in methods], sampling)
        for rows in states:
            written = min(len(row.token_ids) for row in rows[:watched])
            timeline += [Stamp.now().since(start)] * (written + 1 - len(timeline))
            if written == num_tokens:
                break
        return timeline

    def ids(self) -> torch.Tensor:
        return torch.tensor([self.base.encode(PROMPT)], device=self.base.device)


def measure(bench: Bench, rounds: int) -> list[dict[str, Timeline]]:
    """All runs in turn, `rounds` times, after one round that is not counted."""
    results = []
    for number in range(rounds + 1):
        results.append({name: run() for name, run in bench.runs.items()})
        print(f"round {number} of {rounds}", flush=True)
    return results[1:]


def summarise(name: str, values: Iterable[float], cpu: Iterable[float] | None, bar: float | None) -> dict[str, Any]:
    wall = list(values)
    row = {"name": name, "min": min(wall), "median": statistics.median(wall), "max": max(wall)}
    return row | {"cpu_median": statistics.median(cpu) if cpu else None, "bar": bar}


def table_rows(rounds: list[dict[str, Timeline]]) -> list[dict[str, Any]]:
    """The ratios of all rounds, then how PPLM grows, as rows of results.json."""
    walls: list[list[float]] = []
    rows = []
    for ratio in RATIOS:
        pairs = [(r[ratio.above[0]][ratio.above[1]], r[ratio.below[0]][ratio.below[1]]) for r in rounds]
        walls.append([above.wall / below.wall for above, below in pairs])
        cpu = [above.cpu / below.cpu for above, below in pairs]
        rows.append(summarise(ratio.name, walls[-1], cpu, ratio.bar))
    for name, above, below, bar in GROWTH:
        rows.append(summarise(name, (a / b for a, b in zip(walls[above], walls[below], strict=True)), None, bar))
    return rows


def megabytes_per_adapter(base: BaseModel, copies: int = 8) -> float:
    """Growth of the process for each further store of the shipped adapters, divided by their number."""
    process = psutil.Process()
    AdapterStore([WEIGHTS], base)  # what the first one brings along is not the adapters'
    before = process.memory_info().rss
    stores = [AdapterStore([WEIGHTS], base) for _ in range(copies)]
    return (process.memory_info().rss - before) / 1e6 / sum(len(store.adapters) for store in stores)


def table(rows: list[dict[str, Any]]) -> str:
    """The results in Markdown; a figure that was not taken or has no bar is a dash."""
    columns = {"name": "ratio", "min": "min", "median": "median", "max": "max", "cpu_median": "CPU", "bar": "bar"}
    cells = [[row["name"], *(f"{row[c]:.2f}" if row[c] is not None else "–" for c in [*columns][1:])] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in [[*columns.values()], ["---"] * 6, *cells])


def write_readme(results: dict[str, Any]) -> None:
    """Puts a table for each part between the marks in README.md."""
    text = README.read_text(encoding="utf-8")
    head, _, rest = text.partition(MARKS[0])
    _, _, tail = rest.partition(MARKS[1])
    parts = [f"{part['title']}\n\n{table(part['rows'])}\n\n{part['machine']}" for part in results.values()]
    body = "\n".join([MARKS[0], "\n\n".join(parts), MARKS[1]])
    README.write_text(head + body + tail, encoding="utf-8")


def engine_rows(base: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    megabytes = megabytes_per_adapter(base)
    rows = table_rows(measure(Bench(base, engine), rounds))
    return [*rows, summarise("MB for each further adapter", [megabytes], None, 5.0)]


PARTS = {"engine": ("Decoding:", engine_rows), "board": ("The leaderboard:", board.measure)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what is measured (default: everything)")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default 5)")
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the embedded model lies")
    args = parser.parse_args()
    torch.set_num_threads(1)
    engine = load_engine(None, args.home)
    assert engine.base.model.generation_config is not None
    engine.base.model.generation_config.eos_token_id = engine.base.model.config.vocab_size  # no text ends early
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    for name in args.parts or PARTS:
        title, rows_of = PARTS[name]
        machine = (
            f"`make bench`, {args.rounds} rounds, one thread: {platform.machine()}, {psutil.cpu_count()} cores, "
            f"torch {torch.__version__}, Python {platform.python_version()}."
        )
        results[name] = {"title": title, "machine": machine, "rows": rows_of(engine.base, engine, args.rounds)}
        print(title, table(results[name]["rows"]), machine, sep="\n\n")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    write_readme(results)


if __name__ == "__main__":
    main()
