"""A runner and a database in memory, so that the page is tested without a model and without SQL.

A text is a few words drawn from a list, the same for the same prompt, method and draw. A prompt that contains a trigger
word makes the runner refuse, break or leave out a text.
"""

import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from adapters.methods import UserError
from demo.parts.links import new_secret
from leaderboard.records import AdapterCost, PromptSet, Run, RunData, RunSpec, Sample, Tally, Timing
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate

WORDS = [
    "the",
    "a",
    "river",
    "light",
    "stone",
    "wind",
    "of",
    "and",
    "under",
    "over",
    "quiet",
    "bright",
    "old",
    "road",
    "house",
    "garden",
    "was",
    "had",
    "went",
    "came",
]
START = datetime(2026, 11, 22, 14, 3, tzinfo=UTC)


class FakeEstimate(NamedTuple):
    num_texts: int
    num_known: int
    num_tokens: int
    seconds: float


class FakeProgress(NamedTuple):
    phase: str
    done: int
    total: int
    seconds_left: float | None
    samples: tuple[Sample, ...]


class FakeReplay(NamedTuple):
    done: int
    total: int
    differences: tuple[tuple[str, int, int, int], ...]


class FakeLine(NamedTuple):
    id: str
    created: datetime
    name: str
    num_prompts: int
    methods: tuple[str, ...]
    status: str
    owner: str | None


class FakeDatabase:
    """Runs and comparisons in dictionaries."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self.stored: dict[str, RunData] = {}
        self.comparisons: dict[str, tuple[dict[str, Any], str]] = {}
        self.addresses: dict[str, str] = {}

    def run(self, id: str) -> Run | None:
        return self.stored[id].run if id in self.stored else None

    def runs(self, owner: str | None) -> list[FakeLine]:
        runs = [data.run for data in self.stored.values() if data.run.owner in (None, owner)]
        return [as_line(run) for run in sorted(runs, key=lambda run: run.created, reverse=True)]

    def published(self, id: str) -> str | None:
        return self.addresses.get(id)

    def set_published(self, id: str, address: str) -> None:
        self.addresses[id] = address

    def add_comparison(self, record: Mapping[str, Any], owner: str) -> str:
        id = new_secret()
        self.comparisons[id] = dict(record), owner
        return id

    def comparison(self, id: str) -> dict[str, Any] | None:
        return self.comparisons[id][0] if id in self.comparisons else None

    def owns_comparison(self, id: str, owner: str) -> bool:
        return id in self.comparisons and self.comparisons[id][1] == owner

    def delete_comparison(self, id: str, owner: str) -> bool:
        return self.owns_comparison(id, owner) and bool(self.comparisons.pop(id))


class FakeRunner:
    """Writes one text a step; remembers what it was asked, and closes as the real one does."""

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        self.database = FakeDatabase()
        self.forget()

    def forget(self) -> None:
        """Makes it as it was when nothing had been asked of it."""
        self.database.forget()
        self.closed = 0
        self.differences: tuple[tuple[str, int, int, int], ...] = ()

    def estimate(self, spec: RunSpec, prompts: PromptSet, visitor: bool = False) -> FakeEstimate:
        texts = len(prompts.prompts) * len(spec.methods) * spec.samples
        check(spec, prompts)
        return FakeEstimate(texts, 0, texts * spec.sampling.max_new_tokens, 0.5 * texts)

    def add(self, spec: RunSpec, prompts: PromptSet, owner: str | None) -> Run:
        check(spec, prompts)
        created = START + timedelta(minutes=len(self.database.stored))
        hashes = {"base": "esab"}
        run = Run(new_secret(), created, spec, prompts, "fake-135M", hashes, {"torch": "2.13.0"}, "stopped", owner)
        costs = tuple(AdapterCost(0, 0) for _ in spec.methods)
        self.database.stored[run.id] = RunData(run, (), {label: {} for label in spec.scorers}, {}, (), costs)
        return run

    def run(self, run_id: str) -> Iterator[FakeProgress]:
        self.set_status(run_id, "running")
        run = self.data(run_id).run
        todo = missing(self.data(run_id))
        total = len(todo) * run.spec.sampling.max_new_tokens
        try:
            for number, sample in enumerate(todo, 1):
                time.sleep(self.delay)
                if "BREAK" in run.prompts.prompts[sample.prompt].prompt:
                    raise RuntimeError("the runner broke")
                self.keep(run_id, sample)
                yield FakeProgress("generating", number * 5, total, 0.5 * (len(todo) - number), (sample,))
            yield FakeProgress("scoring", total, total, 0.1, ())
            self.set_status(run_id, "done")
        finally:
            self.closed += 1
            if self.data(run_id).run.status == "running":
                self.set_status(run_id, "stopped")

    def keep(self, run_id: str, sample: Sample) -> None:
        data = self.data(run_id)
        tally = Tally(-2.0 * sample.num_tokens - 0.1 * len(sample.text), sample.num_tokens)
        tallies = {label: dict(of) | {sample.key: tally} for label, of in data.tallies.items()}
        timing = Timing(sample.method, sample.prompt, 5, 1.0 + sample.method, 10**9)
        self.database.stored[run_id] = data._replace(
            samples=(*data.samples, sample), tallies=tallies, timings=(*data.timings, timing)
        )

    def set_status(self, run_id: str, status: str) -> None:
        data = self.data(run_id)
        self.database.stored[run_id] = data._replace(run=data.run._replace(status=status))

    def data(self, run_id: str) -> RunData:
        return self.database.stored[run_id]

    def results(self, run_id: str) -> Results:
        return tabulate(self.data(run_id))

    def delete(self, run_id: str, owner: str | None) -> bool:
        return self.data(run_id).run.owner == owner and bool(self.database.stored.pop(run_id))

    def replay(self, run_id: str) -> Iterator[FakeReplay]:
        total = len(self.data(run_id).samples)
        yield FakeReplay(0, total, ())
        yield FakeReplay(total, total, self.differences)


def check(spec: RunSpec, prompts: PromptSet) -> None:
    if any(method.lora not in (None, "poetry", "scifi") for method in spec.methods):
        raise UserError("There is no LoRA adapter 'gone': choose one of poetry, scifi.")
    if "REFUSE" in prompts.prompts[0].prompt:
        raise UserError("Prompt 1: too long.")


def missing(data: RunData) -> list[Sample]:
    """The texts that a run still lacks, in their order."""
    spec, there = data.run.spec, {(sample.prompt, sample.method, sample.draw) for sample in data.samples}
    places = [
        (prompt, method, draw)
        for prompt in range(len(data.run.prompts.prompts))
        for method in range(len(spec.methods))
        for draw in range(spec.samples)
    ]
    return [fake_sample(data, *place) for place in places if place not in there]


def fake_sample(data: RunData, prompt: int, method: int, draw: int) -> Sample:
    """The text for a place; every sixth ends by itself."""
    name = f"{data.run.prompts.prompts[prompt].prompt} {data.run.spec.methods[method].name} {draw}"
    draws = random.Random(name)
    words = draws.choices(WORDS, k=12)
    seed = data.run.spec.sample_seed(data.run.prompts.prompts[prompt].prompt, draw)
    reason = "eos" if draws.random() < 1 / 6 else "length"
    return Sample(prompt, method, draw, f"{data.run.id} {name}", seed, " " + " ".join(words), 12, reason)


def as_line(run: Run) -> FakeLine:
    methods = tuple(method.name for method in run.spec.methods)
    return FakeLine(run.id, run.created, run.prompts.name, len(run.prompts.prompts), methods, run.status, run.owner)
