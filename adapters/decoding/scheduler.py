"""Who runs the model next: one thread at a time, and within a call one batch at a time."""

import threading
from collections import deque

from adapters.decoding.batch import Batch

STEERED_SHARE = 0.4  # of the unsteered rows' time: with steered neighbours they take at most 1.4 times as long


class FairLock:
    """A lock granted in the order of asking, so that a long run cannot keep others from their steps."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()  # the first holds the turn; each waits on a lock of its own
        self._holder: int | None = None

    @property
    def held(self) -> bool:
        """Whether the calling thread holds the lock."""
        return self._holder == threading.get_ident()

    def __enter__(self) -> None:
        mine = threading.Lock()
        mine.acquire()
        with self._guard:
            self._queue.append(mine)
            first = self._queue[0] is mine
        if not first:
            try:
                mine.acquire()  # until the one before lets go
            except BaseException:
                self._leave(mine)
                raise
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._leave(self._queue[0])

    def _leave(self, mine: threading.Lock) -> None:
        with self._guard:
            was_first = self._queue[0] is mine
            self._queue.remove(mine)
            if was_first and self._queue:
                self._queue[0].release()


def next_batch(plain: Batch, steered: Batch) -> Batch:
    """The batch to advance: every row gets its first token at once, then steered rows get their share of the time."""
    if not (plain.running and steered.running):
        return plain if plain.running else steered
    if not plain.started:
        return plain
    return steered if not steered.started or steered.seconds < STEERED_SHARE * plain.seconds else plain
