"""The engine: many requests, each with its own method, decoded together.

Knows how requests become rows, batches and texts; knows nothing of files, screens or metrics.

Every request owns a clean row, and rows that read the same prompt in the same way are read once. Unsteered rows step in
one batch, steered rows in another, because a steered token costs several plain ones and nobody should wait for it.
What a row writes depends on neither its batch nor its neighbours.

Letters: S distinct prompts, L layers, P columns of the longest prefix, Q tokens of the longest prompt.
"""

import hashlib
import time
from collections.abc import Generator, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.decoding.batch import Batch, Row, Start
from adapters.decoding.likelihood import LogLikelihood
from adapters.decoding.sampling import Choose, Sampler
from adapters.decoding.scheduler import FairLock, next_batch
from adapters.kv import KV
from adapters.lora.rows import LoraRows, ScaledLora
from adapters.methods import Attribute, Method, Request, Sampling, UserError
from adapters.pplm.bags import WeightedLoss, attribute_loss
from adapters.pplm.steering import read
from adapters.store.adapter_store import AdapterStore

TOKENS_BEFORE = 8  # of the prompt, that are decoded together with a continuation
TOKENS_A_PASS = 1024  # padded tokens that `loglikelihood` reads at once


class Continuation(NamedTuple):
    """What one request has become so far."""

    request: Request
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # the end token included
    text: str  # without special tokens
    logprobs: tuple[float, ...]  # of each token, in nats, under the method without its steering
    finish_reason: str | None  # None while running, then "eos", "length" or "diverged"
    seconds: float  # from the start of the call to the newest token


Continuations = Generator[list[Continuation], None, None]


