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
from adapters.decoding.sampling import Choose
from adapters.decoding.text import Row
from adapters.kv import KV
from adapters.lora.rows import LoraRows, ScaledLora
from adapters.pplm.past import read
from adapters.pplm.steering import Steered, Steering

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
    """Rows with one cache: all steered or none, those with a LoRA last, perhaps none at all."""

    def __init__(self, base: BaseModel, rows: list[Row], start: Start, sampler: Choose):
        """Steered rows read the last token of the prompt again, after a past that can be pushed."""
        self.base, self.rows, self.kv, self.lora, self.sampler = base, rows, start.kv, start.lora, sampler
        settings = [row.request.method.steering for row in rows if row.request.method.steering is not None]
        losses = [row.attribute_loss for row in rows if row.attribute_loss is not None]
        self.steering = None
        if settings:
            self.kv.length -= 1
            ids = [row.prompt_ids for row in rows]
            self.steering = Steering(base.model, settings, losses, ids, self.kv, start.hidden_sum)
        self.started = False  # whether there is a first token
        self.seconds = 0.0  # spent in `advance`
        self._pieces = self._run(start.logits)

    def advance(self) -> None:
        """Do one piece of work: a token of all rows, or one iteration towards it."""
        before = time.perf_counter()
        next(self._pieces, None)
        self.seconds += time.perf_counter() - before

    def _run(self, logits: Tensor) -> Iterator[None]:
        ids = [[row.prompt_ids[-1]] for row in self.rows]
        token = torch.tensor(ids, device=logits.device)  # (B, 1)
        while self.rows:
            step = Steered(logits, logits, torch.zeros_like(logits[:, 0]))
            if self.steering is not None:
                step = yield from self.steering.step(token, self.kv, self.lora)
            token = self._keep(self._choose(step))
            self.started = True
            yield
            if self.rows and self.steering is None:
                with torch.no_grad():
                    logits = read(self.base.model, token, self.kv, self.kv.cache(), self.lora).logits
                self.kv.length += 1

    def _choose(self, step: Steered) -> Tensor:
        """Draw a token for every row from its fused logits and add it to the row; returns the tokens (B, 1)."""
        clean, fused = step.clean, step.fused
        total = clean.logsumexp(-1, keepdim=True)  # (B, 1): not finite where any logit is NaN or infinite
        sound = total.isfinite()
        if fused is not clean:
            sound &= fused.logsumexp(-1, keepdim=True).isfinite()
        drawable = torch.where(sound, fused, 0.0)
        tokens = self.sampler(drawable, [row.ids for row in self.rows], [row.generator for row in self.rows])[:, None]
        logprobs = clean.gather(-1, tokens) - total
        # One tensor for everything that the rows need: the only synchronisation of a step.
        columns = (tokens, logprobs, sound, step.likelihood[:, None])
        chosen = torch.cat([column.double() for column in columns], -1).tolist()
        for row, (token_id, logprob, ok, likelihood) in zip(self.rows, chosen, strict=True):
            row.take(int(token_id), logprob, bool(ok), likelihood, self.base.eos_token_ids)
        return tokens

    def _keep(self, token: Tensor) -> Tensor:
        """Drop the rows that have ended, so that they cost nothing; returns the tokens of the others."""
        running = [index for index, row in enumerate(self.rows) if row.finish_reason is None]
        if len(running) == len(self.rows):
            return token
        index = torch.tensor(running, device=token.device, dtype=torch.long)
        self.rows = [self.rows[row] for row in running]
        self.kv = self.kv.rows(index)
        self.lora = self.lora.rows(running)
        if self.steering is not None:
            self.steering.keep(index, running)
        return token.index_select(0, index)


def next_batch(plain: Batch, steered: Batch) -> Batch:
    """The batch to advance: every row gets its first token at once, then steered rows get their share of the time."""
    if not (plain.rows and steered.rows):
        return plain if plain.rows else steered
    if not plain.started:
        return plain
    return steered if not steered.started or steered.seconds < STEERED_SHARE * plain.seconds else plain


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
    base: BaseModel, texts: Sequence[Pair], lora: ScaledLora | None, prefix: Tensor | None
) -> list[LogLikelihood]:
    kv, ids = padded(base, [[*context, *scored] for context, scored in texts], [prefix] * len(texts), 0)
    keep = max(len(scored) for _, scored in texts)
    with torch.no_grad(), LoraRows.of(base.model, [lora] * len(texts)).applied():
        output = base.model(
            input_ids=ids, past_key_values=kv.cache(), logits_to_keep=keep + 1, **kv.inputs(ids.shape[1])
        )
        logits = output.logits[:, :-1].float()  # (S, keep, V): each predicts the next of the last `keep` tokens
        chosen = logits.gather(-1, ids[:, ids.shape[1] - keep :, None])[..., 0] - logits.logsumexp(-1)
    return [
        LogLikelihood(tuple(row[keep - len(scored) :])) for row, (_, scored) in zip(chosen.tolist(), texts, strict=True)
    ]
