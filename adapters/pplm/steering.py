"""The steered rows of a batch: their own pushed past, and the iterations that make one token.

Knows how to read the model and what its past contributed; knows nothing of sampling, prompts or scheduling.
Letters: as in pplm.py; T columns of the past, without the token that is being read.
"""

import copy
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from transformers import Cache, PreTrainedModel

from adapters.kv import KV
from adapters.lora.rows import LoraRows
from adapters.methods import NO_LIMIT, PPLM
from adapters.pplm.arithmetic import (
    Knobs,
    affordable,
    divergence,
    fuse,
    gradient_norms,
    push,
    stack_knobs,
    window_weights,
    without_echoes,
    worthwhile,
)
from adapters.pplm.bags import MAX_PIECES, NO_TOKEN, Evidence, WeightedLoss, just_used

MOST_TWINS = 8  # rows; more are read faster in two passes than in one of twice as many, half of which needs no gradient


class Reading(NamedTuple):
    """What the model says after the last of Q tokens of each row."""

    logits: Tensor  # (B, V), float32
    hidden: Tensor  # (B, Q, C), float32: the decoder's last states, after the final norm


class Steered(NamedTuple):
    """What a step ends with."""

    clean: Tensor  # (B, V) logits of the next token, unsteered
    fused: Tensor  # (B, V)
    likelihood: Tensor  # (B,) of the attributes before any push; 0 where nothing is ranked by it


class First(NamedTuple):
    """What the first iteration reads."""

    clean: Reading  # after the clean past, without a graph
    pushed: Reading  # after the pushed past, with its graph


class Observer(Protocol):
    """Whoever watches how a token comes about, after each gradient and when the distributions have been fused."""

    def on_gradient(self, reading: Reading, loss: Tensor, gradient: Tensor) -> None:
        """A reading, its attribute loss (B,), and the windowed gradient (L, 2, B, H, W, D) that is pushed against."""

    def on_fused(self, clean: Tensor, steered: Reading, loss: Tensor, share: Tensor, fused: Tensor) -> None:
        """Clean and fused logits (B, V); the reading after the last push, its attribute loss and its share (B,)."""


def read(model: PreTrainedModel, tokens: Tensor, kv: KV, cache: Cache, lora: LoraRows) -> Reading:
    """One forward pass over ids (B, Q) or embeddings (B, Q, C) after the columns of `kv`, through a cache of it."""
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


