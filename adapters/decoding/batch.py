"""Batches: texts of different lengths padded on the left, scored at once, or continued as rows that step together.

Letters: S texts, Q tokens of the longest text, B rows still running, V vocabulary.
"""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.decoding.likelihood import LogLikelihood
from adapters.decoding.mixture import Mixture
from adapters.decoding.sampling import Choose
from adapters.decoding.text import Row
from adapters.kv import KV
from adapters.lora.rows import LoraRows, LoraWeights, ScaledLora
from adapters.pplm.past import read
from adapters.pplm.steering import Steered, Steering
from adapters.vector.shifts import Shift

STEERED_SHARE = 0.6  # of the unsteered rows' time: steered texts then end within twice the time of the others

Pair = tuple[Sequence[int], Sequence[int]]  # context ids, not empty, and the ids to score


class Start(NamedTuple):
    """The state of B rows after their prompts."""

    kv: KV
    lora: LoraRows
    logits: Tensor  # (B, V)
    hidden_sum: Tensor  # (B, C) of the last hidden states of each prompt without its last token

    def rows(self, rows: Sequence[int]) -> "Start":
        """The rows at some indices; a row may be named more than once."""
        index = torch.tensor(rows, device=self.logits.device, dtype=torch.long)
        logits, hidden_sum = self.logits.index_select(0, index), self.hidden_sum.index_select(0, index)
        return Start(self.kv.rows(index), self.lora.rows(rows), logits, hidden_sum)


class Batch:
    """Rows with one cache: all steered or none, those with a LoRA last."""

    def __init__(
        self, base: BaseModel, rows: list[Row], kv: KV, lora: LoraRows, token: Tensor, steering: Steering | None = None
    ) -> None:
        """token (B, 1): the newest of each row, which is still to be read."""
        self.base, self.rows, self.kv, self.lora, self.token, self.steering = base, rows, kv, lora, token, steering
        self.logits: Tensor | None = None  # (B, V) where it has been read already
        self.between = True  # two tokens; else in the middle of one
        self.seconds = 0.0  # spent in `advance`
        self.pace = 0.0  # seconds that the newest token of all rows took
        self.mixture = Mixture.of(rows, token.device)
        self._pieces = self._run()

    @classmethod
    def begin(cls, base: BaseModel, rows: list[Row], start: Start) -> "Batch":
        """Steered rows read the last token of the prompt again, after a past that can be pushed."""
        token = torch.tensor([[row.prompt_ids[-1]] for row in rows], device=start.logits.device)
        batch = cls(base, rows, start.kv, start.lora, token)
        settings = [row.request.method.steering for row in rows if row.request.method.steering is not None]
        losses = [row.attribute_loss for row in rows if row.attribute_loss is not None]
        if settings:
            batch.kv.length -= 1
            ids = [row.prompt_ids for row in rows]
            batch.steering = Steering.begin(base.model, settings, losses, ids, batch.kv, start.hidden_sum)
        else:
            batch.logits = start.logits
        return batch

    @classmethod
    def joined(cls, batches: Sequence["Batch"]) -> "Batch | None":
        """The running rows of batches that are between two tokens, in one; no columns that none of them uses."""
        found = [(b, i) for b in batches for i, row in enumerate(b.rows) if row.finish_reason is None]
        if not found:
            return None
        order = by_lora([batch.rows[i] for batch, i in found])
        found = [found[place] for place in order]
        rows = [batch.rows[i] for batch, i in found]
        first, room = found[0][0], max(row.room - len(row.token_ids) for row in rows)
        kv = KV.gathered([(batch.kv, i) for batch, i in found], room)
        shifts = [row.shifts for row in rows]
        lora = LoraRows.of(first.base.model, [row.lora for row in rows], batches[0].lora, shifts)
        steering = None
        if first.steering is not None:
            steering = Steering.gathered([(b.steering, i) for b, i in found if b.steering is not None], kv, room)
        joined = cls(first.base, rows, kv, lora, torch.stack([batch.token[i] for batch, i in found]), steering)
        joined.seconds, joined.pace = batches[0].seconds, max(batch.pace for batch in batches)
        return joined

    @property
    def wasted(self) -> float:
        """The share of the columns that no row uses."""
        return 1 - max(row.prefix_length + len(row.ids) for row in self.rows) / (self.kv.length + 1)

    def advance(self) -> None:
        """Do one piece of work: a token of all rows, or one iteration towards it."""
        before, first, read = time.perf_counter(), self.between, self.logits is None
        next(self._pieces, None)
        took = time.perf_counter() - before
        self.seconds += took
        if read:  # else nothing was read: the prompts were
            self.pace = took if first else self.pace + took

    def _run(self) -> Iterator[None]:
        while self.rows:
            if self.steering is not None:
                self.between = False
                step = yield from self.steering.step(self.token, self.kv, self.lora)
            else:
                logits = self._read() if self.logits is None else self.logits
                step, self.logits = Steered(logits, logits, torch.zeros_like(logits[:, 0])), None
            self._keep(self._choose(step))
            self.between = True
            yield

    def _read(self) -> Tensor:
        """Read the newest tokens; returns logits (B, V)."""
        with torch.no_grad():
            logits = read(self.base.model, self.token, self.kv, self.kv.cache(), self.lora).logits
        self.kv.length += 1
        return logits

    def _choose(self, step: Steered) -> Tensor:
        """Draw a token for every text from its fused logits and add it to its rows; returns the tokens (B, 1)."""
        clean, fused = step.clean, step.fused
        total = clean.logsumexp(-1, keepdim=True)  # (B, 1): not finite where any logit is NaN or infinite
        sound, texts = total.isfinite(), self.rows
        if self.mixture is not None:
            fused, texts = self.mixture.mixed(fused), [self.rows[place] for place in self.mixture.texts]
            sound = fused.logsumexp(-1, keepdim=True).isfinite()  # what is unsound in one of its rows is so in a text
        elif fused is not clean:
            sound &= fused.logsumexp(-1, keepdim=True).isfinite()
        tokens = draw(texts, torch.where(sound, fused, 0.0))[:, None]
        if self.mixture is not None:
            tokens, sound = self.mixture.take(tokens), sound.index_select(0, self.mixture.text_of)
        logprobs = clean.gather(-1, tokens) - total
        # One tensor for everything that the rows need: the only synchronisation of a step.
        columns = (tokens, logprobs, sound, step.likelihood[:, None])
        chosen = torch.cat([column.double() for column in columns], -1).tolist()
        for row, (token_id, logprob, ok, likelihood) in zip(self.rows, chosen, strict=True):
            row.take(int(token_id), logprob, bool(ok), likelihood, self.base.eos_token_ids)
        return tokens

    def _keep(self, token: Tensor) -> None:
        """Drop the rows that have ended, so that they cost nothing; `token` (B, 1) is the newest of each."""
        running = [index for index, row in enumerate(self.rows) if row.finish_reason is None]
        self.token = token
        if len(running) == len(self.rows):
            return
        index = torch.tensor(running, device=token.device, dtype=torch.long)
        self.rows = [self.rows[row] for row in running]
        self.mixture = Mixture.of(self.rows, token.device)
        self.kv = self.kv.rows(index)
        self.lora = self.lora.rows(running)
        self.token = token.index_select(0, index)
        if self.steering is not None:
            self.steering.keep(index, running)


