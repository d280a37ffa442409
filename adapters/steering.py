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
    """The pushed pasts of B rows. Its past is one column behind the clean one: it lacks the token being read."""

    def __init__(
        self,
        model: PreTrainedModel,
        settings: Sequence[PPLM],
        losses: Sequence[AttributeLoss],
        ids: Sequence[Sequence[int]],
        clean: KV,
    ) -> None:
        """`clean` is the unsteered cache after reading `ids`, one row for each of `settings` and `losses`."""
        self.model = model
        self.past = KV(clean.data.float(), clean.mask, clean.length - 1)  # float32: small pushes survive
        if self.past.data is clean.data:
            self.past.data = clean.data.clone()
        self.knobs: Knobs = stack_knobs(settings, clean.mask.device)
        self.num_iterations = [s.num_iterations for s in settings]
        cooldown = max(1, *(s.cooldown for s in settings))
        newest = [[*[row[0]] * cooldown, *row[:-1]][-cooldown:] for row in ids]
        self.recent = torch.tensor(newest, device=clean.mask.device)  # (B, K) tokens of the past, the newest last
        self.windows = [s.window_length for s in settings]
        self.limited = any(s.kl_budget < NO_LIMIT for s in settings)
        self.losses = list(losses)
        # The largest norm so far, as in the published code for bags of words: a flat stretch is not blown up.
        self.norms = clean.mask.new_zeros(clean.data.shape[0], len(settings), dtype=torch.float32)  # (L, B)

    def keep(self, index: Tensor, rows: Sequence[int]) -> None:
        """Drops all rows but those at `index`, which `rows` holds as numbers."""
        self.past = self.past.rows(index)
        self.knobs = self.knobs.rows(index)
        self.recent = self.recent.index_select(0, index)
        self.norms = self.norms.index_select(1, index)
        self.num_iterations = [self.num_iterations[row] for row in rows]
        self.windows = [self.windows[row] for row in rows]
        self.losses = [self.losses[row] for row in rows]

    def fused(self, token: Tensor, clean_kv: KV, clean: Tensor, lora: LoraRows) -> Generator[None, None, Tensor]:
        """Fused logits (B, V) after `token` (B, 1), whose unsteered logits are `clean`; yields after each iteration."""
        self.recent = torch.cat([self.recent, token], dim=1)[:, -self.recent.shape[1] :]
        width = self._width()
        shape = (*self.past.data.shape[:4], width, self.past.data.shape[-1])
        nudge = self.past.data.new_zeros(shape)  # (L, 2, B, H, W, D)
        for iteration in range(max(self.num_iterations)):
            pushing = iteration < self.knobs.num_iterations  # (B,): rows differ in how often they push
            gradient = self._gradient(nudge, token, clean, lora)
            self.norms = torch.maximum(self.norms, gradient_norms(gradient) * pushing)  # a NaN stays one
            nudge = push(nudge, gradient, self.norms, self.knobs.step_size * pushing, self.knobs.gamma)
            yield
        cache = self.past.nudged(nudge)
        with torch.no_grad():
            steered = read(self.model, token, self.past, cache, lora).logits
            self._advance(nudge, new_columns(cache), clean_kv)
        sound = self.norms.isfinite().all(0)[:, None]  # attention on a CPU can hide a NaN
        share = (
            affordable(steered, clean, self.knobs.gm_scale, self.knobs.kl_budget)
            if self.limited
            else self.knobs.gm_scale
        )
        return torch.where(sound, fuse(steered, clean, share), torch.nan)

    def _width(self) -> int:
        """Columns that any row may push."""
        length = self.past.length
        return length if 0 in self.windows else min(max(self.windows), length)

    def _gradient(self, nudge: Tensor, token: Tensor, clean: Tensor, lora: LoraRows) -> Tensor:
        """Gradient (L, 2, B, H, W, D) of each row's objective for its nudge, inside its window."""
        with torch.enable_grad():
            nudge.requires_grad_()
            reading = read(self.model, token, self.past, self.past.nudged(nudge), lora)
            objective = self._attribute_loss(reading)
            objective = objective + self.knobs.kl_scale * kl_divergence(reading.logits, clean)
            (gradient,) = torch.autograd.grad(objective.sum(), nudge)
        nudge.requires_grad_(False)
        if not any(self.windows):
            return gradient
        window = window_mask(self.knobs.window_length, nudge.shape[-2])
        return gradient * window[:, None, :, None]

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

    def _advance(self, nudge: Tensor, new: Tensor, clean_kv: KV) -> None:
        """Takes the token just read into the past: pushed where the past is carried on, clean where it is not."""
        carry = self.knobs.carry[:, None, None, None]  # (B, 1, 1, 1), beside (L, 2, B, H, columns, D)
        end = self.past.length
        self.past.data[..., end - nudge.shape[-2] : end, :] += nudge * carry
        self.past.data[..., end : end + 1, :] = torch.where(carry, new, clean_kv.data[..., end : end + 1, :])
        self.past.length += 1
