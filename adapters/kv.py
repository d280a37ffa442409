"""The key/value cache of a batch, with its mask.

Letters: L layers, B rows, H key/value heads, N columns of capacity, T columns in use, D head size, W window.
All rows of a batch end at the same column. A row without a prefix or with a shorter prompt has masked padding on the
left, so its position ids are its columns less the masked ones.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin


class Shape(NamedTuple):
    num_layers: int
    num_heads: int  # key/value heads
    head_size: int


def cache_shape(model: PreTrainedModel) -> Shape:
    """Ask the model by reading one token. Raises ValueError where there is no plain key/value cache."""
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    with torch.no_grad():
        cache = getattr(model(input_ids=token, use_cache=True), "past_key_values", None)
    layers = getattr(cache, "layers", [])
    shapes = {getattr(layer, "keys", token).shape for layer in layers}
    if len(shapes) != 1 or len(next(iter(shapes))) != 4:
        raise ValueError("This base model has no key/value cache of equal layers: choose another one.")
    _, heads, _, size = next(iter(shapes))
    return Shape(len(layers), heads, size)


class KV:
    """Keys and values of B rows in one buffer of fixed capacity."""

    def __init__(self, data: Tensor, mask: Tensor, length: int) -> None:
        self.data = data  # (L, 2, B, H, N, D)
        self.mask = mask  # (B, N): False where a row has nothing; True for columns to come
        self.length = length  # T
        self.offsets = (~mask).sum(-1)  # (B,) masked columns
        self.padded = bool(self.offsets.any())  # one synchronisation, when the batch is made
        self._layers = [AppendingLayer(layer) for layer in data.unbind(0)]

    @classmethod
    def empty(cls, shape: Shape, mask: Tensor, like: Tensor) -> "KV":
        """An empty cache of the dtype and on the device of `like`; mask (B, N) leaves the padding out."""
        size = (shape.num_layers, 2, mask.shape[0], shape.num_heads, mask.shape[1], shape.head_size)
        return cls(like.new_zeros(size), mask, 0)

    def rows(self, index: Tensor) -> "KV":
        """A copy of the rows at `index` (R,); a row may be named more than once."""
        return KV(self.data.index_select(2, index), self.mask.index_select(0, index), self.length)

    @classmethod
    def gathered(cls, rows: Sequence[tuple["KV", int]], room: int) -> "KV":
        """A copy of rows of several caches without the columns that none of them uses, with `room` for more."""
        used = [kv.mask[row, : kv.length].nonzero()[:, 0] for kv, row in rows]
        length, data = max(map(len, used)), rows[0][0].data
        layers, _, _, heads, _, size = data.shape
        kept = data.new_zeros(layers, 2, len(rows), heads, length + room, size)
        mask = rows[0][0].mask.new_ones(len(rows), length + room)
        for place, ((kv, row), columns) in enumerate(zip(rows, used, strict=True)):
            kept[:, :, place, :, length - len(columns) : length] = kv.data[:, :, row].index_select(-2, columns)
            mask[place, : length - len(columns)] = False
        return cls(kept, mask, length)

    def every_second(self) -> "KV":
        """The second, fourth, … row; the memory is shared."""
        return KV(self.data[:, :, 1::2], self.mask[1::2], self.length)

    def newest(self, width: int) -> Tensor:
        """A view of the newest columns in use (L, 2, B, H, width, D)."""
        return self.data.narrow(-2, self.length - width, width)

    def inputs(self, num_new: int) -> dict[str, Tensor | None]:
        """Attention mask (B, T + num_new) and position ids (B, num_new) for the next columns."""
        end = self.length + num_new
        columns = torch.arange(self.length, end, device=self.mask.device)
        positions = (columns - self.offsets[:, None]).clamp(min=0)
        return {"attention_mask": self.mask[:, :end] if self.padded else None, "position_ids": positions}

    def cache(self) -> Cache:
        """For one forward pass that appends to this cache; the caller advances `length`."""
        for layer in self._layers:
            layer.length = self.length
        return Cache(layers=[*self._layers])

    def followed(self, probe: Tensor, gradient: Tensor) -> Cache:
        """As `cache`; a backward pass to `probe`, a scalar leaf, then writes the gradient of the past to `gradient`.

        gradient (L, 2, R, H, W, D) is of the newest W columns; R = B, or B / 2 for every second row.
        """
        rows = slice(1, None, 2) if gradient.shape[2] < self.data.shape[2] else slice(None)
        pairs = zip(self.data.unbind(0), gradient.unbind(0), strict=True)
        return Cache(layers=[FollowedLayer(data, self.length, probe, kept, rows) for data, kept in pairs])

    def ahead(self) -> Cache:
        """For passes that look ahead: nothing is written to this cache, and gradients pass through."""
        cache = DynamicCache()
        for layer, (keys, values) in enumerate(self.data[..., : self.length, :].unbind(0)):
            cache.update(keys, values, layer)
        return cache


class AppendingLayer(CacheLayerMixin):
    """Writes new columns into the buffer of one layer and returns views of all columns in use."""

    is_sliding = False

    def __init__(self, buffer: Tensor) -> None:
        super().__init__()
        self.buffers = buffer.unbind(0)  # of keys and of values: (B, H, N, D)
        self.length = 0  # T
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = self.buffers
        return self._write(keys, key_states), self._write(values, value_states)

    def _write(self, buffer: Tensor, new: Tensor) -> Tensor:
        count = new.shape[-2]  # narrow costs a third of what indexing does, and this runs twice a layer and token
        buffer.narrow(-2, self.length, count).copy_(new)
        return buffer.narrow(-2, 0, self.length + count).to(new.dtype)

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        return self.buffers[0].shape[-2]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The buffer exists from the start."""


class FollowedLayer(AppendingLayer):
    """Appends, and keeps the gradient of the columns before."""

    def __init__(self, buffer: Tensor, length: int, probe: Tensor, gradient: Tensor, rows: slice) -> None:
        super().__init__(buffer)
        self.length = length
        self.probe, self.gradients, self.rows = probe, gradient.unbind(0), rows

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        keys, values = (
            Append.apply(new, self.probe, self, which) for which, new in enumerate((key_states, value_states))
        )
        return keys, values


class Append(torch.autograd.Function):
    """cat(past, new) without copying the past, which is a buffer outside the graph; keeps the gradient of the past.

    The buffer must not change before the backward pass. `probe` makes the first layer's result need a gradient too.
    """

    @staticmethod
    def forward(ctx: Any, new: Tensor, probe: Tensor, layer: FollowedLayer, which: int) -> Tensor:
        ctx.layer, ctx.which = layer, which
        # Through `data` writing keys does not count as changing the values in the same tensor.
        return layer._write(layer.buffers[which].data, new)

    @staticmethod
    def backward(ctx: Any, whole: Tensor) -> tuple[Tensor, None, None, None]:
        layer: FollowedLayer = ctx.layer
        kept = layer.gradients[ctx.which]  # (R, H, W, D)
        width = kept.shape[-2]
        kept.copy_(whole[layer.rows].narrow(-2, layer.length - width, width))
        return whole.narrow(-2, layer.length, whole.shape[-2] - layer.length), None, None, None
