"""The steering vectors of a batch: each row's own sum, added to the output of a decoder layer.

    h <- h + strength * push    at every position, the prompt included

(CAA: Rimsky et al., ACL 2024, arXiv 2312.06681). Rows without a vector add zeros, which changes no bit that counts.
Letters: B rows, Q positions, C hidden size.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)  # compared by identity
class Vector:
    """A steering vector to run."""

    layer: str  # path of a decoder layer in the base model
    push: Tensor  # (C,), float32: a direction as long as the layer's typical state


class Shift(NamedTuple):
    """A vector at a strength; 0 is the base model."""

    vector: Vector
    strength: float


class Shifts:
    def __init__(self, added: Mapping[nn.Module, Tensor]) -> None:
        """`added`: decoder layer -> (B, 1, C)."""
        self.added = added

    @classmethod
    def of(cls, model: nn.Module, rows: Sequence[Sequence[Shift]]) -> "Shifts":
        """`rows` has the vectors of each row of the batch."""
        added: dict[nn.Module, Tensor] = {}
        for row, shifts in enumerate(rows):
            for vector, strength in shifts:
                layer = model.get_submodule(vector.layer)
                if layer not in added:
                    added[layer] = torch.zeros(len(rows), 1, len(vector.push))
                added[layer][row] += strength * vector.push
        return cls({layer: sums.to(next(layer.parameters())) for layer, sums in added.items()})

    def rows(self, index: Sequence[int]) -> "Shifts":
        """The rows at `index`; a row may be named more than once."""
        if not self.added:  # no index, which a GPU would be waited for
            return self
        places = torch.tensor(index, dtype=torch.long, device=next(iter(self.added.values())).device)
        return Shifts({layer: sums.index_select(0, places) for layer, sums in self.added.items()})

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Adds the vectors to the outputs of the layers, and takes them away again whatever happens."""
        with ExitStack() as hooks:
            for layer, sums in self.added.items():
                hooks.callback(layer.register_forward_hook(hook(sums)).remove)
            yield


def hook(sums: Tensor):  # type: ignore[no-untyped-def]  # the hook's type is torch's own
    """A forward hook that adds sums (B, 1, C) to hidden states (B, Q, C), alone or first in a tuple."""

    def add(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
        return (output[0] + sums, *output[1:]) if isinstance(output, tuple) else output + sums

    return add