class Steering:
    """The pushed pasts of B rows.

    Pushed and clean past have the same columns, and lack the token that is being read; the column after them is written
    by whatever reads it. The pushed past is changed where it lies. Rows that are pushed afresh at every token get the
    clean one back after it.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        settings: Sequence[PPLM],
        losses: Sequence[WeightedLoss],
        ids: Sequence[Sequence[int]],
        clean: KV,
        hidden_sum: Tensor | None = None,
    ) -> None:
        """`clean` is the unsteered cache of `ids` but for their last token, a row for each of `settings`.

        hidden_sum (B, C) is the sum of the last hidden states of the same tokens; only discriminators need it.
        """
        self.model, self.settings, self.losses = model, list(settings), list(losses)
        device, count = clean.mask.device, len(settings)
        self.knobs: Knobs = stack_knobs(settings, device)
        self.carrying = any(s.carry for s in settings)
        # The pushed past is float32, so that small pushes survive where the model is bfloat16.
        own = KV(clean.data.to(torch.float32, copy=True), clean.mask, clean.length)
        self.twins = own.twins() if self.carrying and count <= MOST_TWINS else None  # clean and pushed, row by row
        self.past = own if self.twins is None else self.twins.every_second()
        self.gradient = torch.empty_like(self.past.data)  # (L, 2, B, H, N, D), of which the newest W columns are used
        self.probe = torch.zeros((), device=device, requires_grad=True)
        known = max(MAX_PIECES, *(s.cooldown for s in settings))
        newest = [[*[NO_TOKEN] * known, *row[:-1]][-known:] for row in ids]
        self.recent = torch.tensor(newest, device=device)  # (B, K) tokens of the past, the newest last
        self.hidden_sum = torch.zeros(count, 1, device=device) if hidden_sum is None else hidden_sum  # (B, C)
        self.num_hidden = torch.tensor([len(row) - 1 for row in ids], device=device)  # (B,)
        self.num_steps = 0  # tokens written
        # The largest norm so far, as in the published code for bags of words: a flat stretch is not blown up.
        self.norms = clean.mask.new_zeros(clean.data.shape[0], count, dtype=torch.float32)  # (L, B)
        self.groups = self._groups()
        self.observer: Observer | None = None

    def keep(self, index: Tensor, rows: Sequence[int], clean: KV) -> None:
        """Drops all rows but those at `index`, which `rows` holds as numbers; `clean` has dropped them already."""
        if self.twins is None:
            self.past = self.past.rows(index)
        else:
            self.twins = self.twins.rows(torch.stack([2 * index, 2 * index + 1], dim=1).flatten())
            self.past = self.twins.every_second()
        self.gradient = torch.empty_like(self.past.data)
        self.knobs = self.knobs.rows(index)
        self.recent = self.recent.index_select(0, index)
        self.hidden_sum = self.hidden_sum.index_select(0, index)
        self.num_hidden = self.num_hidden.index_select(0, index)
        self.norms = self.norms.index_select(1, index)
        self.settings = [self.settings[row] for row in rows]
        self.losses = [self.losses[row] for row in rows]
        self.groups = self._groups()

    def step(self, token: Tensor, clean: KV, lora: LoraRows) -> Generator[None, None, Steered]:
        """Reads `token` (B, 1) after both pasts; yields after each iteration."""
        self.recent = torch.cat([self.recent, token], dim=1)[:, -self.recent.shape[1] :]
        gradient = self.gradient[..., : self._width(), :]  # (L, 2, B, H, W, D), anew at each iteration
        first = self._first(gradient, token, clean, lora)
        likelihood, log_clean = self._likelihood(first.clean), first.clean.logits.log_softmax(-1)
        reading = first.pushed
        for iteration in range(self.iterations):
            with torch.enable_grad():
                if iteration > 0:
                    reading = self._follow(self.past, gradient, token, lora)
                evidence = self._evidence(reading, clean, lora)
                attribute = self._by_attributes(WeightedLoss.__call__, evidence)
                loss = attribute + self.knobs.kl_scale * divergence(evidence.logprobs, log_clean)
                torch.autograd.grad(loss.sum(), self.probe, allow_unused=True)
            self._window(gradient)
            if self.observer is not None:
                self.observer.on_gradient(reading, attribute, gradient)
            self._push(gradient, iteration)
            yield
        with torch.no_grad():
            steered = Reading(*(part.detach() for part in reading))
            if self.iterations:
                steered = read(self.model, token, self.past, self.past.cache(), lora)
            drawn = self._without_echoes(steered, first.clean)
            share = self._share(drawn, first.clean)
            fused = self._fuse(drawn, first.clean, share)
            if self.observer is not None:
                loss = self._by_attributes(WeightedLoss.__call__, self._evidence(steered, clean, lora))
                self.observer.on_fused(first.clean.logits, steered, loss, share, fused)
            self._advance(gradient.shape[-2], first, clean)
        return Steered(first.clean.logits, fused, likelihood)

    def _groups(self) -> list[tuple[WeightedLoss, Tensor]]:
        """The different losses, each with the rows (R,) that it is of: those are computed together."""
        rows_of: dict[WeightedLoss, list[int]] = {}
        for row, loss in enumerate(self.losses):
            rows_of.setdefault(loss, []).append(row)
        return [(loss, torch.tensor(rows, device=self.recent.device)) for loss, rows in rows_of.items()]

    @property
    def iterations(self) -> int:
        """Of the row that makes the most."""
        return max(s.num_iterations for s in self.settings)

    def _width(self) -> int:
        """Columns that any row may push."""
        windows = [s.window_length for s in self.settings]
        return self.past.length if 0 in windows else min(max(windows), self.past.length)

    def _follow(self, kv: KV, gradient: Tensor, token: Tensor, lora: LoraRows) -> Reading:
        """Reads `token` after the pushed past; a backward pass from there to the probe fills `gradient`."""
        return read(self.model, token, kv, kv.followed(self.probe, gradient), lora)

    def _first(self, gradient: Tensor, token: Tensor, clean: KV, lora: LoraRows) -> First:
        """The first iteration's pass, which gives the clean logits and the clean past's new column too.

        Where no past is carried on, it is the clean pass: nothing is pushed yet. Else a few rows are read twice in one
        batch, after their clean past and after their own, which costs less than two passes.
        """
        new = slice(clean.length, clean.length + 1)
        with torch.set_grad_enabled(self.iterations > 0):
            if self.twins is not None:
                both = self._follow(self.twins, gradient, token.repeat_interleave(2, 0), lora.twice)
                clean.data[..., new, :] = self.twins.data[:, :, ::2, :, new]
                return First(Reading(*(part[::2].detach() for part in both)), Reading(*(part[1::2] for part in both)))
            pushed = self._follow(self.past, gradient, token, lora)
        if not self.carrying:
            clean.data[..., new, :] = self.past.data[..., new, :]
            return First(Reading(*(part.detach() for part in pushed)), pushed)
        with torch.no_grad():
            return First(read(self.model, token, clean, clean.cache(), lora), pushed)

    def _evidence(self, reading: Reading, clean: KV, lora: LoraRows) -> Evidence:
        """What the attribute models see after one reading."""
        hidden_sum, num_hidden = self.hidden_sum + reading.hidden[:, -1], self.num_hidden + 1
        if any(s.horizon_length and s.has_discriminator for s in self.settings):
            hidden_sum = hidden_sum + self._horizon(reading.logits, clean, lora)
            num_hidden = num_hidden + self.knobs.horizon_length
        return Evidence(reading.logits.log_softmax(-1), hidden_sum, num_hidden, self.recent, self.knobs.cooldown)

    @torch.no_grad()
    def _likelihood(self, clean: Reading) -> Tensor:
        """How much the unsteered rows show their attributes (B,); 0 if none is ranked.

        Words just used do not count: else the best of several texts would be the one that repeats a word.
        """
        if all(s.best_of == 1 for s in self.settings):
            return torch.zeros_like(clean.logits[:, 0])
        logprobs, hidden_sum = clean.logits.log_softmax(-1), self.hidden_sum + clean.hidden[:, -1]
        evidence = Evidence(logprobs, hidden_sum, self.num_hidden + 1, self.recent, self.knobs.cooldown)
        return self._by_attributes(WeightedLoss.likelihood, evidence)

    def _horizon(self, logits: Tensor, clean: KV, lora: LoraRows) -> Tensor:
        """Sum (B, C) of the hidden states of the tokens to come, each of which is the mean embedding of what is likely.

        As in the published code they are read after the clean past, which holds the token being read already.
        """
        kv, total = copy.copy(clean), torch.zeros_like(self.hidden_sum)
        kv.length += 1
        cache, embedding = kv.ahead(), next(self.model.get_input_embeddings().parameters())
        for place in range(max(s.horizon_length for s in self.settings)):
            expected = logits.softmax(-1).to(embedding.dtype) @ embedding  # (B, C)
            reading = read(self.model, expected[:, None], kv, cache, lora)
            total = total + reading.hidden[:, -1] * (place < self.knobs.horizon_length)[:, None]
            logits = reading.logits
            kv.length += 1
        return total

    def _by_attributes(self, of: Callable[[WeightedLoss, Evidence], Tensor], evidence: Evidence) -> Tensor:
        """What `of` says (B,) of every row and its own attributes."""
        if len(self.groups) == 1:
            return of(self.losses[0], evidence)
        total = torch.zeros_like(evidence.logprobs[:, 0])
        for loss, rows in self.groups:
            total = total.index_add(0, rows, of(loss, evidence.rows(rows)))
        return total

    def _window(self, gradient: Tensor) -> None:
        """Leaves of the gradient (L, 2, B, H, W, D) what each row's window does."""
        if any(s.window_length or s.decay for s in self.settings):
            end = self.past.length
            weights = window_weights(self.knobs, self.past.mask[:, end - gradient.shape[-2] : end])
            gradient *= weights[:, None, :, None]

    def _push(self, gradient: Tensor, iteration: int) -> None:
        """One more iteration's push on the past; rows differ in how many they make, and for how many tokens."""
        steering = (self.knobs.grad_length == 0) | (self.num_steps < self.knobs.grad_length)
        pushing = (iteration < self.knobs.num_iterations) & steering  # (B,)
        norms = gradient_norms(gradient) * pushing
        self.norms = torch.maximum(self.norms, norms)  # a NaN stays one
        norms = torch.where(self.knobs.has_discriminator, norms, self.norms)
        past = self.past.newest(gradient.shape[-2])
        push(past, gradient, norms, self.knobs.step_size * pushing, self.knobs.gamma, out=past)

    def _without_echoes(self, steered: Reading, clean: Reading) -> Reading:
        """The steered reading, in which nothing that stands among a row's last `cooldown` tokens got likelier.

        A push towards the words of a list lifts all that is like them, the word that was just used and rests too.
        """
        if all(s.cooldown == 0 for s in self.settings):
            return steered
        tokens, size = just_used(self.recent, self.knobs.cooldown), steered.logits.shape[1]
        places = torch.where(tokens == NO_TOKEN, size, tokens)  # (B, K)
        used = steered.logits.new_zeros(len(tokens), size + 1, dtype=torch.bool).scatter(1, places, True)[:, :size]
        return steered._replace(logits=without_echoes(steered.logits, clean.logits, used))

    def _share(self, steered: Reading, clean: Reading) -> Tensor:
        """How much of the steered distribution is in the fused one (B,)."""
        share = self.knobs.gm_scale
        if any(s.kl_budget < NO_LIMIT for s in self.settings):
            share = affordable(steered.logits, clean.logits, share, self.knobs.kl_budget)
        if all(s.strength == NO_LIMIT for s in self.settings):
            return share

        # A class says nothing of a next word: what the clean state says of it is the same for every share.
        rest = self.hidden_sum + clean.hidden[:, -1], self.num_hidden + 1, self.recent, self.knobs.cooldown

        def likelihood(logprobs: Tensor) -> Tensor:
            return self._by_attributes(WeightedLoss.likelihood, Evidence(logprobs, *rest))

        knobs = self.knobs
        worth = worthwhile(steered.logits, clean.logits, share, knobs.strength, knobs.allowance, likelihood)
        return torch.where(self.knobs.strength == NO_LIMIT, share, worth)

    def _fuse(self, steered: Reading, clean: Reading, share: Tensor) -> Tensor:
        """Fused logits (B, V), NaN in rows whose numbers went wrong."""
        sound = self.norms.isfinite().all(0)[:, None]  # attention on a CPU can hide a NaN
        return torch.where(sound, fuse(steered.logits, clean.logits, share), torch.nan)

    def _advance(self, width: int, first: First, clean: KV) -> None:
        """Takes the token just read into both pasts, of which `width` columns were pushed."""
        clean.length += 1
        self.past.length += 1
        if self.twins is not None:
            self.twins.length += 1
        self.hidden_sum = self.hidden_sum + first.clean.hidden[:, -1]
        self.num_hidden = self.num_hidden + 1
        self.num_steps += 1
        if not all(s.carry for s in self.settings):
            mine, theirs = self.past.newest(width + 1), clean.newest(width + 1)
            carry = self.knobs.carry[:, None, None, None]  # (B, 1, 1, 1), beside (L, 2, B, H, columns, D)
            mine.copy_(torch.where(carry, mine, theirs) if self.carrying else theirs)
