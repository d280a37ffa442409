"""Examples -> batches -> losses, for training steps and measurements. Knows nothing of optimisers or adapters.

B rows, T positions, K scored positions, V vocabulary.
"""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from adapters.decoding.likelihood import perplexity_of

T = TypeVar("T")
IGNORED = -100  # cross_entropy's label for a position that is not scored
SORTED_BATCHES = 8  # batches whose examples are sorted by length together, to save padding


class Example(NamedTuple):
    """One sequence; the tokens from `start` on are scored. `ends` says whether the last one is the end token."""

    ids: tuple[int, ...]
    start: int
    ends: bool


class TrainBatch(NamedTuple):
    """Examples padded on the right. `labels[b, t]` is the target of position t, or IGNORED."""

    ids: Tensor  # (B, T)
    mask: Tensor  # (B, T)
    labels: Tensor  # (B, T)


class Tally(NamedTuple):
    """Sums of negative log-likelihood in nats, end tokens apart from the rest."""

    text_nll: float
    text_tokens: int
    end_nll: float
    end_tokens: int

    @property
    def loss(self) -> float:
        """Nats per scored token, end tokens included: the training loss."""
        return (self.text_nll + self.end_nll) / (self.text_tokens + self.end_tokens)

    @property
    def text_perplexity(self) -> float:
        """exp of the mean loss per token, end tokens left out."""
        return perplexity_of(-self.text_nll, self.text_tokens)

    @property
    def perplexity(self) -> float:
        """exp of the mean loss per token, end tokens included."""
        return perplexity_of(-self.text_nll - self.end_nll, self.text_tokens + self.end_tokens)


def batches(examples: Sequence[Example], size: int, generator: torch.Generator) -> Iterator[list[Example]]:
    """Endless batches: every example once in each epoch, in the generator's order."""
    while True:
        order = [examples[i] for i in torch.randperm(len(examples), generator=generator).tolist()]
        for window in chunks(order, size * SORTED_BATCHES):
            similar = chunks(sorted(window, key=lambda example: len(example.ids)), size)
            yield from (similar[i] for i in torch.randperm(len(similar), generator=generator).tolist())


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """`items` in pieces of `size`; the last may be shorter."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def evenly(items: Sequence[T], count: int | None) -> list[T]:
    """At most `count` of the items, evenly spread over them; None: all."""
    most = len(items) if count is None else count
    return [items[i * len(items) // most] for i in range(most)] if most < len(items) else list(items)


def collate(examples: Sequence[Example]) -> TrainBatch:
    """The examples as one batch. Padding is id 0, masked and not scored."""
    ids = pad_sequence([torch.tensor(example.ids) for example in examples], batch_first=True)
    columns = torch.arange(ids.shape[1])
    starts, lengths = torch.tensor([(example.start, len(example.ids)) for example in examples]).T[..., None]  # (B, 1)
    scored = (columns >= starts - 1) & (columns < lengths - 1)
    return TrainBatch(ids, (columns < lengths).long(), ids.roll(-1, 1).where(scored, IGNORED))


def token_losses(model: nn.Module, batch: TrainBatch) -> Tensor:
    """(B, K) negative log-likelihoods, 0 where not scored. Logits are computed at scored positions only."""
    device = next(model.parameters()).device
    kept = (batch.labels != IGNORED).any(dim=0).nonzero().squeeze(1)  # (K,)
    output = model(input_ids=batch.ids.to(device), attention_mask=batch.mask.to(device), logits_to_keep=kept.to(device))
    labels = batch.labels[:, kept].to(device)
    logits = output.logits.float().flatten(0, 1)  # (B * K, V)
    return F.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="none").view(labels.shape)


def measure(model: nn.Module, examples: Sequence[Example], batch_size: int) -> Tally:
    """The summed likelihood of the examples' scored tokens."""
    text_nll, text_tokens, end_nll, end_tokens = zip(*tallies(model, examples, batch_size), strict=True)
    return Tally(math.fsum(text_nll), sum(text_tokens), math.fsum(end_nll), sum(end_tokens))


@torch.no_grad()
def tallies(model: nn.Module, examples: Sequence[Example], batch_size: int) -> list[Tally]:
    """The likelihood of each example's scored tokens, in order."""
    found: dict[int, Tally] = {}
    order = sorted(range(len(examples)), key=lambda place: len(examples[place].ids))
    for places in chunks(order, batch_size):
        batch = [examples[place] for place in places]
        collated = collate(batch)
        scored = collated.labels != IGNORED  # (B, T)
        losses = torch.zeros(scored.shape, dtype=torch.float64)
        losses[:, scored.any(dim=0)] = token_losses(model, collated).double().cpu()
        ends = torch.zeros_like(scored)
        for row, example in enumerate(batch):
            ends[row, len(example.ids) - 2] = example.ends
        text = scored & ~ends
        sums = (losses * text).sum(1), text.sum(1), (losses * ends).sum(1), ends.sum(1)
        found |= zip(places, map(Tally._make, zip(*(part.tolist() for part in sums), strict=True)), strict=True)
    return [found[place] for place in range(len(examples))]
