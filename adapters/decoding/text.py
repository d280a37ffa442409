"""A row of a batch, and its text as it grows.

A token is decoded with those before it, since its text can depend on them: a character may have several tokens, and
some tokenizers leave out a leading blank. Only what follows the newest whole character is decoded again.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from torch import Generator, Tensor
from transformers import PreTrainedTokenizerBase

from adapters.decoding.sampling import Choose
from adapters.lora.rows import ScaledLora
from adapters.methods import Request
from adapters.pplm.bags import WeightedLoss
from adapters.vector.shifts import Shift

TOKENS_BEFORE = 8  # that are decoded together with new ones
HALF = "\ufffd"  # stands for a character with bytes still to come


@dataclass
class Row:
    """A request with everything that it needs, and the tokens written so far."""

    request: Request
    prompt_ids: Sequence[int]
    max_new_tokens: int
    generator: Generator
    sampler: Choose  # rows with equal ones draw together
    lora: ScaledLora | None = None
    prefix: Tensor | None = None  # (L, 2, H, P, D)
    shifts: tuple[Shift, ...] = ()
    attribute_loss: WeightedLoss | None = None
    pushed: WeightedLoss | None = None  # the lists of its push
    plain_ids: Sequence[int] | None = None  # of the prompt as everybody gives it, if it reads more than that
    leader: "Row | None" = None  # the row whose text it reads, which its logits are mixed into
    share: float = 1.0  # of its logits in those of its text
    ids: list[int] = field(init=False)  # of the prompt and of the text
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    error: Exception | None = None  # that ended the row
    likelihood: float = 0.0  # sum over the tokens of how much the text before showed the attributes

    def __post_init__(self) -> None:
        self.ids = list(self.prompt_ids)

    @property
    def score(self) -> float:
        """Mean over the tokens of how much the text shows its attributes, to rank it; -inf if it diverged."""
        return -math.inf if self.finish_reason == "diverged" else self.likelihood / max(1, len(self.token_ids))

    @property
    def prefix_length(self) -> int:
        return 0 if self.prefix is None else self.prefix.shape[-2]

    @property
    def room(self) -> int:
        """Columns after the prompt: tokens to write, and those of the horizon."""
        return self.max_new_tokens + self.request.method.horizon

    @property
    def left(self) -> int:
        """Tokens to write, at most."""
        return 0 if self.finish_reason else self.max_new_tokens - len(self.token_ids)

    def take(self, token: int, logprob: float, sound: bool, likelihood: float, eos: frozenset[int]) -> None:
        """Add the chosen token, unless the row diverged (not `sound`), and notice the end."""
        if not sound:
            self.finish_reason = "diverged"
            return
        self.likelihood += likelihood
        self.token_ids.append(token)
        self.ids.append(token)
        self.logprobs.append(logprob)
        if token in eos:
            self.finish_reason = "eos"
        elif len(self.token_ids) == self.max_new_tokens:
            self.finish_reason = "length"


class Wait(NamedTuple):
    """A place in the line of those who wait for the model."""

    ahead: int  # others who are let in before
    seconds: float  # until it is let in, about


class Continuation(NamedTuple):
    request: Request
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # the end token included
    text: str  # without special tokens
    logprobs: tuple[float, ...]  # of each token, in nats, under the method without its steering
    finish_reason: str | None  # None while running, then "eos", "length" or "diverged"
    seconds: float  # from when the call was let in to the newest token
    wait: Wait | None = None  # while it waits to be let in
    base_logprobs: tuple[float, ...] | None = None  # as `logprobs`, under the base model; None: not known, or not yet


class Text:
    def __init__(self, tokenizer: PreTrainedTokenizerBase, row: Row, started: float) -> None:
        self.tokenizer, self.row, self.started = tokenizer, row, started
        self.prompt_ids = tuple(row.prompt_ids if row.plain_ids is None else row.plain_ids)
        self.first = max(0, len(row.ids) - TOKENS_BEFORE)
        self.decoded, self.end = "", self.first  # the text of row.ids[first:end], which ends in a whole character
        self.start = len(self._grow())
        self.newest = self._make()

    def continuation(self) -> Continuation:
        """The newest state; `seconds` is when it was first asked for."""
        if (len(self.row.token_ids), self.row.finish_reason) != (len(self.newest.token_ids), self.newest.finish_reason):
            self.newest = self._make()
        return self.newest

    def _make(self) -> Continuation:
        row = self.row
        text = self._grow()[self.start :]
        if row.finish_reason is None:
            text = text.rstrip(HALF)
        seconds = time.perf_counter() - self.started
        token_ids, logprobs = tuple(row.token_ids), tuple(row.logprobs)
        return Continuation(row.request, self.prompt_ids, token_ids, text, logprobs, row.finish_reason, seconds)

    def _grow(self) -> str:
        ids, context = self.row.ids, max(self.first, self.end - TOKENS_BEFORE)
        known = len(self._decode(ids[context : self.end]))
        whole = self.decoded + self._decode(ids[context:])[known:]
        if not whole.endswith(HALF):
            self.decoded, self.end = whole, len(ids)
        return whole

    def _decode(self, ids: list[int]) -> str:
        return str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
