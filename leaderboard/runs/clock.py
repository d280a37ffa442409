"""Progress of a run and the time left at its pace so far."""

import time
from collections.abc import Set
from typing import NamedTuple

from leaderboard.records import Sample
from leaderboard.runs.plan import Batch, Plan
from leaderboard.runs.writing import Piece


class Progress(NamedTuple):
    """How far a run is."""

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

    def progress(self, phase: str, batch: Batch | None = None, piece: Piece | None = None) -> Progress:
        """How far the run is; `piece` is the newest of the current batch."""
        part, tokens = 0.0, 0
        if batch is not None and piece is not None:
            tokens = piece.num_tokens
            part = tokens / (len(batch.keys) * self._most)
        spent = self._spent + part * self._costs.get(id(batch), 0.0)
        elapsed = time.perf_counter() - self._started
        pace = elapsed / spent if spent > 0 else self._pace
        left = self._left - spent
        new = tuple(text.sample for text in piece.written) if piece else ()
        seconds = 0.0 if left <= 0 else None if pace is None else pace * left
        return Progress(phase, self._finished + tokens, self._total, seconds, new)

    def finish(self, batch: Batch) -> None:
        """Count a batch as done."""
        self._finished += len(batch.keys) * self._most
        self._spent += self._costs.get(id(batch), 0.0)
