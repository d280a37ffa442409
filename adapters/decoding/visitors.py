"""One comparison at a time for each visitor, however many tabs are open."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakValueDictionary

from adapters.methods import UserError

ONE_EACH = "You have a comparison running in another tab. Wait for it to end, or stop it."
PATIENCE = 5.0  # seconds: a comparison that was just stopped may still be ending


class OneEach:
    """A lock for each visitor who has a comparison running; safe to use from several threads."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, threading.Lock] = WeakValueDictionary()

    @contextmanager
    def hold(self, visitor: str | None, patience: float = PATIENCE) -> Iterator[None]:
        """Be this visitor's only comparison meanwhile; None, who cannot be told apart, has many. Raises UserError."""
        lock = threading.Lock() if visitor is None else self._locks.setdefault(visitor, threading.Lock())
        if not lock.acquire(timeout=patience):
            raise UserError(ONE_EACH)
        try:
            yield
        finally:
            lock.release()
