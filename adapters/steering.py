"""The steered rows of a batch: their own pushed past, and the iterations that make one token.

Knows how to read the model with a nudge on its past; knows nothing of sampling, prompts or scheduling.
Letters: as in pplm.py; T columns of the past, without the token that is being read.
"""

from collections.abc import Generator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from adapters.attributes import AttributeLoss
from adapters.kv import KV, new_columns
from adapters.lora_rows import LoraRows
from adapters.methods import NO_LIMIT, PPLM
from adapters.pplm import (
    Knobs,
    affordable,
    fuse,
    gradient_norms,
    kl_divergence,
    push,
    stack_knobs,
    window_mask,
    without_recent,
)


class Reading(NamedTuple):
    """What the model says after the last token of each row."""

    logits: Tensor  # (B, V), float32
    hidden: Tensor  # (B, C), float32: what the output layer reads, after the final norm


class Steered(NamedTuple):
    """Logits (B, V) of the next token, unsteered and fused."""

    clean: Tensor
    fused: Tensor


class First(NamedTuple):
    """What the first iteration reads."""

    clean: Tensor  # logits (B, V) after the clean past
    pushed: Reading  # after the pushed past, with its graph
    columns: Tensor  # (L, 2, B, H, 1, D): the token's, after the clean past


def read(model: PreTrainedModel, ids: Tensor, kv: KV, cache: Cache, lora: LoraRows) -> Reading:
    """One forward pass over ids (B, Q) after the columns of `kv`, through a cache made from it."""
    head = model.get_output_embeddings()
    inputs: list[Tensor] = []
    hook = head.register_forward_pre_hook(lambda module, args: inputs.append(args[0]))
    try:
        with lora.applied():
            output = model(
                input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1, **kv.inputs(ids.shape[1])
            )
    finally:
        hook.remove()
    return Reading(output.logits[:, -1].float(), inputs[0][:, -1].float())