class Engine:
    """One base model and its adapters. Safe to call from several threads: they take turns at single steps."""

    def __init__(self, base: BaseModel, store: AdapterStore) -> None:
        self.base, self.store = base, store
        self.turn = FairLock()  # a LoRA hangs on the shared model for the length of one step

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Continuations:
        """Continues all requests together; closing the iterator cancels and frees everything.

        Checks everything first (UserError), then yields the state of every request, in their order, after each small
        piece of work: a token of the unsteered rows, or one PPLM iteration.
        """
        losses: dict[tuple[Attribute, ...], WeightedLoss] = {}
        candidates = [self._candidates(request, sampling, losses) for request in requests]
        return self._decode(candidates, Sampler(sampling))

    def loglikelihood(
        self, texts: Sequence[tuple[Sequence[int], Sequence[int]]], method: Method
    ) -> list[LogLikelihood]:
        """Scores (context ids, scored ids) pairs under the method's LoRA and prefix; steering takes no part.

        A context must not be empty. Texts are read in batches of similar length.
        """
        lora, prefix = self._adapters(method)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i][0]) + len(texts[i][1]))
        results: dict[int, LogLikelihood] = {}
        while order:
            longest = [len(texts[i][0]) + len(texts[i][1]) for i in order]
            count = sum(length * (n + 1) <= TOKENS_A_PASS for n, length in enumerate(longest)) or 1
            batch, order = order[:count], order[count:]
            with self.turn:
                results |= zip(batch, self._score([texts[i] for i in batch], lora, prefix), strict=True)
        return [results[i] for i in range(len(texts))]

    def batch(self, request: Request, sampler: Choose, max_new_tokens: int) -> Batch:
        """A batch with one request, for who follows a text token by token: to be advanced while holding `turn`.

        Raises UserError as `generate` does.
        """
        row = self._row(request, request.seed, Sampling(max_new_tokens=max_new_tokens), {})
        return next(batch for batch in self._batches([row], sampler) if batch.running)

    def _adapters(self, method: Method) -> tuple[ScaledLora | None, Tensor | None]:
        lora = None if method.lora is None else ScaledLora(self.store.lora(method.lora), method.lora_scale)
        return lora, None if method.prefix is None else self.store.prefix(method.prefix)

    def _candidates(
        self, request: Request, sampling: Sampling, losses: dict[tuple[Attribute, ...], WeightedLoss]
    ) -> list[Row]:
        """The rows of a request: one, but for `best_of`."""
        count = 1 if request.method.steering is None else request.method.steering.best_of
        seeds = [candidate_seed(request.seed, number) for number in range(count)]
        return [self._row(request, seed, sampling, losses) for seed in seeds]

    def _row(
        self, request: Request, seed: int, sampling: Sampling, losses: dict[tuple[Attribute, ...], WeightedLoss]
    ) -> Row:
        """Everything a row needs, checked. `losses` holds one WeightedLoss for rows with the same attributes."""
        if not request.prompt.strip():
            raise UserError("The prompt is empty: write the beginning of a text.")
        lora, prefix = self._adapters(request.method)
        prompt_ids = self.base.encode(request.prompt, request.chat)
        generator = torch.Generator(self.base.device).manual_seed(seed)
        row = Row(request, prompt_ids, sampling.max_new_tokens, generator, lora, prefix)
        needed = row.prefix_length + len(prompt_ids) + row.room
        if needed > self.base.context_length:
            raise UserError(
                f"Too long: {row.prefix_length} virtual tokens, {len(prompt_ids)} of the prompt and "
                f"{row.room} new ones make {needed}, and this model has room for "
                f"{self.base.context_length}: shorten the prompt or ask for fewer tokens."
            )
        if request.method.steering is not None:
            attributes = request.method.steering.attributes
            if attributes not in losses:
                losses[attributes] = attribute_loss(
                    self.base.tokenizer, attributes, self.base.device, self.store.class_loss
                )
            row.attribute_loss = losses[attributes]
        return row

    def _decode(self, candidates: list[list[Row]], sampler: Sampler) -> Continuations:
        started = time.perf_counter()
        texts = [[Text(self.base, row, started) for row in rows] for rows in candidates]
        batches = self._batches([row for rows in candidates for row in rows], sampler)
        while any(batch.running for batch in batches):
            batch = next_batch(*batches)
            with self.turn:
                batch.advance()
            yield [best(group) for group in texts]

    def _batches(self, rows: list[Row], sampler: Choose) -> list[Batch]:
        """The unsteered rows and the steered rows, after one pass over the distinct prompts of all."""
        order = by_lora(rows)
        sources: dict[Hashable, Row] = {}
        for row in order:
            sources.setdefault(source(row), row)
        with self.turn:
            start = self._prefill(list(sources.values()), max(row.room for row in rows))
        place = {key: index for index, key in enumerate(sources)}
        batches = []
        for members in ([r for r in order if r.attribute_loss is None], [r for r in order if r.attribute_loss]):
            batches.append(Batch(self.base, members, start.rows([place[source(row)] for row in members]), sampler))
        return batches

    def _prefill(self, rows: list[Row], room: int) -> Start:
        """Reads the prompts of S rows, those with a LoRA last; the cache has `room` for columns after them."""
        kv, ids = self._begin([row.prompt_ids for row in rows], [row.prefix for row in rows], room)
        lora = LoraRows.of(self.base.model, [row.lora for row in rows])
        with torch.no_grad():
            reading = read(self.base.model, ids, kv, kv.cache(), lora)
        real = kv.mask[:, kv.length : kv.length + ids.shape[1] - 1, None]  # (S, Q - 1, 1)
        kv.length += ids.shape[1]
        return Start(kv, lora, reading.logits, reading.hidden[:, :-1].masked_fill(~real, 0).sum(1))

    def _begin(
        self, prompts: Sequence[Sequence[int]], prefixes: Sequence[Tensor | None], room: int
    ) -> tuple[KV, Tensor]:
        """A cache that holds the prefixes, and the prompts (S, Q) to read next, padded on the left."""
        device = self.base.device
        num_virtual = max(0 if prefix is None else prefix.shape[-2] for prefix in prefixes)
        longest = max(len(prompt) for prompt in prompts)
        mask = torch.ones(len(prompts), num_virtual + longest + room, dtype=torch.bool)
        ids = torch.zeros(len(prompts), longest, dtype=torch.long)
        for row, (prompt, prefix) in enumerate(zip(prompts, prefixes, strict=True)):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt)
            mask[row, : num_virtual - (0 if prefix is None else prefix.shape[-2])] = False
            mask[row, num_virtual : num_virtual + longest - len(prompt)] = False
        kv = KV.empty(self.base.cache_shape, mask.to(device), next(self.base.model.parameters()))
        for row, prefix in enumerate(prefixes):
            if prefix is not None:
                kv.data[:, :, row, :, num_virtual - prefix.shape[-2] : num_virtual] = prefix
        kv.length = num_virtual
        return kv, ids.to(device)

    def _score(
        self, texts: Sequence[tuple[Sequence[int], Sequence[int]]], lora: ScaledLora | None, prefix: Tensor | None
    ) -> list[LogLikelihood]:
        """One padded pass over some texts."""
        kv, ids = self._begin([[*context, *scored] for context, scored in texts], [prefix] * len(texts), 0)
        keep = max(len(scored) for _, scored in texts)
        rows = LoraRows.of(self.base.model, [lora] * len(texts))
        with torch.no_grad(), rows.applied():
            output = self.base.model(
                input_ids=ids, past_key_values=kv.cache(), logits_to_keep=keep + 1, **kv.inputs(ids.shape[1])
            )
            logits = output.logits[:, :-1].float()  # (B, keep, V): each predicts the next of the last `keep` tokens
            chosen = logits.gather(-1, ids[:, ids.shape[1] - keep :, None])[..., 0] - logits.logsumexp(-1)
        return [
            LogLikelihood(tuple(row[keep - len(scored) :]))
            for row, (_, scored) in zip(chosen.tolist(), texts, strict=True)
        ]


