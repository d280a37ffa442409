"""Many short visits, some of which break off: nothing grows, and every text is the one written alone.

`make soak` makes ten thousand visits.
"""

import gc
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice

import psutil
import pytest

from adapters.decoding.engine import Engine
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling
from tests.adapters.conftest import Bench

AT_ONCE = 16
KINDS = 24  # different visits
SAMPLING = Sampling(temperature=0.9, max_new_tokens=5)
STEERED = Method("pplm", steering=PPLM((Attribute("vowels", words=("a", "e", "o")),)))
CARD = (BASE, Method("l", lora="verse"), Method("p", prefix="facts"), STEERED)
Texts = list[tuple[int, ...]]


def card(kind: int) -> list[Request]:
    return [Request("Once upon a time"[: 1 + kind % 16], method, kind) for method in CARD]


@dataclass
class Visitors:
    """Visits of a few kinds, of which one in four breaks off."""

    engine: Engine
    alone: list[Texts]
    wrong: list[int] = field(default_factory=list)

    def come(self, number: int) -> None:
        pick, kind = random.Random(number), number % KINDS
        leaves_after = pick.randint(1, 8) if pick.random() < 0.25 else None
        with closing(self.engine.generate(card(kind), SAMPLING)) as states:
            *_, rows = islice(states, leaves_after)
        if leaves_after is None and [row.token_ids for row in rows] != self.alone[kind]:
            self.wrong.append(number)


@pytest.fixture
def visits(request: pytest.FixtureRequest) -> int:
    return int(request.config.getoption("--visits"))


@pytest.mark.slow
def test_nothing_grows_and_no_text_is_wrong(bench: Bench, visits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    engine = Engine(bench.base, bench.engine.store)
    alone = [
        [row.token_ids for row in [*engine.generate(card(kind), SAMPLING, alone=True)][-1]] for kind in range(KINDS)
    ]
    visitors, process = Visitors(engine, alone), psutil.Process()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in pool.map(visitors.come, range(visits // 2)):
            pass
        gc.collect()
        memory, threads = process.memory_info().rss, threading.active_count()
        for _ in pool.map(visitors.come, range(visits // 2, visits)):
            pass
    gc.collect()
    assert visitors.wrong == []
    assert not engine.shared.busy
    assert engine.shared.batches == [None, None]
    assert process.memory_info().rss <= 1.1 * memory
    assert threading.active_count() <= threads
