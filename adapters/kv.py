"""The key/value cache of a batch, with its mask.

Knows columns, padding and layers; knows nothing of prompts, sampling or steering.

Letters: L layers, B rows, H key/value heads, N columns of capacity, T columns in use, D head size, W window.
All rows of a batch end at the same column. What a row does not have (a prefix, or a prompt as long as its neighbours')
is masked padding on the left, so a row's position ids are its columns less the masked ones.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import CacheLayerMixin

from adapters.methods import UserError


class Shape(NamedTuple):
    """What one position of the cache looks like in this model."""

    num_layers: int
    num_heads: int  # key/value heads
    head_size: int


def cache_shape(model: PreTrainedModel) -> Shape:
    """Asks the model by reading one token; raises UserError where there is no plain key/value cache."""
    token = torch.zeros(1, 1, dtype=torch.long, device=model.device)
    with torch.no_grad():
        cache = getattr(model(input_ids=token, use_cache=True), "past_key_values", None)
    layers = getattr(cache, "layers", [])
    shapes = {getattr(layer, "keys", token).shape for layer in layers}
    if len(shapes) != 1 or len(next(iter(shapes))) != 4:
        raise UserError("This base model has no key/value cache of equal layers: choose another one.")
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
        """An empty cache of the dtype and on the device of `like`; mask (B, N) names the padding to come."""
        size = (shape.num_layers, 2, mask.shape[0], shape.num_heads, mask.shape[1], shape.head_size)
        return cls(like.new_zeros(size), mask, 0)

    def rows(self, index: Tensor) -> "KV":
        """A copy of the rows at `index` (R,); a row may be named more than once."""
        return KV(self.data.index_select(2, index), self.mask.index_select(0, index), self.length)

    @classmethod
    def pairs(cls, one: "KV", other: "KV") -> "KV":
        """The columns in use of two caches of the same rows, row by row: one's first, other's first, one's second, …"""
        used = [kv.data[..., : kv.length, :].float() for kv in (one, other)]
        mask = one.mask.repeat_interleave(2, 0)
        return cls(torch.stack(used, dim=3).flatten(2, 3), mask, one.length)

    def inputs(self, num_new: int) -> dict[str, Tensor | None]:
        """Attention mask (B, T + num_new) and position ids (B, num_new) for the next columns."""
        end = self.length + num_new
        columns = torch.arange(self.length, end, device=self.mask.device)
        positions = (columns - self.offsets[:, None]).clamp(min=0)
        return {"attention_mask": self.mask[:, :end] if self.padded else None, "position_ids": positions}

    def cache(self) -> Cache:
        """For one forward pass that appends to this cache; `length` is the caller's to advance."""
        for layer in self._layers:
            layer.length = self.length
        return Cache(layers=[*self._layers])

    def nudged(self, nudge: Tensor) -> Cache:
        """For one forward pass that reads this past with nudge (L, 2, B, H, W, D) added to its newest W columns.

        Nothing is written; gradients reach `nudge`. The new columns stay in the layers (`new_columns`).
        """
        past = self.data[..., : self.length, :]
        # unbind, for its backward pass is one stack; indexing would build a full-size gradient for every layer
        return Cache(layers=[NudgedLayer(*pair) for pair in zip(past.unbind(0), nudge.unbind(0), strict=True)])

    def ahead(self) -> Cache:
        """For passes beyond the columns in use that are not to stay: nothing is written, gradients reach them."""
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
        return buffer.narrow(-2, 0, self.length + count)

    def get_seq_length(self) -> int:
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.length + query_length, 0

    def get_max_length(self) -> int:
        return self.buffers[0].shape[-2]

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """The buffer exists from the start."""


class NudgedLayer(AppendingLayer):
    """Returns cat(past with the nudge on its newest columns, new) and keeps the new columns aside."""

    def __init__(self, past: Tensor, nudge: Tensor) -> None:
        super().__init__(past)
        self.length = past.shape[-2]
        self.nudge = nudge  # (2, B, H, W, D)

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.new = (key_states, value_states)
        (past_keys, past_values), (nudge_keys, nudge_values) = self.buffers, self.nudge.unbind(0)
        return self._read(past_keys, nudge_keys, key_states), self._read(past_values, nudge_values, value_states)

    def _read(self, past: Tensor, nudge: Tensor, new: Tensor) -> Tensor:
        # The sum is float32, as past and nudge are; only what the model reads is in the model's dtype.
        width = nudge.shape[-2]
        still = self.length - width
        moved = (past.narrow(-2, still, width) + nudge).to(new.dtype)
        return torch.cat([past.narrow(-2, 0, still).to(new.dtype), moved, new], dim=-2)


def new_columns(cache: Cache) -> Tensor:
    """The columns (L, 2, B, H, Q, D) that a pass over `KV.nudged` made."""
    return torch.stack([torch.stack(layer.new) for layer in cache.layers if isinstance(layer, NudgedLayer)])
