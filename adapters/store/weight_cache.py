"""Adapter weights: their digests, and those in memory.

Equal weights have equal digests, whatever files they came from. In memory are the recently used ones up to a limit, and
those that somebody still holds.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from adapters.lora.rows import LoraWeights

Weights = LoraWeights | Tensor  # of a LoRA, or the keys and values of a prefix


class WeightCache:
    """Safe in every thread. Readers keep what they were handed, also after it has left the cache."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._recent: OrderedDict[str, tuple[Weights, int]] = OrderedDict()  # least recently used first; with bytes
        self._held: WeakValueDictionary[str, Weights] = WeakValueDictionary()  # so that equal rows share one copy
        self._guard = threading.Lock()  # of `_recent`
        self._reading = threading.Lock()  # one read at a time; others may take what is there

    @property
    def num_bytes(self) -> int:
        """Bytes that the cache itself keeps in memory."""
        return sum(size for _, size in self._recent.copy().values())

    def get(self, digest: str, num_bytes: int, read: Callable[[], Weights]) -> Weights:
        """Weights with this digest, from memory or else by `read`, which may raise."""
        weights = self._held.get(digest)
        if weights is None:
            with self._reading:
                weights = self._held.get(digest)  # another thread may have read them meanwhile
                if weights is None:
                    weights = self._held[digest] = read()
        with self._guard:
            self._recent[digest] = weights, num_bytes
            self._recent.move_to_end(digest)
            while self.num_bytes > self._max_bytes:
                self._recent.popitem(last=False)
        return weights

    def drop(self, digest: str) -> None:
        """Forget the weights with this digest; they may be unknown."""
        with self._guard:
            self._recent.pop(digest, None)


def weights_digest(weights: Weights) -> str:
    """Digest of a LoRA's matrices, scaling and gains, or of a prefix's keys and values."""
    if not isinstance(weights, LoraWeights):
        return sha256(*pieces([("prefix", weights)]))
    named = ((f"{module}.{part}", t) for module, pair in weights.modules.items() for part, t in enumerate(pair))
    gains = ((f"{module}.gain", gain) for module, gain in weights.gains.items())
    return sha256(str(weights.scaling), *pieces(named), *pieces(gains))


def pieces(named: Iterable[tuple[str, Tensor]]) -> Iterable[str | bytes]:
    """Name, dtype, shape and bytes of each tensor."""
    for name, tensor in named:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        yield tensor.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()


def sha256(*parts: str | bytes) -> str:
    """Hex digest of the parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()
