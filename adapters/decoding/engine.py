"""The engine: many requests, each with its own method, decoded together.

Every request has a clean row; a prompt that several rows read in the same way is read once. Unsteered rows step in one
batch and steered rows in another, so that no plain token waits for a steered one, which costs several. The text of a
row depends on neither its batch nor its neighbours.
"""

import hashlib
import math
import time
from collections.abc import Callable, Generator, Hashable, Sequence
from contextlib import closing
from dataclasses import replace
from functools import cache, partial
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor

from adapters.ask.instructions import instruction
from adapters.base_model import BaseModel, memory
from adapters.decoding.batch import Batch, Pair, Start, by_length, by_lora, padded, score
from adapters.decoding.far import Far, passes
from adapters.decoding.likelihood import LogLikelihood
from adapters.decoding.mixture import reads
from adapters.decoding.sampling import Choose, Sampler
from adapters.decoding.scheduler import Begin, Call, FairLock, Scheduler
from adapters.decoding.text import Continuation, Row, Text
from adapters.lora.rows import LoraRows, ScaledLora
from adapters.methods import BASE, Attribute, Method, Request, Sampling, UserError, unsteered
from adapters.pplm.bags import WeightedLoss, attribute_loss
from adapters.pplm.past import read
from adapters.store.adapter_store import AdapterStore
from adapters.vector.shifts import Shift

TOKENS_A_PASS = 1024  # padded tokens that are scored at once
PART_TOKENS = 256  # padded tokens of a prompt that are read between two tokens of the others
ALONE_SHARE = 0.3  # of the time while others wait
T = TypeVar("T")
Continuations = Generator[list[Continuation], None, None]
LossOf = Callable[[tuple[Attribute, ...]], WeightedLoss]


