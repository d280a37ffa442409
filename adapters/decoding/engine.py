"""The engine: many requests, each with its own method, decoded together.

Every request has a clean row; a prompt that several rows read in the same way is read once. Unsteered rows step in one
batch and steered rows in another, so that no plain token waits for a steered one, which costs several. The text of a
row depends on neither its batch nor its neighbours.
"""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Hashable, Sequence
from functools import cache

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.decoding.batch import Batch, Pair, Start, by_length, next_batch, padded, score
from adapters.decoding.likelihood import LogLikelihood
from adapters.decoding.sampling import Choose, Sampler
from adapters.decoding.text import Continuation, Row, Text
from adapters.lora.rows import LoraRows, ScaledLora
from adapters.methods import Attribute, Method, Request, Sampling, UserError
from adapters.pplm.bags import WeightedLoss, attribute_loss
from adapters.pplm.past import read
from adapters.store.adapter_store import AdapterStore

TOKENS_A_PASS = 1024  # padded tokens that are scored at once
Continuations = Generator[list[Continuation], None, None]
LossOf = Callable[[tuple[Attribute, ...]], WeightedLoss]


class FairLock:
    """A lock granted in the order of asking, so that a long run cannot keep others from their steps."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._queue: deque[threading.Lock] = deque()  # the first holds the turn; each waits on a lock of its own

    def __enter__(self) -> None:
        mine = threading.Lock()
        with self._guard:
            if self._queue:
                mine.acquire()
            self._queue.append(mine)
        try:
            mine.acquire()  # waits until the one before lets go
        except BaseException:
            self._leave(mine)
            raise

    def __exit__(self, *_: object) -> None:
        self._leave(self._queue[0])

    def _leave(self, mine: threading.Lock) -> None:
        with self._guard:
            was_first = self._queue[0] is mine
            self._queue.remove(mine)
            if was_first and self._queue:
                self._queue[0].release()


class Engine:
    """One base model and its adapters. Safe to call from several threads: they take turns at single steps."""

    def __init__(self, base: BaseModel, store: AdapterStore) -> None:
        self.base, self.store = base, store
        self.turn = FairLock()  # a LoRA hangs on the shared model for the length of one step

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Continuations:
        """Continue all requests together; closing the iterator cancels and frees everything.

        Checks everything first (UserError), then yields the state of all requests, in order, after each piece of work:
        a token of the unsteered rows, or one PPLM iteration.
        """
        loss_of = cache(self._loss)  # one object for all rows with the same attributes: they are computed together
        candidates = []
        for request in requests:
            count = 1 if request.method.steering is None else request.method.steering.best_of
            seeds = [candidate_seed(request.seed, number) for number in range(count)]
            candidates.append([self._row(request, seed, sampling.max_new_tokens, loss_of) for seed in seeds])
        return self._decode(candidates, Sampler(sampling))

    def loglikelihood(self, texts: Sequence[Pair], method: Method) -> list[LogLikelihood]:
        """Score texts under the method's LoRA and prefix, without its steering."""
        lora, prefix = self._adapters(method)
        results: dict[int, LogLikelihood] = {}
        for indices in by_length([len(context) + len(scored) for context, scored in texts], TOKENS_A_PASS):
            with self.turn:
                results |= zip(indices, score(self.base, [texts[i] for i in indices], lora, prefix), strict=True)
        return [results[i] for i in range(len(texts))]

    def batch(self, request: Request, sampler: Choose, max_new_tokens: int) -> Batch:
        """A batch of one request, to be advanced token by token while holding `turn`. Raises UserError."""
        row = self._row(request, request.seed, max_new_tokens, self._loss)
        return next(batch for batch in self._batches([row], sampler) if batch.rows)

    def _adapters(self, method: Method) -> tuple[ScaledLora | None, Tensor | None]:
        lora = None if method.lora is None else ScaledLora(self.store.lora(method.lora), method.lora_scale)
        return lora, None if method.prefix is None else self.store.prefix(method.prefix)

    def _loss(self, attributes: tuple[Attribute, ...]) -> WeightedLoss:
        return attribute_loss(self.base.tokenizer, attributes, self.base.device, self.store.class_loss)

    def _row(self, request: Request, seed: int, max_new_tokens: int, loss_of: LossOf) -> Row:
        if not request.prompt.strip():
            raise UserError("The prompt is empty: write the beginning of a text.")
        lora, prefix = self._adapters(request.method)
        prompt_ids = self.base.encode(request.prompt, request.chat)
        generator = torch.Generator(self.base.device).manual_seed(seed)
        row = Row(request, prompt_ids, max_new_tokens, generator, lora, prefix)
        needed = row.prefix_length + len(prompt_ids) + row.room
        if needed > self.base.context_length:
            raise UserError(
                f"Too long: {row.prefix_length} virtual tokens, {len(prompt_ids)} of the prompt and "
                f"{row.room} new ones make {needed}, and this model has room for "
                f"{self.base.context_length}: shorten the prompt or ask for fewer tokens."
            )
        if request.method.steering is not None:
            row.attribute_loss = loss_of(request.method.steering.attributes)
        return row

    def _decode(self, candidates: list[list[Row]], sampler: Sampler) -> Continuations:
        started = time.perf_counter()
        texts = [[Text(self.base, row, started) for row in rows] for rows in candidates]
        batches = self._batches([row for rows in candidates for row in rows], sampler)
        while any(batch.rows for batch in batches):
            batch = next_batch(*batches)
            with self.turn:
                batch.advance()
            yield [best(group) for group in texts]

    def _batches(self, rows: list[Row], sampler: Choose) -> list[Batch]:
        """The unsteered and the steered batch, after one pass over the distinct prompts of all."""
        order = by_lora(rows)
        sources: dict[Hashable, Row] = {}
        for row in order:
            sources.setdefault(source(row), row)
        with self.turn:
            start = self._prefill(list(sources.values()), max(row.room for row in rows))
        position = {key: index for index, key in enumerate(sources)}
        batches = []
        for members in ([r for r in order if r.attribute_loss is None], [r for r in order if r.attribute_loss]):
            batches.append(Batch(self.base, members, start.rows([position[source(row)] for row in members]), sampler))
        return batches

    def _prefill(self, rows: list[Row], room: int) -> Start:
        """Read the prompts of rows, those with a LoRA last; the cache has `room` for columns after them."""
        kv, ids = padded(self.base, [row.prompt_ids for row in rows], [row.prefix for row in rows], room)
        lora = LoraRows.of(self.base.model, [row.lora for row in rows])
        with torch.no_grad():
            reading = read(self.base.model, ids, kv, kv.cache(), lora)
        real = kv.mask[:, kv.length : kv.length + ids.shape[1] - 1, None]  # (S, Q - 1, 1)
        kv.length += ids.shape[1]
        return Start(kv, lora, reading.logits, reading.hidden[:, :-1].masked_fill(~real, 0).sum(1))