class Steering:
    """The pushed pasts of B rows.

    Pushed and clean past have the same columns, and lack the token that is being read. Rows that are pushed afresh at
    every token need no past of their own: before the first push theirs is the clean one.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        settings: Sequence[PPLM],
        losses: Sequence[AttributeLoss],
        ids: Sequence[Sequence[int]],
        clean: KV,
    ) -> None:
        """`clean` is the unsteered cache of `ids` but for their last token, a row for each of `settings`."""
        self.model, self.settings, self.losses = model, list(settings), list(losses)
        self.knobs: Knobs = stack_knobs(settings, clean.mask.device)
        self.carrying = any(s.carry for s in settings)
        # A carried past is float32, so that small pushes survive where the model is bfloat16.
        self.past = KV(clean.data.to(torch.float32, copy=True), clean.mask, clean.length) if self.carrying else clean
        cooldown = max(1, *(s.cooldown for s in settings))
        newest = [[*[row[0]] * cooldown, *row[:-1]][-cooldown:] for row in ids]
        self.recent = torch.tensor(newest, device=clean.mask.device)  # (B, K) tokens of the past, the newest last
        # The largest norm so far, as in the published code for bags of words: a flat stretch is not blown up.
        self.norms = clean.mask.new_zeros(clean.data.shape[0], len(settings), dtype=torch.float32)  # (L, B)

    def keep(self, index: Tensor, rows: Sequence[int], clean: KV) -> None:
        """Drops all rows but those at `index`, which `rows` holds as numbers; `clean` has dropped them already."""
        self.past = self.past.rows(index) if self.carrying else clean
        self.knobs = self.knobs.rows(index)
        self.recent = self.recent.index_select(0, index)
        self.norms = self.norms.index_select(1, index)
        self.settings = [self.settings[row] for row in rows]
        self.losses = [self.losses[row] for row in rows]

    def step(self, token: Tensor, clean: KV, lora: LoraRows) -> Generator[None, None, Steered]:
        """Reads `token` (B, 1) after both pasts; yields after each iteration."""
        self.recent = torch.cat([self.recent, token], dim=1)[:, -self.recent.shape[1] :]
        nudge = self.past.data.new_zeros((*self.past.data.shape[:4], self._width(), self.past.data.shape[-1])).float()
        first = self._first(nudge, token, clean, lora)
        nudge = self._push(nudge, self._gradient(nudge, first.pushed, first.clean), 0)
        yield
        for iteration in range(1, max(s.num_iterations for s in self.settings)):
            with torch.enable_grad():
                nudge.requires_grad_()
                reading = read(self.model, token, self.past, self.past.nudged(nudge), lora)
            nudge = self._push(nudge, self._gradient(nudge, reading, first.clean), iteration)
            yield
        with torch.no_grad():
            cache = self.past.nudged(nudge)
            steered = read(self.model, token, self.past, cache, lora).logits
            self._advance(nudge, new_columns(cache), first.columns, clean)
        return Steered(first.clean, self._fuse(steered, first.clean))

    def _width(self) -> int:
        """Columns that any row may push."""
        windows = [s.window_length for s in self.settings]
        return self.past.length if 0 in windows else min(max(windows), self.past.length)

    def _first(self, nudge: Tensor, token: Tensor, clean: KV, lora: LoraRows) -> First:
        """The first iteration's pass, which gives the clean logits too.

        Where no past is carried on, it is the clean pass: the nudge is still zero. Else each row is read twice in one
        batch, after its clean past and after its own, which costs less than two passes.
        """
        with torch.enable_grad():
            nudge.requires_grad_()
            if not self.carrying:
                cache = clean.nudged(nudge)
                reading = read(self.model, token, clean, cache, lora)
                return First(reading.logits.detach(), reading, new_columns(cache).detach())
            pairs = KV.pairs(clean, self.past)
            cache = pairs.nudged(torch.stack([torch.zeros_like(nudge), nudge], dim=3).flatten(2, 3))
            reading = read(self.model, token.repeat_interleave(2, 0), pairs, cache, lora.twice)
        pushed = Reading(reading.logits[1::2], reading.hidden[1::2])
        return First(reading.logits[::2].detach(), pushed, new_columns(cache)[:, :, ::2].detach())

    def _gradient(self, nudge: Tensor, reading: Reading, clean: Tensor) -> Tensor:
        """Gradient (L, 2, B, H, W, D) of each row's objective for its nudge, inside its window."""
        with torch.enable_grad():
            objective = self._attribute_loss(reading)
            objective = objective + self.knobs.kl_scale * kl_divergence(reading.logits, clean)
            (gradient,) = torch.autograd.grad(objective.sum(), nudge)
        nudge.requires_grad_(False)
        if not any(s.window_length for s in self.settings):
            return gradient
        window = window_mask(self.knobs.window_length, nudge.shape[-2])
        return gradient * window[:, None, :, None]

    def _push(self, nudge: Tensor, gradient: Tensor, iteration: int) -> Tensor:
        """The nudge after one more iteration; rows differ in how many they make."""
        pushing = iteration < self.knobs.num_iterations  # (B,)
        self.norms = torch.maximum(self.norms, gradient_norms(gradient) * pushing)  # a NaN stays one
        return push(nudge, gradient, self.norms, self.knobs.step_size * pushing, self.knobs.gamma)

    def _fuse(self, steered: Tensor, clean: Tensor) -> Tensor:
        """Fused logits (B, V), NaN in rows whose numbers went wrong."""
        share = self.knobs.gm_scale
        if any(s.kl_budget < NO_LIMIT for s in self.settings):
            share = affordable(steered, clean, share, self.knobs.kl_budget)
        sound = self.norms.isfinite().all(0)[:, None]  # attention on a CPU can hide a NaN
        return torch.where(sound, fuse(steered, clean, share), torch.nan)

    def _attribute_loss(self, reading: Reading) -> Tensor:
        """Loss (B,) of every row under its own attributes; rows that share them are computed together."""
        logprobs = without_recent(reading.logits.log_softmax(-1), self.recent, self.knobs.cooldown)
        rows_of: dict[AttributeLoss, list[int]] = {}
        for row, loss in enumerate(self.losses):
            rows_of.setdefault(loss, []).append(row)
        if len(rows_of) == 1:
            return self.losses[0](logprobs, reading.hidden)
        total = logprobs.new_zeros(len(self.losses))
        for loss, rows in rows_of.items():
            index = torch.tensor(rows, device=total.device)
            total = total.index_add(0, index, loss(logprobs[index], reading.hidden[index]))
        return total

    def _advance(self, nudge: Tensor, pushed: Tensor, columns: Tensor, clean: KV) -> None:
        """Takes the token just read into both pasts; `pushed` and `columns` are its columns after each of them."""
        end = clean.length
        clean.data[..., end : end + 1, :] = columns
        clean.length += 1
        if self.carrying:
            carry = self.knobs.carry[:, None, None, None]  # (B, 1, 1, 1), beside (L, 2, B, H, columns, D)
            self.past.data[..., end - nudge.shape[-2] : end, :] += nudge * carry
            self.past.data[..., end : end + 1, :] = torch.where(carry, pushed, columns)
            self.past.length += 1
