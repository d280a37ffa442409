"""One forward pass over the newest tokens of a batch; and the pushed past of steered rows.

Letters: as in arithmetic.py; Q tokens, C hidden size, N columns of capacity.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from adapters.kv import KV
from adapters.lora.rows import LoraRows
from adapters.pplm.arithmetic import gradient_norms, push

MOST_TWINS = 8  # rows; more are faster in two passes than in one of twice as many, half of which needs no gradient


class Reading(NamedTuple):
    """What the model computes for the last of Q tokens of each row."""

    logits: Tensor  # (B, V), float32
    hidden: Tensor  # (B, Q, C), float32: the decoder's last states, after the final norm

    def detach(self) -> "Reading":
        return Reading(self.logits.detach(), self.hidden.detach())


def read(model: PreTrainedModel, tokens: Tensor, kv: KV, cache: Cache, lora: LoraRows) -> Reading:
    """Read ids (B, Q) or embeddings (B, Q, C) after the columns of `kv`, through a cache of it."""
    name = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
    states: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda module, args, out: states.append(out.last_hidden_state))
    try:
        with lora.applied():
            output = model(
                **{name: tokens}, past_key_values=cache, use_cache=True, logits_to_keep=1, **kv.inputs(tokens.shape[1])
            )
    finally:
        hook.remove()
    return Reading(output.logits[:, -1].float(), states[0].float())


class PushedPast:
    """The past of B rows that steering moves, in place.

    Pushed and clean past have the same columns, without the token that is being read: whatever reads it writes its
    column. The pushed past is float32, so that small pushes survive where the model is bfloat16.
    """

    def __init__(self, model: PreTrainedModel, own: KV, carrying: bool) -> None:
        """`own` is float32; `carrying`: whether any row keeps its pushed past for the next token."""
        count, device = own.data.shape[2], own.mask.device
        self.model, self.carrying = model, carrying
        twice = torch.arange(2 * count, device=device) // 2
        self.twins = own.rows(twice) if carrying and count <= MOST_TWINS else None  # clean and pushed, row by row
        self.kv = own if self.twins is None else self.twins.every_second()
        self.probe = torch.zeros((), device=device, requires_grad=True)
        self.buffer = torch.empty_like(self.kv.data)  # of gradients (L, 2, B, H, N, D)
        # The largest norm so far, as in the published code for bags of words: a flat stretch is not blown up.
        self.norms = torch.zeros(own.data.shape[0], count, device=device)  # (L, B)

    @classmethod
    def gathered(cls, rows: Sequence[tuple["PushedPast", int]], clean: KV, room: int) -> "PushedPast":
        """Rows of several pasts, as `KV.gathered` has made `clean` of their clean ones."""
        own = KV.gathered([(past.kv, row) for past, row in rows], room)
        made = cls(rows[0][0].model, own, any(past.carrying for past, _ in rows))
        if made.twins is not None:
            made.twins.data[:, :, ::2] = clean.data
        made.norms = torch.stack([past.norms[:, row] for past, row in rows], 1)
        return made

    def keep(self, index: Tensor) -> None:
        """Keep only the rows at `index`."""
        if self.twins is None:
            self.kv = self.kv.rows(index)
        else:
            self.twins = self.twins.rows(torch.stack([2 * index, 2 * index + 1], dim=1).flatten())
            self.kv = self.twins.every_second()
        self.buffer = torch.empty_like(self.kv.data)
        self.norms = self.norms.index_select(1, index)

    def first(self, gradient: Tensor, token: Tensor, clean: KV, lora: LoraRows, graph: bool) -> tuple[Reading, Reading]:
        """Read `token` after the clean past (no graph) and the pushed one; also writes the clean past's new column.

        If no past is carried on, this is one pass: nothing is pushed yet. Else a few rows are read twice in one batch,
        after their clean and after their pushed past, which costs less than two passes.
        """
        new = slice(clean.length, clean.length + 1)
        with torch.set_grad_enabled(graph):
            if self.twins is not None:
                cache = self.twins.followed(self.probe, gradient)
                both = read(self.model, token.repeat_interleave(2, 0), self.twins, cache, lora.twice)
                clean.data[..., new, :] = self.twins.data[:, :, ::2, :, new]
                return Reading(*(part[::2] for part in both)).detach(), Reading(*(part[1::2] for part in both))
            pushed = self.follow(gradient, token, lora)
        if not self.carrying:
            clean.data[..., new, :] = self.kv.data[..., new, :]
            return pushed.detach(), pushed
        with torch.no_grad():
            return read(self.model, token, clean, clean.cache(), lora), pushed

    def follow(self, gradient: Tensor, token: Tensor, lora: LoraRows) -> Reading:
        """Read `token` after the pushed past; a backward pass to the probe then fills `gradient`."""
        return read(self.model, token, self.kv, self.kv.followed(self.probe, gradient), lora)

    def push(self, gradient: Tensor, step_size: Tensor, gamma: Tensor, latest: Tensor) -> None:
        """One gradient step. step_size (B,): 0 leaves a row alone; `latest` (B,): rows scaled by their newest norm."""
        norms = gradient_norms(gradient) * (step_size != 0)
        self.norms = torch.maximum(self.norms, norms)  # a NaN stays one
        past = self.kv.newest(gradient.shape[-2])
        push(past, gradient, torch.where(latest, norms, self.norms), step_size, gamma, out=past)

    def advance(self, width: int, clean: KV, carry: Tensor | None) -> None:
        """Take the token just read into both pasts, of which `width` columns were pushed.

        Rows without `carry` (B,) get their clean columns back; None if all rows carry their pushed past on.
        """
        clean.length += 1
        self.kv.length += 1
        if self.twins is not None:
            self.twins.length += 1
        if carry is not None:
            mine, theirs = self.kv.newest(width + 1), clean.newest(width + 1)
            mine.copy_(torch.where(carry[:, None, None, None], mine, theirs) if self.carrying else theirs)
