"""Steered rows: the gradient steps on their past that make one token.

Letters: as in arithmetic.py; K newest tokens, C hidden size.
"""

import copy
from collections.abc import Callable, Generator, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers import PreTrainedModel

from adapters.kv import KV
from adapters.lora.rows import LoraRows
from adapters.methods import NO_LIMIT, PPLM
from adapters.pplm.arithmetic import affordable, divergence, fuse, window_weights, without_echoes, worthwhile
from adapters.pplm.bags import MAX_PIECES, NO_TOKEN, Evidence, WeightedLoss, just_used
from adapters.pplm.past import PushedPast, Reading, read


class Knobs:
    """The settings of B rows: each field or property of PPLM as a tensor (B,), made when it is first asked for."""

    def __init__(self, settings: Sequence[PPLM], device: torch.device) -> None:
        self.settings, self.device = settings, device

    def __getattr__(self, name: str) -> Tensor:
        made = torch.tensor([getattr(row, name) for row in self.settings], device=self.device)
        setattr(self, name, made)
        return made


class Steered(NamedTuple):
    clean: Tensor  # (B, V) logits of the next token, unsteered
    fused: Tensor  # (B, V); NaN in rows that diverged
    likelihood: Tensor  # (B,) of the attributes before any step; 0 if nothing is ranked by it


class Known(NamedTuple):
    recent: Tensor  # (B, K) of the past, the newest last
    hidden_sum: Tensor  # (B, C)
    num_hidden: Tensor  # (B,)
    num_steps: Tensor  # (B,) tokens written


class Group(NamedTuple):
    """The rows with the same loss, which are computed together."""

    loss: WeightedLoss
    rows: Tensor | None  # (R,); None for all
    recent: Tensor  # (R, K)
    cooldown: Tensor  # (R,)


class Observer(Protocol):
    """Sees how a token is made: each gradient, and the fused distributions."""

    def on_gradient(self, reading: Reading, loss: Tensor, gradient: Tensor) -> None:
        """A reading, its attribute loss (B,), and the windowed gradient (L, 2, B, H, W, D) of the next step."""

    def on_fused(self, clean: Tensor, steered: Reading, loss: Tensor, share: Tensor, fused: Tensor) -> None:
        """Clean and fused logits (B, V); the reading after the last step, its attribute loss and its share (B,)."""