class Engine:
    """One base model and its adapters. Safe to call from several threads: they take turns at single steps."""

    def __init__(
        self,
        base: BaseModel,
        store: AdapterStore,
        shared: Scheduler | None = None,
        alone_share: float = ALONE_SHARE,
        far: Far | None = None,
    ) -> None:
        """`alone_share`: of the time, for calls that share no batch while others wait.

        `far` runs the model instead, in another process; here only checks are made.
        """
        self.base, self.store, self.alone_share, self.far = base, store, alone_share, far
        self.turn = FairLock()  # a LoRA hangs on the shared model for the length of one step
        self.shared = shared or Scheduler()
        self._spent = {True: 0.0, False: 0.0}  # seconds of calls alone and of the shared rows, while both have work

    def generate(self, requests: Sequence[Request], sampling: Sampling, alone: bool = False) -> Continuations:
        """Continue all requests together; closing the iterator cancels and frees everything.

        Checks everything first (UserError), then yields the state of all requests, in order, after each piece of work:
        a token of the unsteered rows, or one PPLM iteration. The rows join those of other calls; with `alone` they
        do not, and the work is done within `alone_share`.
        """
        if self.far is not None:
            return self.far.texts("generate", self.cost(requests, sampling), requests, sampling, alone)
        loss_of = cache(self._loss)  # one object for all rows with the same attributes: they are computed together
        candidates, sampler = [], Sampler(sampling)
        for request in requests:
            count = 1 if request.method.steering is None else request.method.steering.best_of
            seeds = [candidate_seed(request.seed, number) for number in range(count)]
            candidates.append([self._rows(request, seed, sampler, sampling.max_new_tokens, loss_of) for seed in seeds])
        return self._decode(candidates, alone)

    def compare(self, requests: Sequence[Request], sampling: Sampling) -> Continuations:
        """As `generate`, with the base model's log-probabilities (`base_logprobs`) as soon as they are known."""
        if self.far is not None:
            return self.far.texts("compare", self.cost(requests, sampling), requests, sampling)
        return self._scored(self.generate(requests, sampling))

    def check(self, request: Request, max_new_tokens: int) -> list[int]:
        """The token ids of the prompt of a request that can be continued, without its weights. Raises UserError."""
        if not request.prompt.strip():
            raise UserError("The prompt is empty: write the beginning of a text.")
        plain_ids = self.base.encode(request.prompt, request.chat)
        for way in self.ways(request.method):
            self._check_room(way, self.read_ids(plain_ids, way), max_new_tokens + request.method.horizon)
        for part in (request.method.steering, request.method.push):
            if part is not None:
                self._loss(part.attributes, torch.device("cpu"))
        return plain_ids

    def ways(self, method: Method) -> dict[Method, float]:
        """The ways in which a method reads a text, its own first, and the share of each. Raises UserError."""
        return reads(method, lambda name: self.store.find(name).kind)

    def read_ids(self, plain_ids: Sequence[int], method: Method) -> Sequence[int]:
        """The ids of a prompt as the method reads it: after its instruction, if it has one. Raises UserError."""
        return plain_ids if method.ask is None else self.base.instructed(plain_ids, instruction(method.ask))

    def _check_room(self, method: Method, prompt_ids: Sequence[int], room: int) -> None:
        if method.lora is not None:
            self.store.find(method.lora, "lora")
        for vector in method.vectors:
            self.store.vector(vector.name)
        virtual = 0 if method.prefix is None else self.store.find(method.prefix, "prefix").size
        needed = virtual + len(prompt_ids) + room
        if needed > self.base.context_length:
            raise UserError(
                f"Too long: {virtual} virtual tokens, {len(prompt_ids)} of the prompt and {room} new ones make "
                f"{needed}, and this model has room for {self.base.context_length}: shorten the prompt or ask for "
                "fewer tokens."
            )

    def cost(self, requests: Sequence[Request], sampling: Sampling) -> int:
        """Forward passes that checked requests take together, at most. Raises UserError."""
        for request in requests:
            self.check(request, sampling.max_new_tokens)
        return sampling.max_new_tokens * passes([request.method for request in requests])

    def memory(self) -> int:
        """Bytes in use where the model runs: on a GPU the most since `forget_peak`."""
        return memory(self.base.device) if self.far is None else self.far.memory

    def forget_peak(self) -> None:
        if self.far is None and self.base.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.base.device)

    def loglikelihood(self, texts: Sequence[Pair], method: Method, alone: bool = False) -> list[LogLikelihood]:
        """Score texts as the method reads them, without what it does to the logits; `alone` as in `generate`."""
        if self.far is not None:
            return list(self.far.call("engine", "loglikelihood", self.far.seconds(len(texts)), texts, method, alone))
        method = unsteered(method)
        adapters = self._adapters(method)
        texts = [(self.read_ids(context, method), scored) for context, scored in texts]
        results: dict[int, LogLikelihood] = {}
        for indices in by_length([len(context) + len(scored) for context, scored in texts], TOKENS_A_PASS):
            part = [texts[index] for index in indices]
            results |= zip(indices, self._do(partial(score, self.base, part, *adapters), alone), strict=True)
        return [results[i] for i in range(len(texts))]

    def batch(self, request: Request, sampler: Choose, max_new_tokens: int) -> Batch:
        """A batch of one request, to be advanced token by token while holding `turn`. Raises UserError."""
        rows = self._rows(request, request.seed, sampler, max_new_tokens, self._loss)
        with self.turn:
            begun = next(self._begin(rows, None))
        return next(batch for batch in begun or () if batch is not None)

    def _adapters(self, method: Method) -> tuple[ScaledLora | None, Tensor | None, tuple[Shift, ...]]:
        lora = None if method.lora is None else ScaledLora(self.store.lora(method.lora), method.lora_scale)
        prefix = None if method.prefix is None else self.store.prefix(method.prefix)
        return lora, prefix, tuple(Shift(self.store.vector(vector.name), vector.weight) for vector in method.vectors)

    def _loss(self, attributes: tuple[Attribute, ...], device: torch.device | None = None) -> WeightedLoss:
        device = device or self.base.device
        return attribute_loss(self.base.tokenizer, attributes, device, partial(self.store.class_loss, device=device))

    def _rows(self, request: Request, seed: int, sampler: Choose, max_new_tokens: int, loss_of: LossOf) -> list[Row]:
        """The row of a request, and those that its method mixes with it. Raises UserError."""
        plain_ids, method = self.check(request, max_new_tokens), request.method
        generator = torch.Generator(self.base.device).manual_seed(seed)
        rows: list[Row] = []
        for way, share in self.ways(method).items():
            ids = self.read_ids(plain_ids, way)
            row = Row(request, ids, max_new_tokens, generator, sampler, *self._adapters(way))
            row.share, row.plain_ids = share, plain_ids
            if method.steering is not None:
                row.attribute_loss = loss_of(method.steering.attributes)
            if rows:  # mixed in: it steps with the others, and is not steered itself
                steering = None if method.steering is None else replace(method.steering, step_size=0.0)
                row.leader, row.request = rows[0], request._replace(method=replace(way, steering=steering))
            rows.append(row)
        if method.push is not None:
            rows[0].pushed = loss_of(method.push.attributes)
        return rows

    def _scored(self, states: Continuations) -> Continuations:
        """The states with `base_logprobs`: a row's own if it reads as base; the others are scored when they end."""
        known: dict[int, tuple[float, ...]] = {}
        with closing(states):
            for rows in states:
                known |= {n: row.logprobs for n, row in enumerate(rows) if row.request.method.reads_as_base}
                if ended := [n for n, row in enumerate(rows) if row.finish_reason and row.token_ids and n not in known]:
                    found = self.loglikelihood([(rows[n].prompt_ids, rows[n].token_ids) for n in ended], BASE)
                    known |= {n: each.logprobs for n, each in zip(ended, found, strict=True)}
                yield [row._replace(base_logprobs=known.get(n)) for n, row in enumerate(rows)]

    def _decode(self, candidates: list[list[list[Row]]], alone: bool) -> Continuations:
        started = time.perf_counter()
        texts = [[Text(self.base.tokenizer, rows[0], started) for rows in group] for group in candidates]
        scheduler = Scheduler(most_wasted=1) if alone else self.shared  # alone, the shape of a batch is as it began
        rows = [row for group in candidates for rows in group for row in rows]
        bytes_a_column = 2 * math.prod(self.base.cache_shape) * self.base.model.dtype.itemsize
        call = Call(rows, self._begin(rows, None if alone else PART_TOKENS), bytes_a_column)
        seen = call.state

        def look() -> list[Continuation]:
            """In turn: rows grow in whichever thread takes them further, which may have been another one."""
            nonlocal seen
            if call.state == seen:
                scheduler.advance()
            seen, wait = call.state, scheduler.wait(call)
            for text in chain.from_iterable(texts) if wait else ():
                text.started = time.perf_counter()  # the time in line is not a method's
            return [best(group)._replace(wait=wait) for group in texts]

        try:
            self._do(partial(scheduler.add, call), alone=False)
            states: list[Continuation] = []
            while not states or any(state.finish_reason is None for state in states):
                states = self._do(look, alone)
                if call.error is not None:
                    raise call.error
                yield states
        finally:
            call.leave()
            self.turn.at_once(scheduler.sweep)  # else whoever has the turn does

    def _do(self, work: Callable[[], T], alone: bool) -> T:
        """Do a piece of work in turn; alone, only once the shared rows have had their part of the time."""
        while True:
            with self.turn:
                spent = self._spent
                waits = alone and self.shared.busy and spent[alone] > self.alone_share * sum(spent.values())
                before = time.perf_counter()
                try:
                    if not waits:
                        return work()
                    self.shared.advance()
                finally:
                    spent[alone and not waits] += time.perf_counter() - before
                    if not self.shared.busy:
                        spent.update({True: 0.0, False: 0.0})

    def _begin(self, rows: Sequence[Row], part: int | None) -> Begin:
        """The unsteered and the steered batch of some rows, after a pass over the distinct prompts of all.

        Yields None after each `part` of padded tokens (None: all at once) but the last, then the batches.
        """
        order = [rows[place] for place in by_lora(rows)]
        sources: dict[Hashable, Row] = {}
        for row in order:
            sources.setdefault(source(row), row)
        start = yield from self._prefill(list(sources.values()), max(row.room for row in rows), part)
        position = {key: index for index, key in enumerate(sources)}

        def batch(members: list[Row]) -> Batch | None:
            places = [position[source(row)] for row in members]
            return Batch.begin(self.base, members, start.rows(places)) if members else None

        yield batch([r for r in order if r.attribute_loss is None]), batch([r for r in order if r.attribute_loss])

    def _prefill(self, rows: list[Row], room: int, part: int | None) -> Generator[None, None, Start]:
        """Read the prompts of rows, those with a LoRA last; the cache has `room` for columns after them."""
        kv, ids = padded(self.base, [row.prompt_ids for row in rows], [row.prefix for row in rows], room)
        lora = LoraRows.of(self.base.model, [row.lora for row in rows], None, [row.shifts for row in rows])
        real = kv.mask[:, kv.length : kv.length + ids.shape[1] - 1, None]  # (S, Q - 1, 1)
        width = ids.shape[1] if part is None else max(1, part // len(rows))
        hidden_sum: Tensor | None = None
        for first in range(0, ids.shape[1], width):
            if hidden_sum is not None:
                yield
            some, known = ids[:, first : first + width], real[:, first : first + width]
            with torch.no_grad():
                reading = read(self.base.model, some, kv, kv.cache(), lora)
            kv.length += some.shape[1]
            total = reading.hidden[:, : known.shape[1]].masked_fill(~known, 0).sum(1)
            hidden_sum = total if hidden_sum is None else hidden_sum + total
        assert hidden_sum is not None, "a prompt has a token"
        return Start(kv, lora, reading.logits, hidden_sum)


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


def source(row: Row) -> Hashable:
    """Equal for rows that read the same prompt in the same way."""
    return tuple(row.prompt_ids), row.lora, id(row.prefix), row.shifts  # the adapter of a name may change
