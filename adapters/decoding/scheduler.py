"""Who runs the model: everybody's rows step together, and calls join and leave between two tokens.

Whoever waits for a text does the next piece of work, for all. So there is no thread that owns the model, and where
nobody reads nothing runs.
"""

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from adapters.decoding.batch import STEERED_SHARE, Batch
from adapters.decoding.text import Row, Wait

MOST_SECONDS = 2.0  # that a token of everybody may take before others have to wait
MOST_BYTES = 1_000_000_000  # of the caches of everybody
STEERED_COPIES = 4  # of a steered row's past: clean, pushed, twin and gradient
MOST_WASTED = 0.25  # of the columns may be padding in all rows before a cache is made anew

# Reads the prompts of a call; yields None after each part, then the batches of its unsteered and steered rows.
Begin = Generator[tuple[Batch | None, Batch | None] | None, None, None]


class FairLock:
    """A lock granted in the order of asking, so that a long run cannot keep others from their steps."""

    def __init__(self) -> None:
        self._guard = threading.RLock()  # a generator that is collected inside may ask too
        self._queue: deque[threading.Lock] = deque()  # the first holds the turn; each waits on a lock of its own

    def __enter__(self) -> None:
        mine = threading.Lock()
        with self._guard:
            if self._queue:
                mine.acquire()
            self._queue.append(mine)
        try:
            mine.acquire()  # waits until the one before lets go
        except BaseException:
            self._leave(mine)
            raise

    def __exit__(self, *_: object) -> None:
        self._leave(self._queue[0])

    def at_once(self, work: Callable[[], None]) -> None:
        """Do the work if nobody has the turn."""
        with self._guard:
            if not self._queue:
                with self:
                    work()

    def _leave(self, mine: threading.Lock) -> None:
        with self._guard:
            was_first = self._queue[0] is mine
            self._queue.remove(mine)
            if was_first and self._queue:
                self._queue[0].release()


@dataclass(frozen=True, eq=False)  # compared by identity
class Call:
    """The rows of one call, and how they begin."""

    rows: Sequence[Row]
    begin: Begin
    num_bytes: int  # of a cache column of one row

    @property
    def tokens_left(self) -> int:
        return max(row.left for row in self.rows)

    @property
    def error(self) -> Exception | None:
        """What ended its rows, if anything did."""
        return next((row.error for row in self.rows if row.error is not None), None)

    def leave(self) -> None:
        """End its rows; whoever has the turn next forgets them."""
        for row in self.rows:
            row.finish_reason = row.finish_reason or "left"

    @property
    def state(self) -> tuple[int, int]:
        """Changes whenever a row has a new token or has ended."""
        return sum(len(row.token_ids) for row in self.rows), sum(row.finish_reason is not None for row in self.rows)

    @property
    def memory(self) -> int:
        """Bytes of its caches at their largest."""
        columns = 0
        for row in self.rows:
            copies = 1 if row.attribute_loss is None else STEERED_COPIES
            columns += copies * (row.prefix_length + len(row.prompt_ids) + row.room)
        return columns * self.num_bytes


