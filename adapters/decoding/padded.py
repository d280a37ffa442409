"""Texts of different lengths in one batch, padded on the left; and how likely their tokens are.

Letters: S texts, P columns of the longest prefix, Q tokens of the longest text, V vocabulary.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.decoding.likelihood import LogLikelihood
from adapters.kv import KV
from adapters.lora.rows import LoraRows, ScaledLora

TOKENS_A_PASS = 1024  # padded tokens that are scored at once

Pair = tuple[Sequence[int], Sequence[int]]  # context ids, not empty, and the ids to score


def padded(
    base: BaseModel, texts: Sequence[Sequence[int]], prefixes: Sequence[Tensor | None], room: int
) -> tuple[KV, Tensor]:
    """A cache that holds the prefixes, with `room` for columns after the texts; and ids (S, Q) to read next."""
    num_virtual = max(0 if prefix is None else prefix.shape[-2] for prefix in prefixes)
    longest = max(len(text) for text in texts)
    mask = torch.ones(len(texts), num_virtual + longest + room, dtype=torch.bool)
    ids = torch.zeros(len(texts), longest, dtype=torch.long)
    for row, (text, prefix) in enumerate(zip(texts, prefixes, strict=True)):
        ids[row, longest - len(text) :] = torch.tensor(text)
        mask[row, : num_virtual - (0 if prefix is None else prefix.shape[-2])] = False
        mask[row, num_virtual : num_virtual + longest - len(text)] = False
    kv = KV.empty(base.cache_shape, mask.to(base.device), next(base.model.parameters()))
    for row, prefix in enumerate(prefixes):
        if prefix is not None:
            kv.data[:, :, row, :, num_virtual - prefix.shape[-2] : num_virtual] = prefix
    kv.length = num_virtual
    return kv, ids.to(base.device)


def by_length(texts: Sequence[Pair]) -> Iterator[list[int]]:
    """Indices of texts of similar length, so many that they fit in one pass."""
    lengths = [len(context) + len(scored) for context, scored in texts]
    order = sorted(range(len(texts)), key=lengths.__getitem__)
    while order:
        count = sum(lengths[i] * (n + 1) <= TOKENS_A_PASS for n, i in enumerate(order)) or 1
        yield order[:count]
        order = order[count:]


def score(
    base: BaseModel, texts: Sequence[Pair], lora: ScaledLora | None, prefix: Tensor | None
) -> list[LogLikelihood]:
    """The log-likelihoods of some texts, in one pass."""
    kv, ids = padded(base, [[*context, *scored] for context, scored in texts], [prefix] * len(texts), 0)
    keep = max(len(scored) for _, scored in texts)
    with torch.no_grad(), LoraRows.of(base.model, [lora] * len(texts)).applied():
        output = base.model(
            input_ids=ids, past_key_values=kv.cache(), logits_to_keep=keep + 1, **kv.inputs(ids.shape[1])
        )
        logits = output.logits[:, :-1].float()  # (S, keep, V): each predicts the next of the last `keep` tokens
        chosen = logits.gather(-1, ids[:, ids.shape[1] - keep :, None])[..., 0] - logits.logsumexp(-1)
    return [
        LogLikelihood(tuple(row[keep - len(scored) :])) for row, (_, scored) in zip(chosen.tolist(), texts, strict=True)
    ]
