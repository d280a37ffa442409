"""The turn to run the model: one thread at a time, in the order of asking."""

import threading
from collections import deque


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
