"""The text of a row as it grows.

A token is decoded with those before it, since its text can depend on them: a character may have several tokens, and
some tokenizers leave out a leading blank. Only what follows the newest whole character is decoded again.
"""

import time
from typing import NamedTuple

from adapters.base_model import BaseModel
from adapters.decoding.row import Row
from adapters.methods import Request

TOKENS_BEFORE = 8  # that are decoded together with new ones
HALF = "\ufffd"  # stands for a character with bytes still to come


class Continuation(NamedTuple):
    """What one request has become so far."""

    request: Request
    prompt_ids: tuple[int, ...]
    token_ids: tuple[int, ...]  # the end token included
    text: str  # without special tokens
    logprobs: tuple[float, ...]  # of each token, in nats, under the method without its steering
    finish_reason: str | None  # None while running, then "eos", "length" or "diverged"
    seconds: float  # from the start of the call to the newest token


class Text:
    """The text of a row."""

    def __init__(self, base: BaseModel, row: Row, started: float) -> None:
        self.base, self.row, self.started = base, row, started
        self.prompt_ids = tuple(row.prompt_ids)
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
        """The text of row.ids[first:]."""
        ids, context = self.row.ids, max(self.first, self.end - TOKENS_BEFORE)
        known = len(self._decode(ids[context : self.end]))
        whole = self.decoded + self._decode(ids[context:])[known:]
        if not whole.endswith(HALF):
            self.decoded, self.end = whole, len(ids)
        return whole

    def _decode(self, ids: list[int]) -> str:
        return str(self.base.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
