"""The batches of a run, in order, with an estimate of their cost and of the time left.

The prompts are cut into parts. Each part is written by one method after the other, all its texts in one batch, and then
scored. So a stopped run can be compared as far as it came, and a batch has the same rows whoever computes it.
"""

import time
from collections.abc import Set
from typing import NamedTuple

from adapters.methods import Method, Request
from adapters.store.fingerprint import Fingerprints
from leaderboard.records import PromptSet, RunSpec, Sample

ROWS = 64  # texts in a batch
TOKENS = 8192  # new tokens in a batch: long texts go in smaller ones
SCORING_COST = 0.07  # of scoring a token, in tokens of a plain row alone
Position = tuple[int, int, int]  # of a text: prompt, method, draw


class Batch(NamedTuple):
    """Every draw of some prompts under one method; empty for one whose texts are finished."""

    number: int  # index of the method
    method: Method
    prompts: range  # their indices
    requests: dict[Position, Request]
    keys: dict[Position, str]  # sha256 of everything that determines each text


class Plan:
    """The batches of a run, one list for each part of the prompts."""

    def __init__(self, spec: RunSpec, prompts: PromptSet, hashes: Fingerprints, rows: int = ROWS) -> None:
        """At most `rows` texts in a batch, but at least all draws of a prompt. UserError for an unknown adapter."""
        self.spec, self.prompts = spec, prompts
        candidates = max(method.rows for method in spec.methods)
        rows = min(rows, max(1, TOKENS // spec.sampling.max_new_tokens)) // candidates
        parts = evenly(len(prompts.prompts), max(1, rows // spec.samples))
        self.parts = [[self._batch(number, part, hashes) for number in range(len(spec.methods))] for part in parts]

    @property
    def keys(self) -> list[str]:
        """The keys of all texts, in the order of the work."""
        return [key for part in self.parts for batch in part for key in batch.keys.values()]

    def cost(self, batch: Batch) -> float:
        """Estimated cost of writing and scoring a batch, in tokens of a plain row alone."""
        texts = len(batch.requests)
        rows = texts * batch.method.rows
        scoring = SCORING_COST * (len(self.spec.scorers) - 1 + (self.spec.judge is not None))
        return self.spec.sampling.max_new_tokens * (rows * row_cost(batch.method, rows) + texts * scoring)

    def missing(self, known: Set[str]) -> list[Batch]:
        return [batch for part in self.parts for batch in part if not known >= set(batch.keys.values())]

    def _batch(self, number: int, part: range, hashes: Fingerprints) -> Batch:
        method, requests = self.spec.methods[number], {}
        for index in part if method.texts is None else ():
            prompt = self.prompts.prompts[index].prompt
            for draw in range(self.spec.samples):
                seed = self.spec.sample_seed(prompt, draw, method)
                requests[index, number, draw] = Request(prompt, method, seed, self.spec.chat)
        keys = hashes.requests(list(requests.values()), self.spec.sampling)
        return Batch(number, method, part, requests, dict(zip(requests, keys, strict=True)))


def evenly(count: int, most: int) -> list[range]:
    """Cut `count` prompts into as few parts of at most `most` as possible, of about equal length.

    >>> evenly(100, 64)
    [range(0, 50), range(50, 100)]
    """
    number = -(-count // most)
    borders = [count * part // number for part in range(number + 1)]
    return [range(start, end) for start, end in zip(borders, borders[1:], strict=False)]


def row_cost(method: Method, rows: int) -> float:
    """Estimated cost of a token of one row in a batch of `rows`, in tokens of a plain row alone.

    The rows of a plain pass share the cost of reading the weights; a steered token adds a forward and a backward pass
    per iteration. Fitted to batches of 1 to 64 rows of the embedded model on a CPU.
    """
    plain = 0.08 + 0.92 / rows
    return plain if method.steering is None else plain + method.steering.num_iterations * (0.19 + 2 / rows)


class Progress(NamedTuple):
    phase: str  # "generating", "scoring" or "done"
    done: int  # tokens
    total: int  # tokens, at most
    seconds_left: float | None  # None: not known yet
    samples: tuple[Sample, ...] = ()  # new since the last progress


class Clock:
    """Counts the work of a run and estimates the time left."""

    def __init__(self, plan: Plan, known: Set[str], seconds_a_token: float | None) -> None:
        """`seconds_a_token` (of a plain row alone) is the pace until one is measured; None: not known."""
        self._most = plan.spec.sampling.max_new_tokens
        self._costs = {id(batch): plan.cost(batch) for batch in plan.missing(known)}
        self._total = self._most * len(plan.keys)
        self._finished = 0  # tokens of finished batches, at most
        self._left, self._spent, self._pace = sum(self._costs.values()), 0.0, seconds_a_token
        self._started = time.perf_counter()

    def progress(
        self, phase: str, batch: Batch | None = None, tokens: int = 0, samples: tuple[Sample, ...] = ()
    ) -> Progress:
        """How far the run is; `tokens` are those of the current batch so far, `samples` its new texts."""
        part = 0.0 if batch is None else tokens / (len(batch.keys) * self._most)
        spent = self._spent + part * self._costs.get(id(batch), 0.0)
        elapsed = time.perf_counter() - self._started
        pace = elapsed / spent if spent > 0 else self._pace
        left = self._left - spent
        seconds = 0.0 if left <= 0 else None if pace is None else pace * left
        return Progress(phase, self._finished + tokens, self._total, seconds, samples)

    def finish(self, batch: Batch) -> None:
        self._finished += len(batch.keys) * self._most
        self._spent += self._costs.get(id(batch), 0.0)
