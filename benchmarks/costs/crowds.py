"""Many visitors at once: what each gets, compared with one alone, and whether every text is the one written alone."""

import statistics
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import Any, NamedTuple

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import Request, Sampling, parse_method
from benchmarks.costs.timing import summarise

CARD = tuple(parse_method(name) for name in ("base", "lora:poetry", "prefix:facts", "pplm:science"))
PROMPT = "The potato is"
SAMPLING = Sampling(max_new_tokens=30)
CROWDS = (4, 16, 50)  # visitors at once


class Visit(NamedTuple):
    """What one visitor saw, with seconds since all of them asked."""

    first: float  # a token in every pane
    end: float
    texts: tuple[tuple[int, ...], ...]


def visit(engine: Engine, seed: int) -> Visit:
    """One visitor's four panes."""
    started, first = time.perf_counter(), None
    rows: Sequence[Continuation] = ()
    with closing(engine.generate([Request(PROMPT, method, seed) for method in CARD], SAMPLING)) as states:
        for rows in states:
            if first is None and all(row.token_ids for row in rows):
                first = time.perf_counter() - started
    ended = time.perf_counter() - started
    return Visit(ended if first is None else first, ended, tuple(row.token_ids for row in rows))


def crowd(engine: Engine, seeds: Sequence[int]) -> list[Visit]:
    """Visitors who all ask at once."""
    visits: list[Visit | None] = [None] * len(seeds)
    start = threading.Barrier(len(seeds))

    def come(place: int, seed: int) -> None:
        start.wait()
        visits[place] = visit(engine, seed)

    threads = [threading.Thread(target=come, args=each) for each in enumerate(seeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [seen for seen in visits if seen is not None]


def throughput(visits: Sequence[Visit]) -> float:
    """Tokens a second of all visitors together."""
    return sum(len(text) for each in visits for text in each.texts) / max(each.end for each in visits)


def measure_load(base: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """Crowds of several sizes, each after one visitor alone; every text is compared with the one written alone."""
    seen: dict[tuple[str, int], list[float]] = {}
    alone: dict[int, Visit] = {}
    wrong = texts = 0
    for number in range(rounds):
        for size in CROWDS:
            seeds = [number * max(CROWDS) + place for place in range(size)]
            single = crowd(engine, seeds[:1])
            visits = crowd(engine, seeds)
            firsts, ends = [each.first for each in visits], [each.end for each in visits]
            figures = {
                "tokens a second of all / of one alone": throughput(visits) / throughput(single),
                "first tokens of the last / of one alone": max(firsts) / single[0].first,
                "end of the last / of the median": max(ends) / statistics.median(ends),
            }
            for name, value in figures.items():
                seen.setdefault((name, size), []).append(value)
            for seed, mine in zip(seeds, visits, strict=True):
                if seed not in alone:
                    alone[seed] = visit(engine, seed)
                wrong += sum(one != other for one, other in zip(mine.texts, alone[seed].texts, strict=True))
                texts += len(mine.texts)
            print(f"round {number + 1} of {rounds}, {size} at once", flush=True)
    rows = [
        summarise(f"{size} visitors: {name}", values, 1.5 if "median" in name else None)
        for (name, size), values in seen.items()
    ]
    return [*rows, summarise(f"wrong texts, of {texts:,}", [wrong], 0.0)]