def candidate_seed(seed: int, number: int) -> int:
    """The seed of a request's candidates: the first has the request's own, the others some of 32 bits far from it."""
    return seed if number == 0 else int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4])


def best(texts: Sequence["Text"]) -> Continuation:
    """The candidate that shows its attribute most, once all of them have ended; until then the first, unfinished."""
    newest = [text.continuation() for text in texts]
    if len(newest) == 1:
        return newest[0]
    if any(text.finish_reason is None for text in newest):
        return newest[0]._replace(finish_reason=None)
    place = max(range(len(texts)), key=lambda number: texts[number].row.score)
    return newest[place]._replace(seconds=max(text.seconds for text in newest))


def by_lora(rows: Sequence[Row]) -> list[Row]:
    """The rows without a LoRA, then those of each LoRA together."""
    numbers: dict[int, int] = {}
    return sorted(rows, key=lambda r: 0 if r.lora is None else numbers.setdefault(id(r.lora.weights), 1 + len(numbers)))


def source(row: Row) -> Hashable:
    """What determines how the prompt of a row is read."""
    lora = None if row.lora is None else (id(row.lora.weights), row.lora.scale)  # a name may change what it stands for
    return tuple(row.prompt_ids), lora, id(row.prefix)


class Text:
    """The text of a row as it grows. Decoded with the prompt's end, since a token's text can depend on those before."""

    def __init__(self, base: BaseModel, row: Row, started: float) -> None:
        self.base, self.row, self.started = base, row, started
        self.before = row.prompt_ids[-TOKENS_BEFORE:]
        self.start = len(self._decode(self.before))
        self.newest = self._make()

    def continuation(self) -> Continuation:
        if (len(self.row.token_ids), self.row.finish_reason) != (len(self.newest.token_ids), self.newest.finish_reason):
            self.newest = self._make()
        return self.newest

    def _make(self) -> Continuation:
        row = self.row
        text = self._decode(self.before + row.token_ids)[self.start :]
        if row.finish_reason is None:
            text = text.rstrip("\ufffd")  # a character whose last bytes are still to come
        seconds = time.perf_counter() - self.started
        return Continuation(
            row.request,
            tuple(row.prompt_ids),
            tuple(row.token_ids),
            text,
            tuple(row.logprobs),
            row.finish_reason,
            seconds,
        )

    def _decode(self, ids: list[int]) -> str:
        return str(self.base.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