def candidate_seed(seed: int, number: int) -> int:
    """The seed of a candidate: the request's own for the first, else 32 bits of a hash."""
    return seed if number == 0 else int.from_bytes(hashlib.sha256(f"{seed} {number}".encode()).digest()[:4])


def best(texts: Sequence[Text]) -> Continuation:
    """The candidate that shows its attribute most, once all have ended; until then the first, as unfinished."""
    newest = [text.continuation() for text in texts]
    if len(newest) == 1:
        return newest[0]
    if any(text.finish_reason is None for text in newest):
        return newest[0]._replace(finish_reason=None)
    index = max(range(len(texts)), key=lambda number: texts[number].row.score)
    return newest[index]._replace(seconds=max(text.seconds for text in newest))


def by_lora(rows: Sequence[Row]) -> list[Row]:
    """The rows without a LoRA, then those of each LoRA together."""
    numbers: dict[int, int] = {}
    return sorted(rows, key=lambda r: 0 if r.lora is None else numbers.setdefault(id(r.lora.weights), 1 + len(numbers)))


def source(row: Row) -> Hashable:
    """Equal for rows that read the same prompt in the same way."""
    lora = None if row.lora is None else (id(row.lora.weights), row.lora.scale)  # the adapter of a name may change
    return tuple(row.prompt_ids), lora, id(row.prefix)
