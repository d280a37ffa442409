"""One comparison at a time for each visitor, however many tabs are open."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from adapters.methods import UserError

ONE_EACH = "You have a comparison running in another tab. Wait for its end, or stop it."
PATIENCE = 5.0  # seconds: a comparison that was just stopped may still be ending


class OneEach:
    """Who has a comparison running; safe to use from several threads."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._ended = threading.Condition()

    @contextmanager
    def hold(self, visitor: str | None, patience: float = PATIENCE) -> Iterator[None]:
        """Be this visitor's only comparison meanwhile. Raises UserError while another one of theirs goes on.

        Who is None cannot be told apart from others, and is not held up.
        """
        if visitor is None:
            yield
            return
        with self._ended:
            if not self._ended.wait_for(lambda: visitor not in self._running, patience):
                raise UserError(ONE_EACH)
            self._running.add(visitor)
        try:
            yield
        finally:
            with self._ended:
                self._running.discard(visitor)
                self._ended.notify_all()
