"""What a visitor may do: one comparison at a time, however many tabs are open, and so much in an hour.

Whoever clears the browser is a new visitor, so the network that asks has a bound too, a looser one. An hour begins with
its first use: there is one moment when everything is possible again, and one number to keep.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import NamedTuple
from weakref import WeakValueDictionary

from limits import RateLimitItemPerHour
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from adapters.methods import UserError

ONE_EACH = "You have a comparison running in another tab. Wait for it to end, or stop it."
PATIENCE = 5.0  # seconds: a comparison that was just stopped may still be ending
SHARED = 30  # allowances of a network: a workshop at one address has one each, and clearing cookies gives no more
TOKENS, UPLOADS, DISK, TRAININGS, XRAYS = "tokens", "uploads", "MB", "trainings", "X-rays"
TOO_MUCH = "This takes {amount} {what}, and {most} are allowed in an hour: ask for less."
USED_UP = "{who} used {used} of {most} {what} of this hour, and this takes {amount}: again in {minutes} min."
YOU, NO_COOKIE, ALL = "You have", "Without a cookie: your address has", "Everybody in your network together has"


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


class Visitor(NamedTuple):
    id: str  # of the cookie; the address where none came
    network: str
    cookie: bool  # whether one came that we signed


class Allowance:
    """What visitors have used of their hours, in memory. Safe to use from several threads."""

    def __init__(self, hourly: Mapping[str, int], asking: Callable[[], Visitor | None]) -> None:
        """`hourly`: what each visitor may use, 0: without limit. `asking`: who asks now; None, nobody, has no limit."""
        self.hourly, self._asking = {what: most for what, most in hourly.items() if most}, asking
        self._storage, self._lock = MemoryStorage(), threading.Lock()
        self._used = FixedWindowRateLimiter(self._storage)

    @contextmanager
    def spend(self, what: str, amount: int = 1, visitor: Visitor | None = None) -> Iterator[None]:
        """Count an amount, of the `visitor` or else of whoever asks, before the block begins.

        Raises UserError where too little is left. A UserError in the block gives the amount back.
        """
        visitor, most = visitor or self._asking(), self.hourly.get(what)
        bounds: list[tuple[RateLimitItemPerHour, str, str]] = []
        if most and visitor:
            own = RateLimitItemPerHour(most), visitor.id, YOU if visitor.cookie else NO_COOKIE
            bounds = [own, (RateLimitItemPerHour(SHARED * most), visitor.network, ALL)]
        with self._lock:
            for item, id, who in bounds:
                if not self._used.test(item, what, id, cost=amount):
                    raise UserError(self._refusal(item, what, id, who, amount))
            for item, id, _ in bounds:
                self._used.hit(item, what, id, cost=amount)
        try:
            yield
        except UserError:
            for item, id, _ in bounds:
                self._storage.decr(item.key_for(what, id), amount)
            raise

    def _refusal(self, item: RateLimitItemPerHour, what: str, id: str, who: str, amount: int) -> str:
        reset, left = self._used.get_window_stats(item, what, id)
        used, most, needed = (figure(what, each) for each in (item.amount - left, item.amount, amount))
        if amount > item.amount:
            return TOO_MUCH.format(amount=needed, what=what, most=most)
        minutes = max(1, round((reset - time.time()) / 60))
        return USED_UP.format(who=who, used=used, most=most, what=what, amount=needed, minutes=minutes)


def figure(what: str, amount: int) -> str:
    return f"{amount / 1e6:.3g}" if what == DISK else f"{amount:,}"  # bytes are counted, MB are told
