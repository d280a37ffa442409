"""Draws the next token of each row.

The order of the steps is that of transformers' `generate`: repetition penalty, temperature, top-k, top-p. A row draws
from its own generator.

Letters: B rows, V vocabulary, K candidates.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from transformers import RepetitionPenaltyLogitsProcessor

from adapters.methods import Sampling

# Tokens (B,) from logits (B, V), given the tokens of each row so far and its generator.
Choose = Callable[[Tensor, Sequence[list[int]], Sequence[Generator]], Tensor]

GREEDY = 1e-6  # temperature below which the likeliest token is taken: dividing by it could overflow
NUCLEUS = 1024  # tokens that nearly always hold a nucleus; finding and sorting them takes an eighth of sorting all


@dataclass(frozen=True)
class Sampler:
    """Chooses a token for every row of a batch, under the same settings."""

    sampling: Sampling

    def __call__(self, logits: Tensor, ids: Sequence[list[int]], generators: Sequence[Generator]) -> Tensor:
        """Tokens (B,) from logits (B, V), given the tokens of each row so far and its generator."""
        if self.sampling.repetition_penalty != 1:
            longest = max(map(len, ids))
            seen = [row + row[-1:] * (longest - len(row)) for row in ids]  # a token that stands twice counts once
            penalise = RepetitionPenaltyLogitsProcessor(self.sampling.repetition_penalty)
            logits = penalise(torch.tensor(seen, device=logits.device), logits)
        if self.sampling.temperature < GREEDY:
            return logits.argmax(-1)
        weights, tokens = candidates(logits / self.sampling.temperature, self.sampling.top_k, self.sampling.top_p)
        column = draw(weights, generators)[:, None]  # (B, 1)
        return (column if tokens is None else tokens.gather(-1, column))[:, 0]


def candidates(logits: Tensor, top_k: int, top_p: float) -> tuple[Tensor, Tensor | None]:
    """Weights (B, K) in proportion to the probabilities of the tokens that may be drawn, and these tokens (None: all).

    top_k keeps the likeliest tokens (0: all); of these top_p keeps the fewest with probabilities that reach it.
    """
    vocabulary = logits.shape[-1]
    if not top_k and top_p == 1:
        return logits.softmax(-1), None
    if top_k:
        values, tokens = logits.topk(min(top_k, vocabulary))
        weights = values.softmax(-1)
        if top_p == 1:
            return weights, tokens
    else:
        # On a GPU sorting all costs nothing, and checking whether it is needed would wait for the GPU.
        count = vocabulary if logits.is_cuda else min(NUCLEUS, vocabulary)
        weights, tokens = likeliest(logits, count)
        if count < vocabulary and not bool((weights.sum(-1) >= top_p).all()):
            weights, tokens = likeliest(logits, vocabulary)
    before = weights.cumsum(-1) - weights  # the mass of the likelier ones
    return weights.where((before < top_p) | (before == 0), 0.0), tokens


def likeliest(logits: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Probabilities (B, K) of the `count` likeliest tokens, in falling order, and these tokens."""
    values, tokens = logits.topk(count)
    return (values - logits.logsumexp(-1, keepdim=True)).exp(), tokens


def draw(weights: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Columns (B,) drawn in proportion to weights (B, K): where the running sum passes a uniform share of the total."""
    sums = weights.double().cumsum(-1)
    shares = torch.cat([torch.rand(1, 1, generator=g, device=g.device, dtype=sums.dtype) for g in generators])
    columns = torch.searchsorted(sums, shares * sums[:, -1:], right=True)[:, 0]
    return columns.clamp(max=weights.shape[-1] - 1)
