"""One row's next token.

Knows logits and the tokens of a row; knows nothing of models or of how the logits came about. The order of the steps is
that of transformers' `generate`: repetition penalty, temperature, top-k, top-p. A row draws from its own generator.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor
from transformers import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from adapters.methods import Sampling


class Sampler:
    """Chooses a token for every row of a batch, all under the same settings."""

    def __init__(self, sampling: Sampling) -> None:
        self.greedy = sampling.temperature == 0
        self.penalty = sampling.repetition_penalty
        self.warpers: list[Callable[[Any, Tensor], Tensor]] = []  # these do not read the tokens, their first argument
        if not self.greedy and sampling.temperature != 1:
            self.warpers.append(TemperatureLogitsWarper(sampling.temperature))
        if not self.greedy and sampling.top_k:
            self.warpers.append(TopKLogitsWarper(sampling.top_k))
        if not self.greedy and sampling.top_p < 1:
            self.warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, logits: Tensor, ids: Sequence[list[int]], generators: Sequence[Generator]) -> Tensor:
        """Tokens (B,) from logits (B, V), given the tokens of each row so far and its generator."""
        if self.penalty != 1:
            logits = torch.cat([self._penalise(row, seen) for row, seen in zip(logits.split(1), ids, strict=True)])
        if self.greedy:
            return logits.argmax(-1)
        for warper in self.warpers:
            logits = warper(None, logits)
        probabilities = logits.softmax(-1)  # (B, V)
        draws = [torch.multinomial(p, 1, generator=g) for p, g in zip(probabilities, generators, strict=True)]
        return torch.cat(draws)

    def _penalise(self, logits: Tensor, seen: list[int]) -> Tensor:
        processor = RepetitionPenaltyLogitsProcessor(self.penalty)
        return processor(torch.tensor([seen], device=logits.device), logits)
