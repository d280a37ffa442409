"""Adapter weights in memory, by digest: the recently used ones up to a limit, and those that somebody still holds."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from weakref import WeakValueDictionary

from torch import Tensor

from adapters.lora.rows import LoraWeights

Weights = LoraWeights | Tensor  # of a LoRA, or the keys and values of a prefix


class WeightCache:
    """Safe in every thread. Readers keep what they were handed, also after it has left the cache."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._recent: OrderedDict[str, tuple[Weights, int]] = OrderedDict()  # least recently used first; with bytes
        self._held: WeakValueDictionary[str, Weights] = WeakValueDictionary()  # so that equal rows share one copy
        self._guard = threading.Lock()
        self._reading = threading.Lock()  # one read at a time; others may take what is there

    @property
    def num_bytes(self) -> int:
        """Bytes that the cache itself keeps in memory."""
        with self._guard:
            return sum(size for _, size in self._recent.values())

    def get(self, digest: str, num_bytes: int, read: Callable[[], Weights]) -> Weights:
        """Weights with this digest, from memory or else by `read`, which may raise."""
        found = self._find(digest, num_bytes)
        if found is not None:
            return found
        with self._reading:
            found = self._find(digest, num_bytes)  # another thread may have read them meanwhile
            return self._add(digest, num_bytes, read()) if found is None else found

    def drop(self, digest: str) -> None:
        """Forget the weights with this digest; they may be unknown."""
        with self._guard:
            self._recent.pop(digest, None)

    def _find(self, digest: str, num_bytes: int) -> Weights | None:
        with self._guard:
            weights = self._held.get(digest)
        return None if weights is None else self._add(digest, num_bytes, weights)

    def _add(self, digest: str, num_bytes: int, weights: Weights) -> Weights:
        """Note a use, and let the least recently used go until the rest fits."""
        with self._guard:
            self._held[digest] = weights
            self._recent[digest] = weights, num_bytes
            self._recent.move_to_end(digest)
            while sum(size for _, size in self._recent.values()) > self._max_bytes:
                self._recent.popitem(last=False)
        return weights