def draw(rows: Sequence[Row], logits: Tensor) -> Tensor:
    """Tokens (B,) from logits (B, V), by each row's own sampler."""
    places: dict[Choose, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row.sampler, []).append(place)
    if len(places) == 1:  # no index, which a GPU would be waited for
        return rows[0].sampler(logits, [row.ids for row in rows], [row.generator for row in rows])
    tokens = torch.empty(len(rows), dtype=torch.long, device=logits.device)
    for sampler, own in places.items():
        index = torch.tensor(own, device=logits.device)
        ids, generators = [rows[place].ids for place in own], [rows[place].generator for place in own]
        tokens[index] = sampler(logits.index_select(0, index), ids, generators)
    return tokens


def by_lora(rows: Sequence[Row]) -> list[int]:
    """Indices of the rows without a LoRA, then of those of each LoRA together."""
    numbers: dict[LoraWeights | None, int] = {None: 0}
    keys = [numbers.setdefault(None if row.lora is None else row.lora.weights, len(numbers)) for row in rows]
    return sorted(range(len(rows)), key=keys.__getitem__)


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


def by_length(lengths: Sequence[int], tokens_a_pass: int) -> Iterator[list[int]]:
    """Indices of texts of similar length, so many that they fit in one pass."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    while order:
        count = sum(lengths[i] * (n + 1) <= tokens_a_pass for n, i in enumerate(order)) or 1
        yield order[:count]
        order = order[count:]


def score(
    base: BaseModel, texts: Sequence[Pair], lora: ScaledLora | None, prefix: Tensor | None, shifts: Sequence[Shift]
) -> list[LogLikelihood]:
    kv, ids = padded(base, [[*context, *scored] for context, scored in texts], [prefix] * len(texts), 0)
    keep = max(len(scored) for _, scored in texts)
    with torch.no_grad(), LoraRows.of(base.model, [lora] * len(texts), None, [shifts] * len(texts)).applied():
        output = base.model(
            input_ids=ids, past_key_values=kv.cache(), logits_to_keep=keep + 1, **kv.inputs(ids.shape[1])
        )
        logits = output.logits[:, :-1].float()  # (S, keep, V): each predicts the next of the last `keep` tokens
        chosen = logits.gather(-1, ids[:, ids.shape[1] - keep :, None])[..., 0] - logits.logsumexp(-1)
    return [
        LogLikelihood(tuple(row[keep - len(scored) :])) for row, (_, scored) in zip(chosen.tolist(), texts, strict=True)
    ]
