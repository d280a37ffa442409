"""Trains an adapter: a plain loop of AdamW over PEFT parameters, as a generator that yields after every step.

Knows token ids, losses and the clock; knows nothing of rows, files or cards. The model is always in eval mode, so there
is no dropout and nothing is drawn but the order of the examples, from the settings' seed. B rows, T positions, K
positions that are scored, V vocabulary.
"""

import math
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Annotated, Literal, NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from adapters.base_model import BaseModel
from adapters.corpus import Example
from adapters.lora import LoraSettings, lora_model
from adapters.methods import STRICT, UserError
from adapters.prefix import PrefixSettings, prefix_model

T = TypeVar("T")
IGNORED = -100  # cross_entropy's label for a position that is not scored
SORTED_BATCHES = 8  # examples of this many batches are sorted by length together, so that little is padding


@dataclass(frozen=True, config=STRICT)
class TrainSettings:
    """Everything that, with the texts, decides what comes out."""

    adapter: LoraSettings | PrefixSettings
    steps: Annotated[int, Field(ge=1, le=100_000)] = 300
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    max_length: Annotated[int, Field(ge=8, le=4096)] = 128  # tokens of an example
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3  # at its highest, after a linear warm-up
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    schedule: Literal["cosine", "linear", "constant"] = "cosine"  # how lr falls to 0 after the warm-up
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    bfloat16: bool = False  # the step's products in bfloat16: faster where the processor has them; measured in float32
    eval_every: Annotated[int, Field(ge=1)] = 25
    eval_examples: Annotated[int, Field(ge=1)] = 48  # validation examples that choose the best step, the same each time
    patience: Annotated[int, Field(ge=0)] = 0  # measurements in a row without a better one that end it; 0: never
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0


class TrainStep(NamedTuple):
    """What a step did; `validation_loss` is there when it was measured, `best` says that it is the lowest so far."""

    step: int
    loss: float  # nats per scored token of this batch
    validation_loss: float | None
    best: bool
    tokens: int  # read so far, without padding
    seconds: float  # since training began


class Batch(NamedTuple):
    """Examples padded on the right. `labels[b, t]` is what position t predicts, or IGNORED."""

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
        """Nats per scored token, end tokens included: what training lowers."""
        return (self.text_nll + self.end_nll) / (self.text_tokens + self.end_tokens)

    @property
    def text_perplexity(self) -> float:
        """exp of the mean loss per token, end tokens left out."""
        return math.exp(self.text_nll / self.text_tokens)

    @property
    def perplexity(self) -> float:
        """exp of the mean loss per token, end tokens included."""
        return math.exp(self.loss)


def adapted(base: BaseModel, settings: TrainSettings) -> nn.Module:
    """The base model wrapped (in place) with the fresh adapter that the settings ask for."""
    if isinstance(settings.adapter, LoraSettings):
        return lora_model(base, settings.adapter, settings.seed).eval()
    return prefix_model(base, settings.adapter, settings.seed).eval()


def train(
    model: nn.Module, settings: TrainSettings, training: Sequence[Example], validation: Sequence[Example]
) -> Generator[TrainStep, None, None]:
    """Trains the parameters of `model` that ask for gradients, one step an item.

    However it ends (also when it is closed early), the model is left with the weights of the best measured step.
    Raises UserError where there is nothing to train or validate on, or the loss is no longer finite.
    """
    if not training or not validation:
        raise UserError(f"{len(training)} examples to train and {len(validation)} to validate on: give more rows.")
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=settings.lr, weight_decay=settings.weight_decay)
    checks = evenly(validation, settings.eval_examples)
    best, best_weights = math.inf, [p.detach().clone() for p in parameters]
    began, tokens = time.monotonic(), 0
    source = batches(training, settings.batch_size, torch.Generator().manual_seed(settings.seed))
    try:
        for step in range(1, settings.steps + 1):
            for group in optimizer.param_groups:
                group["lr"] = settings.lr * lr_factor(step, settings)
            examples = next(source)
            loss = update(model, collate(examples), optimizer, settings)
            if not math.isfinite(loss):
                raise UserError(f"The loss is no longer a number at step {step}: train again with a lower lr.")
            tokens += sum(len(example.ids) for example in examples)
            checked = None
            if step % settings.eval_every == 0 or step == settings.steps:
                checked = measure(model, checks, settings.batch_size).loss
            better = checked is not None and checked < best
            if checked is not None and better:
                best, best_weights = checked, [p.detach().clone() for p in parameters]
            yield TrainStep(step, loss, checked, better, tokens, time.monotonic() - began)
    finally:
        with torch.no_grad():
            for parameter, weight in zip(parameters, best_weights, strict=True):
                parameter.copy_(weight)


