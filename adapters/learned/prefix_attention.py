"""What a prefix has learned: the attention that tokens pay to it, how far it moved, and the words it is near.

The shared model is never switched or hooked: `own` is always a private model, a second set of modules around the same
weights. Its forward passes are made while holding the engine's turn, as all of them are.

Letters: L layers, H key/value heads, P virtual tokens, D head size, N generated tokens, T tokens in all, V vocabulary.

Nearest words. A virtual token is keys and values, not an embedding. But in the first layer the value of a real token
depends on that token alone (and on its position, where positions are added to the embeddings). So the values of a
virtual token in layer 0 are compared, by cosine, with those of every token of the vocabulary at the same position. A
prefix that starts as the keys and values of a text starts at the text's own tokens, at a cosine of 1. The upper layers
depend on context and have no such dictionary: there, only the movement of keys and values is shown.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import Cache, DynamicCache, PreTrainedTokenizerBase

from adapters.base_model import ALONE, BaseModel, Turn
from adapters.kv import AppendingLayer
from adapters.learned.spectrum import Matrix, plain
from adapters.prefix.prefix import PrefixKV, prefix_model
from adapters.prefix.settings import PrefixSettings

NEAREST = 3  # words of each virtual token
TOKENS_AT_ONCE = 4096  # of the vocabulary
PROBES = 8  # tokens that show whether positions matter


class Attention(NamedTuple):
    """How much of their attention generated tokens pay to a prefix; means over heads, shares of 1."""

    layers: Matrix  # (L, P) mean over the generated tokens
    tokens: Matrix  # (N, L) to all virtual tokens together


class Neighbour(NamedTuple):
    text: str
    cosine: float


class Virtual(NamedTuple):
    """One virtual token: the nearest tokens before training (none where it began at random) and after."""

    before: tuple[Neighbour, ...]
    after: tuple[Neighbour, ...]
    moved: tuple[float, ...]  # (L,) norm of the change of its keys and values over their norm before; () at random


@torch.no_grad()
def prefix_attention(
    own: BaseModel, prefix: PrefixKV, prompt_ids: Sequence[int], token_ids: Sequence[int]
) -> Attention:
    """The attention that each token was written with: that of the position before it, which predicts it."""
    own.model.set_attn_implementation("eager")  # the only one that hands out its weights
    virtual = prefix.shape[3]
    ids = torch.tensor([[*prompt_ids, *token_ids[:-1]]], device=own.device)  # (1, T)
    places = torch.arange(virtual, virtual + ids.shape[1], device=own.device)
    cache = DynamicCache()
    for layer, (keys, values) in enumerate(prefix.to(own.device, own.model.dtype)):
        cache.update(keys[None], values[None], layer)
    output = own.model(
        input_ids=ids,
        attention_mask=ids.new_ones(1, virtual + ids.shape[1]),
        position_ids=places[None],
        past_key_values=cache,
        output_attentions=True,
        logits_to_keep=1,
    )
    start = len(prompt_ids) - 1
    paid = torch.stack([layer[0, :, start:, :virtual].float().mean(0) for layer in output.attentions])  # (L, N, P)
    return Attention(plain(paid.mean(1)), plain(paid.sum(-1).T))


@torch.no_grad()
def nearest_words(own: BaseModel, prefix: PrefixKV, start: PrefixKV | None, turn: Turn = ALONE) -> tuple[Virtual, ...]:
    """The nearest words of each virtual token after training and, where it began as a text (`start`), before.

    `turn` is held for each forward pass alone, so that others write their texts in between.
    """
    count = prefix.shape[3]
    versions = [prefix] if start is None else [start, prefix]
    values = [part[0, 1].transpose(0, 1).flatten(1).to(own.device).float() for part in versions]  # each (P, H * D)
    known = vocabulary_values(own, 0, turn=turn)  # (V, H * D)
    elsewhere = vocabulary_values(own, count - 1, PROBES, turn)
    fixed = torch.allclose(known[:PROBES], elsewhere, atol=1e-3 * float(known.abs().max()))
    lists: list[list[tuple[Neighbour, ...]]] = [[] for _ in versions]
    for place in range(count):
        known = known if fixed or place == 0 else vocabulary_values(own, place, turn=turn)
        for found, mine in zip(lists, values, strict=True):
            found.append(neighbours(own.tokenizer, torch.cosine_similarity(mine[place], known, dim=-1)))
    moved = plain(movement(start, prefix).T) if start is not None else ((),) * count
    before = lists[0] if start is not None else [()] * count
    return tuple(map(Virtual, before, lists[-1], moved))


def neighbours(tokenizer: PreTrainedTokenizerBase, cosines: Tensor) -> tuple[Neighbour, ...]:
    """The nearest tokens, by cosines (V,)."""
    values, ids = cosines.topk(NEAREST)
    pairs = zip(ids.tolist(), values.tolist(), strict=True)
    return tuple(Neighbour(str(tokenizer.decode([token])), cosine) for token, cosine in pairs)


def movement(start: PrefixKV, prefix: PrefixKV) -> Tensor:
    """Norm of the change of each virtual token's keys and values over their norm before: (L, P)."""
    before, change = (torch.linalg.vector_norm(part, dim=(1, 2, 4)) for part in (start, prefix - start))
    return change / before.clamp(min=1e-12)


@torch.no_grad()
def starting_prefix(own: BaseModel, settings: PrefixSettings, seed: int) -> PrefixKV:
    """The prefix at the start of a training with these settings."""
    model = prefix_model(own.private(), settings, seed)  # PEFT wraps it in place
    rows: Tensor = model.prompt_encoder["default"].embedding.weight  # type: ignore[union-attr, assignment]
    layers, heads, size = own.cache_shape
    return rows.float().cpu().view(-1, layers, 2, heads, size).permute(1, 2, 3, 0, 4).contiguous()


@torch.no_grad()
def vocabulary_values(own: BaseModel, place: int, count: int | None = None, turn: Turn = ALONE) -> Tensor:
    """The values (V, H * D) of the first `count` tokens, or all, in layer 0 at a position."""
    shape = own.cache_shape
    size = count or len(own.model.get_input_embeddings().weight)  # type: ignore[arg-type]
    found = []
    for ids in torch.arange(size, device=own.device)[:, None].split(TOKENS_AT_ONCE):
        layer = Catching(torch.empty(2, len(ids), shape.num_heads, 0, shape.head_size, device=own.device))
        with turn, suppress(Caught):
            own.model(input_ids=ids, position_ids=torch.full_like(ids, place), past_key_values=Cache(layers=[layer]))
        found.append(layer.values.flatten(1).float())
    return torch.cat(found)


class Caught(Exception):
    """Ends a forward pass after layer 0's values."""


class Catching(AppendingLayer):
    """The cache of layer 0: keeps its values (B, H, 1, D) and ends the forward pass."""

    values: Tensor

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        self.values = value_states
        raise Caught