class Steering:
    def __init__(
        self, settings: Sequence[PPLM], losses: Sequence[WeightedLoss], past: PushedPast, known: "Known"
    ) -> None:
        self.model, self.settings, self.losses, self.past = past.model, list(settings), list(losses), past
        self.known = known  # of the tokens of each row
        self.knobs = Knobs(self.settings, known.recent.device)
        self.members = self._members()
        self.groups: list[Group] = []
        self.observer: Observer | None = None

    @classmethod
    def begin(
        cls,
        model: PreTrainedModel,
        settings: Sequence[PPLM],
        losses: Sequence[WeightedLoss],
        ids: Sequence[Sequence[int]],
        clean: KV,
        hidden_sum: Tensor | None = None,
    ) -> "Steering":
        """`clean` is the unsteered cache of `ids` but for their last token, a row for each of `settings`.

        hidden_sum (B, C) is the sum of the last hidden states of the same tokens; only discriminators need it.
        """
        device = clean.mask.device
        own = KV(clean.data.to(torch.float32, copy=True), clean.mask, clean.length)
        past = PushedPast(model, own, any(s.carry for s in settings))
        known = max(MAX_PIECES, *(s.cooldown for s in settings))
        newest = torch.tensor([[*[NO_TOKEN] * known, *row[:-1]][-known:] for row in ids], device=device)
        hidden_sum = torch.zeros(len(ids), 1, device=device) if hidden_sum is None else hidden_sum
        num_hidden = torch.tensor([len(row) - 1 for row in ids], device=device)
        return cls(settings, losses, past, Known(newest, hidden_sum, num_hidden, torch.zeros_like(num_hidden)))

    @classmethod
    def gathered(cls, rows: Sequence[tuple["Steering", int]], clean: KV, room: int) -> "Steering":
        """Rows of several batches, all between two tokens, as `KV.gathered` has made `clean` of their clean pasts."""
        settings, losses = zip(*((s.settings[row], s.losses[row]) for s, row in rows), strict=True)
        known = max(s.known.recent.shape[1] for s, _ in rows)
        parts = [[part[row] for part in s.known] for s, row in rows]
        newest = [pad(recent, (known - len(recent), 0), value=NO_TOKEN) for recent, *_ in parts]
        others = list(zip(*parts, strict=True))[1:]
        past = PushedPast.gathered([(s.past, row) for s, row in rows], clean, room)
        return cls(settings, losses, past, Known(torch.stack(newest), *map(torch.stack, others)))

    def keep(self, index: Tensor, rows: Sequence[int]) -> None:
        """Keep only the rows at `index`, also given as ints in `rows`."""
        self.past.keep(index)
        self.known = Known(*(part.index_select(0, index) for part in self.known))
        self.settings = [self.settings[row] for row in rows]
        self.knobs = Knobs(self.settings, index.device)
        self.losses = [self.losses[row] for row in rows]
        self.members = self._members()

    def step(self, token: Tensor, clean: KV, lora: LoraRows) -> Generator[None, None, Steered]:
        """Read `token` (B, 1) after both pasts and steer the next one; yields after each iteration."""
        recent = torch.cat([self.known.recent, token], dim=1)[:, 1:]
        self.known = self.known._replace(recent=recent)
        self.groups = self._groups()
        iterations, past = max(s.num_iterations for s in self.settings), self.past
        width = min(past.kv.length, max(s.window_length or past.kv.length for s in self.settings))  # pushed by any
        gradient = past.buffer[..., :width, :]  # (L, 2, B, H, W, D), new in each iteration
        unsteered, reading = past.first(gradient, token, clean, lora, iterations > 0)
        likelihood, log_clean = self._likelihood(unsteered), unsteered.logits.log_softmax(-1)
        for iteration in range(iterations):
            with torch.enable_grad():
                if iteration > 0:
                    reading = past.follow(gradient, token, lora)
                evidence = self._evidence(reading, clean, lora)
                attribute = self._by_attributes(WeightedLoss.__call__, evidence)
                loss = attribute + self.knobs.kl_scale * divergence(evidence.logprobs, log_clean)
                torch.autograd.grad(loss.sum(), past.probe, allow_unused=True)
            self._window(gradient)
            if self.observer is not None:
                self.observer.on_gradient(reading, attribute, gradient)
            self._push(gradient, iteration)
            yield
        with torch.no_grad():
            steered = read(self.model, token, past.kv, past.kv.cache(), lora) if iterations else reading.detach()
            drawn = self._without_echoes(steered.logits, unsteered.logits)
            share = self._share(drawn, unsteered)
            sound = past.norms.isfinite().all(0)[:, None]  # attention on a CPU can hide a NaN
            fused = torch.where(sound, fuse(drawn, unsteered.logits, share), torch.nan)
            if self.observer is not None:
                loss = self._by_attributes(WeightedLoss.__call__, self._evidence(steered, clean, lora))
                self.observer.on_fused(unsteered.logits, steered, loss, share, fused)
            past.advance(width, clean, None if all(s.carry for s in self.settings) else self.knobs.carry)
            _, hidden_sum, num_hidden, num_steps = self.known
            self.known = Known(recent, hidden_sum + unsteered.hidden[:, -1], num_hidden + 1, num_steps + 1)
        return Steered(unsteered.logits, fused, likelihood)

    def _members(self) -> list[tuple[WeightedLoss, Tensor]]:
        """The different losses with their rows (R,): made with the batch, since moving them to a GPU waits for it."""
        rows_of: dict[WeightedLoss, list[int]] = {}
        for row, loss in enumerate(self.losses):
            rows_of.setdefault(loss, []).append(row)
        return [(loss, torch.tensor(rows, device=self.known.recent.device)) for loss, rows in rows_of.items()]

    def _groups(self) -> list[Group]:
        """The different losses with their rows and newest tokens, once a token."""
        recent, cooldown = self.known.recent, self.knobs.cooldown
        if len(self.members) == 1:
            return [Group(self.losses[0], None, recent, cooldown)]
        return [Group(loss, i, recent.index_select(0, i), cooldown.index_select(0, i)) for loss, i in self.members]

    def _evidence(self, reading: Reading, clean: KV, lora: LoraRows) -> Evidence:
        """What the attributes are computed from after a reading."""
        evidence = self._clean_evidence(reading, reading.logits.log_softmax(-1))
        if not any(s.horizon_length and s.has_discriminator for s in self.settings):
            return evidence
        return evidence._replace(
            hidden_sum=evidence.hidden_sum + self._horizon(reading.logits, clean, lora),
            num_hidden=evidence.num_hidden + self.knobs.horizon_length,
        )

    def _clean_evidence(self, reading: Reading, logprobs: Tensor) -> Evidence:
        """The same without the horizon, for other log-probabilities (B, V)."""
        hidden_sum, num_hidden = self.known.hidden_sum + reading.hidden[:, -1], self.known.num_hidden + 1
        return Evidence(logprobs, hidden_sum, num_hidden, self.known.recent, self.knobs.cooldown)

    @torch.no_grad()
    def _likelihood(self, clean: Reading) -> Tensor:
        """How much the unsteered rows show their attributes (B,); 0 if none is ranked.

        Words in their cooldown do not count: else the best of several texts would be the one that repeats a word.
        """
        if all(s.best_of == 1 for s in self.settings):
            return torch.zeros_like(clean.logits[:, 0])
        evidence = self._clean_evidence(clean, clean.logits.log_softmax(-1))
        return self._by_attributes(WeightedLoss.likelihood, evidence)

    def _horizon(self, logits: Tensor, clean: KV, lora: LoraRows) -> Tensor:
        """Sum (B, C) of the hidden states of the tokens to come, each read as the mean embedding of the likely tokens.

        As in the published code they are read after the clean past, which holds the token being read already.
        """
        kv, total = copy.copy(clean), torch.zeros_like(self.known.hidden_sum)
        kv.length += 1
        cache, embedding = kv.ahead(), next(self.model.get_input_embeddings().parameters())
        for position in range(max(s.horizon_length for s in self.settings)):
            expected = logits.softmax(-1).to(embedding.dtype) @ embedding  # (B, C)
            reading = read(self.model, expected[:, None], kv, cache, lora)
            total = total + reading.hidden[:, -1] * (position < self.knobs.horizon_length)[:, None]
            logits = reading.logits
            kv.length += 1
        return total

    def _by_attributes(self, of: Callable[[WeightedLoss, Evidence], Tensor], evidence: Evidence) -> Tensor:
        """`of` each row's own attributes (B,)."""
        if len(self.groups) == 1:
            return of(self.groups[0].loss, evidence)
        total = torch.zeros_like(evidence.logprobs[:, 0])
        for loss, rows, recent, cooldown in self.groups:
            assert rows is not None
            logprobs, hidden_sum, num_hidden = (part.index_select(0, rows) for part in evidence[:3])
            own = Evidence(logprobs, hidden_sum, num_hidden, recent, cooldown)
            total = total.index_add(0, rows, of(loss, own))
        return total

    def _window(self, gradient: Tensor) -> None:
        """Weight the gradient (L, 2, B, H, W, D) by each row's window."""
        if any(s.window_length or s.decay for s in self.settings):
            end = self.past.kv.length
            mask = self.past.kv.mask[:, end - gradient.shape[-2] : end]
            weights = window_weights(self.knobs.window_length, self.knobs.decay, mask)
            gradient *= weights[:, None, :, None]

    def _push(self, gradient: Tensor, iteration: int) -> None:
        """One gradient step; rows differ in how many they make, and for how many tokens."""
        knobs = self.knobs
        steering = (knobs.grad_length == 0) | (self.known.num_steps < knobs.grad_length)
        pushing = (iteration < knobs.num_iterations) & steering  # (B,)
        self.past.push(gradient, knobs.step_size * pushing, knobs.gamma, knobs.has_discriminator)

    def _without_echoes(self, steered: Tensor, clean: Tensor) -> Tensor:
        """The steered logits (B, V), with no token among a row's last `cooldown` ones likelier than in the clean ones.

        A push towards the words of a list lifts similar words too, also one that was just used.
        """
        if all(s.cooldown == 0 for s in self.settings):
            return steered
        tokens, size = just_used(self.known.recent, self.knobs.cooldown), steered.shape[1]
        columns = torch.where(tokens == NO_TOKEN, size, tokens)  # (B, K)
        used = steered.new_zeros(len(tokens), size + 1, dtype=torch.bool).scatter(1, columns, True)[:, :size]
        return without_echoes(steered, clean, used)

    def _share(self, steered: Tensor, clean: Reading) -> Tensor:
        """Share (B,) of the steered distribution, of logits (B, V), in the fused one."""
        knobs, share = self.knobs, self.knobs.gm_scale
        if any(s.kl_budget < NO_LIMIT for s in self.settings):
            share = affordable(steered, clean.logits, share, knobs.kl_budget)
        if all(s.strength == NO_LIMIT for s in self.settings):
            return share
        # A class says nothing of the next word: its likelihood after the clean state is the same for every share.
        evidence = self._clean_evidence(clean, clean.logits)

        def likelihood(logprobs: Tensor) -> Tensor:
            return self._by_attributes(WeightedLoss.likelihood, evidence._replace(logprobs=logprobs))

        worth = worthwhile(steered, clean.logits, share, knobs.strength, knobs.allowance, likelihood)
        return torch.where(knobs.strength == NO_LIMIT, share, worth)