class Scheduler:
    """Calls in the order of asking; those that are let in step together. Only whoever has the turn may use it."""

    def __init__(
        self, most_bytes: int = MOST_BYTES, most_seconds: float = MOST_SECONDS, most_wasted: float = MOST_WASTED
    ) -> None:
        self.most_seconds, self.most_bytes, self.most_wasted = most_seconds, most_bytes, most_wasted
        self.line: list[Call] = []
        self.running: list[Call] = []
        self.reading: Call | None = None  # the one whose prompts are being read
        self.read_last = False  # rather than taken a batch further
        # Each twice: for unsteered and for steered rows.
        self.batches: list[Batch | None] = [None, None]
        self.arrived: list[list[Batch]] = [[], []]  # batches that are still to be joined to these, between two tokens
        self.cost = [0.0, 0.0]  # seconds a token of a row, as measured last

    @property
    def busy(self) -> bool:
        return bool(self.line or self.running)

    def add(self, call: Call) -> None:
        self.line.append(call)

    def wait(self, call: Call) -> Wait | None:
        """Where a call stands in the line, and about how long; None once it is let in."""
        ahead = next((place for place, other in enumerate(self.line) if other is call), None)
        if ahead is None:
            return None
        ends = sorted(running.tokens_left for running in self.running) or [0]
        rounds, rest = divmod(ahead, len(ends))  # each that ends lets one in
        return Wait(ahead, (rounds * ends[-1] + ends[rest]) * self._seconds(self._rows()))

    def advance(self) -> None:
        """Do one piece of work: let a call in, or take the batch further whose turn it is."""
        self.sweep()
        if self.reading is None and self.line and self._has_room(self.line[0]):
            self.reading = self.line.pop(0)
            self.running.append(self.reading)
        batch = self._next()
        if self.reading is not None and not (self.read_last and batch):
            self.read_last = True
            if self._read(self.reading):
                return
            batch = self._next()
        self.read_last = False
        if batch is None:
            return
        rows = batch.rows
        try:
            batch.advance()
        except Exception as error:
            fail(rows, error)
        else:
            if batch.between and batch.pace:
                self.cost[batch.steering is not None] = batch.pace / len(rows)
        self.sweep()

    def sweep(self) -> None:
        """Forget the rows that have ended or were left, and take in those that have arrived."""
        self.line = [call for call in self.line if call.tokens_left]
        self.running = [call for call in self.running if call.tokens_left]
        if self.reading is not None and not self.reading.tokens_left:
            self.reading = None
        try:
            for kind in range(2):
                self._sweep(kind)
        except Exception as error:  # there is no memory for a cache, or worse: nobody may wait for rows that are lost
            fail(self._rows(), error)
            self.batches, self.arrived = [None, None], [[], []]
        if None in self.batches:  # the share of the steered rows is counted from when both have work
            for batch in self.batches:
                if batch is not None:
                    batch.seconds = 0.0

    def _sweep(self, kind: int) -> None:
        """Join a batch with those that have arrived, or make it anew without rows that were left and wasted columns."""
        batch, arrived = self.batches[kind], self.arrived[kind]
        if batch is not None and any(row.left for row in batch.rows):
            if not batch.between:  # else nobody waits for the token that is being made
                return
            if not arrived and all(row.left for row in batch.rows) and batch.wasted <= self.most_wasted:
                return
            arrived = [batch, *arrived]
        self.batches[kind] = arrived[0] if len(arrived) == 1 and batch not in arrived else Batch.joined(arrived)
        self.arrived[kind] = []

    def _has_room(self, call: Call) -> bool:
        """Whether a call may be let in beside the running ones: by memory, and by the time of a token of all."""
        if not self.running:
            return True
        if any(batch is not None and not batch.pace for batch in self.batches):
            return False  # not measured yet
        memory = sum(each.memory for each in (*self.running, call))
        return self._seconds([*self._rows(), *call.rows]) <= self.most_seconds and memory <= self.most_bytes

    def _rows(self) -> list[Row]:
        return [row for call in self.running for row in call.rows if row.left]

    def _seconds(self, rows: Sequence[Row]) -> float:
        """What a token of all these rows takes, at most: a row costs less the more there are."""
        steered = sum(row.attribute_loss is not None for row in rows)
        return self.cost[0] * (len(rows) - steered) + self.cost[1] * steered

    def _read(self, call: Call) -> bool:
        """Read a part of the prompts of a call; after the last its unsteered rows get their first token.

        Returns False if there is none of these, so that there is still something to do.
        """
        try:
            begun = next(call.begin)
            if begun is None:
                return True
            self.reading = None
            call.begin.close()  # it holds what it has read
            if begun[0] is not None:
                begun[0].advance()
        except Exception as error:
            fail(call.rows, error)
            return True
        for kind, batch in enumerate(begun):
            if batch is not None and batch.rows:
                self.arrived[kind].append(batch)
        self.sweep()
        return begun[0] is not None

    def _next(self) -> Batch | None:
        """Every row gets its first token at once, then steered rows get their share of the time."""
        plain, steered = self.batches
        if plain is None or steered is None:
            return plain or steered
        behind = steered.seconds < STEERED_SHARE * plain.seconds
        return steered if behind or any(not row.token_ids for row in steered.rows) else plain


def fail(rows: Sequence[Row], error: Exception) -> None:
    """End rows by an error, which their callers raise."""
    for row in rows:
        row.error, row.finish_reason = error, "failed"