def update(model: nn.Module, batch: Batch, optimizer: torch.optim.Optimizer, settings: TrainSettings) -> float:
    """One optimiser step on one batch; returns its loss in nats per scored token."""
    optimizer.zero_grad()
    with torch.autocast(next(model.parameters()).device.type, torch.bfloat16, enabled=settings.bfloat16):
        losses = token_losses(model, batch)
    loss = losses.sum() / (batch.labels != IGNORED).sum().to(losses.device)
    loss.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], settings.max_grad_norm)
    optimizer.step()
    return loss.item()


def lr_factor(step: int, settings: TrainSettings) -> float:
    """Share of the highest learning rate at `step` (from 1 on)."""
    if step <= settings.warmup_steps:
        return step / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * done))


def batches(examples: Sequence[Example], size: int, generator: torch.Generator) -> Iterator[list[Example]]:
    """Batches for ever, every example once in each round, in an order of the generator's."""
    while True:
        order = [examples[i] for i in torch.randperm(len(examples), generator=generator).tolist()]
        for window in chunks(order, size * SORTED_BATCHES):
            similar = chunks(sorted(window, key=lambda example: len(example.ids)), size)
            yield from (similar[i] for i in torch.randperm(len(similar), generator=generator).tolist())


def chunks(items: Sequence[T], size: int) -> list[list[T]]:
    """`items` in pieces of `size`, the last one perhaps shorter."""
    return [list(items[i : i + size]) for i in range(0, len(items), size)]


def evenly(items: Sequence[T], count: int) -> list[T]:
    """At most `count` of the items, evenly spread over them."""
    return [items[i * len(items) // count] for i in range(count)] if count < len(items) else list(items)


def collate(examples: Sequence[Example]) -> Batch:
    """The examples as one batch. Padding is id 0: it is masked, and no position after it is scored."""
    width = max(len(example.ids) for example in examples)
    ids = torch.zeros(len(examples), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    labels = torch.full_like(ids, IGNORED)
    for row, example in enumerate(examples):
        length = len(example.ids)
        ids[row, :length] = torch.tensor(example.ids)
        mask[row, :length] = 1
        labels[row, example.start - 1 : length - 1] = ids[row, example.start : length]
    return Batch(ids, mask, labels)


def token_losses(model: nn.Module, batch: Batch) -> Tensor:
    """(B, K) negative log-likelihoods, 0 where a position is not scored; no logits are made where no row is scored."""
    device = next(model.parameters()).device
    kept = (batch.labels != IGNORED).any(dim=0).nonzero().squeeze(1)  # (K,)
    output = model(input_ids=batch.ids.to(device), attention_mask=batch.mask.to(device), logits_to_keep=kept.to(device))
    labels = batch.labels[:, kept].to(device)
    logits = output.logits.float().flatten(0, 1)  # (B * K, V)
    return F.cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="none").view(labels.shape)


@torch.no_grad()
def measure(model: nn.Module, examples: Sequence[Example], batch_size: int) -> Tally:
    """The likelihood of the examples' scored tokens."""
    sums = [0.0, 0, 0.0, 0]
    for batch in chunks(sorted(examples, key=lambda example: len(example.ids)), batch_size):
        collated = collate(batch)
        scored = collated.labels != IGNORED
        losses = torch.zeros(scored.shape, dtype=torch.float64)
        losses[:, scored.any(dim=0)] = token_losses(model, collated).double().cpu()
        ends = torch.zeros_like(scored)
        for row, example in enumerate(batch):
            ends[row, len(example.ids) - 2] = example.ends
        sums[0] += losses[scored & ~ends].sum().item()
        sums[1] += int((scored & ~ends).sum())
        sums[2] += losses[ends].sum().item()
        sums[3] += int(ends.sum())
    return Tally(sums[0], int(sums[1]), sums[2], int(sums[3]))
