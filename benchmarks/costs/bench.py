"""`make bench`: times and memory of generating, steering and scoring, as ratios within one run.

Absolute times mean little on a shared machine: everything runs in turn, several times, and each time is divided by
another one of the same round. One thread, greedy, float32, CPU. Bars apply to wall time.
"""

import argparse
import json
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import torch

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import BASE, PPLM, Attribute, Method, Request, parse_method
from adapters.pplm.bags import word_lists
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from benchmarks import pages
from benchmarks.costs import crowds, leaderboard_cost, steering_cost
from benchmarks.costs.timing import Stamp, Timeline, decode, generate, measure, prompt_ids, ratio_rows, summarise
from benchmarks.gpu import gpu_command
from leaderboard.runs.runner import load_engine

PROMPT = "The potato is a plant that"
NUM_WORDS = 50
RESULTS = Path(__file__).parent / "results.json"
PAGE = pages.DOCS / "benchmarks.md"
LORA, SCIFI, PREFIX = (parse_method(name) for name in ("lora:poetry", "lora:scifi", "prefix:facts"))
HEADLINE = parse_method("lora:headline")  # adapts attention only, as scifi; poetry adapts all linear layers


def engine_rows(base: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """The cost of several methods in one batch."""
    unsteered = [BASE, LORA, PREFIX]
    words = word_lists()["science"][:NUM_WORDS]
    steered = Method("pplm", steering=PPLM((Attribute("science", words=words),), num_iterations=3))

    def batch(methods: list[Method], watched: int | None = None) -> Callable[[], Timeline]:
        return lambda: decode(engine, [Request(PROMPT, method) for method in methods], 50, watched)

    megabytes = megabytes_per_adapter(base)
    runs = {
        "prefill": lambda: prefill(base),
        "generate": lambda: generate(base, PROMPT, 50),
        "base": batch([BASE]),
        "panes": batch([BASE, HEADLINE, SCIFI, PREFIX]),
        "card": batch([*unsteered, steered]),
        "unsteered": batch(unsteered),
        "beside": batch([*unsteered, steered], len(unsteered)),
    }
    rows = ratio_rows("engine", measure(runs, rounds + 1)[1:])  # the first round warms up
    return [*rows, summarise("MB for each further adapter", [megabytes], 5.0)]


SIMPLE = {
    "base": BASE,
    "push": parse_method("push:science"),
    "vector": parse_method("vector:sentiment:positive"),
    "ask": parse_method("ask:science"),
    "guidance": parse_method("ask:science*1.5"),
    "experts": parse_method("experts:scifi"),
    "best": parse_method("best:science"),
}


def method_rows(_: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """The cost of each simple method beside as many rows of the base."""

    def batch(name: str) -> Callable[[], Timeline]:
        count, kind = name.split()
        return lambda: decode(engine, [Request(PROMPT, SIMPLE[kind], seed) for seed in range(int(count))], 50)

    names = {f"{count} base" for count in (1, 4, 16)} | {f"4 {kind}" for kind in ("push", "vector", "ask")}
    names |= {f"{count} {kind}" for count in (1, 16) for kind in ("guidance", "experts")} | {"1 best"}
    return ratio_rows("methods", measure({name: batch(name) for name in sorted(names)}, rounds + 1)[1:])


def prefill(base: BaseModel) -> Timeline:
    start = Stamp.now()
    with torch.no_grad():
        base.model(input_ids=prompt_ids(base, PROMPT), use_cache=True, logits_to_keep=1)
    return [Stamp(0, 0), Stamp.now().since(start)]


def megabytes_per_adapter(base: BaseModel, copies: int = 8) -> float:
    """Memory that loading the shipped adapters again adds to the process, for each adapter."""
    process = psutil.Process()
    AdapterStore([WEIGHTS], base)  # allocates what all stores share
    before = process.memory_info().rss
    stores = [AdapterStore([WEIGHTS], base) for _ in range(copies)]
    return (process.memory_info().rss - before) / 1e6 / sum(len(store.adapters) for store in stores)


def table(rows: list[dict[str, Any]]) -> str:
    """Results in Markdown; a missing figure is a dash."""
    figures = ("min", "median", "max", "cpu_median", "bar")
    cells = [[row["name"], *("–" if row[f] is None else f"{row[f]:.2f}" for f in figures)] for row in rows]
    return pages.table(["ratio", "min", "median", "max", "CPU", "bar"], cells)


def markdown(results: dict[str, Any]) -> str:
    """A table for each part."""
    return "\n\n".join(f"{part['title']}\n\n{table(part['rows'])}\n\n{part['machine']}" for part in results.values())


PARTS = {
    "engine": ("Decoding:", engine_rows),
    "methods": ("The simple methods:", method_rows),
    "pplm": ("Steering:", steering_cost.measure_pplm),
    "board": ("The leaderboard:", leaderboard_cost.measure),
    "load": ("Many visitors at once, four panes of 30 tokens each:", crowds.measure_load),
}


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `bench`."""
    command.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to measure; default: everything")
    command.add_argument("--rounds", type=int, default=5, help="measured rounds; default 5")
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of the embedded base model")


def run(options: argparse.Namespace, _: str) -> int:
    """Measure, print the tables, and write them to results.json and docs/benchmarks.md."""
    torch.set_num_threads(1)
    engine = load_engine(None, options.home)
    assert engine.base.model.generation_config is not None
    engine.base.model.generation_config.eos_token_id = engine.base.model.config.vocab_size  # no text ends early
    results = json.loads(RESULTS.read_text("utf-8"))
    for name in options.parts or PARTS:
        title, rows_of = PARTS[name]
        machine = (
            f"`make bench`, {options.rounds} rounds, one thread: {platform.machine()}, {psutil.cpu_count()} cores, "
            f"torch {torch.__version__}, Python {platform.python_version()}."
        )
        results[name] = {"title": title, "machine": machine, "rows": rows_of(engine.base, engine, options.rounds)}
        print(title, table(results[name]["rows"]), machine, sep="\n\n")
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", "utf-8")
    pages.write_part(PAGE, "bench", markdown(results))
    gpu_command.write_page(PAGE)
    return 0
