"""Says what an adapter has learned while the engine goes on writing: each forward pass holds its turn."""

from collections.abc import Callable, Generator
from typing import Any, NamedTuple

import orjson

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.learned.prefix_attention import Attention, Virtual, nearest_words, prefix_attention, starting_prefix
from adapters.learned.spectrum import Crop, Update, crop, updates
from adapters.methods import Method, Request, Sampling, UserError
from adapters.prefix.prefix import PrefixKV
from adapters.prefix.settings import PrefixSettings
from adapters.training.card import Report

TOKENS = 24  # written to see their attention


class Watched(NamedTuple):
    """A text written with a prefix, and the attention of its tokens to the prefix."""

    tokens: tuple[str, ...]
    attention: Attention | None  # None while it is being written


class Explorer:
    """What the adapters of one engine have learned; safe to use from several threads."""

    def __init__(self, engine: Engine, report: Callable[[str], Report | None]) -> None:
        """`report` returns the figures of an adapter by name (see adapters.library.library.Library.report)."""
        self._engine, self._report = engine, report
        self._words: dict[str, tuple[PrefixKV, tuple[Virtual, ...]]] = {}

    def updates(self, name: str) -> tuple[Update, ...]:
        """What a LoRA does to each module. Raises UserError for an unknown name."""
        return updates(self._engine.base, self._engine.store.lora(name))

    def crop(self, name: str, path: str) -> Crop:
        """The block of a module that a LoRA changes most. Raises UserError."""
        return crop(self._engine.base, self._engine.store.lora(name), path)

    def words(self, name: str) -> tuple[Virtual, ...]:
        """The words near each virtual token of a prefix; takes seconds and is kept. Raises UserError."""
        prefix = self._engine.store.prefix(name)
        known, words = self._words.get(name, (None, ()))
        if known is not prefix:
            turn = self._engine.turn
            with turn:
                own = self._engine.base.private()
                start = self._start(own, name, prefix)
            words = nearest_words(own, prefix, start, turn)
            self._words[name] = prefix, words
        return words

    def watch(self, name: str, prompt: str) -> Generator[Watched, None, None]:
        """Continue a prompt greedily with a prefix; the last item has the attention. Raises UserError."""
        prefix = self._engine.store.prefix(name)
        request = Request(prompt, Method(name, prefix=name))
        row = None
        for (row,) in self._engine.generate([request], Sampling(temperature=0, max_new_tokens=TOKENS)):
            yield Watched(self._pieces(row.token_ids), None)
        if row is None or row.finish_reason == "diverged":
            raise UserError("The numbers of this text went wrong: try another prompt.")
        with self._engine.turn:
            attention = prefix_attention(self._engine.base.private(), prefix, row.prompt_ids, row.token_ids)
        yield Watched(self._pieces(row.token_ids), attention)

    def as_json(self, name: str) -> bytes:
        """Everything known of an adapter without a prompt, as a JSON file. Raises UserError."""
        adapter = self._engine.store.find(name)
        found = self.updates(name) if adapter.kind == "lora" else self.words(name)
        data = {"name": name, "kind": adapter.kind, "base": adapter.base, "learned": found}
        return orjson.dumps(data, option=orjson.OPT_INDENT_2, default=as_fields)

    def _pieces(self, ids: tuple[int, ...]) -> tuple[str, ...]:
        return tuple(str(self._engine.base.tokenizer.decode([token])) for token in ids)

    def _start(self, own: BaseModel, name: str, prefix: PrefixKV) -> PrefixKV | None:
        """The prefix before training; None where it began at random or is unknown. Hold the turn."""
        report = self._report(name)
        settings = report.settings.adapter if report is not None else None
        if report is None or not isinstance(settings, PrefixSettings) or not settings.init_text:
            return None
        if settings.num_virtual_tokens != prefix.shape[3]:  # figures of another prefix came with this one
            return None
        return starting_prefix(own, settings, report.settings.seed)


def as_fields(part: Any) -> dict[str, Any]:
    """The fields of a NamedTuple, with the figures derived from them."""
    fields: dict[str, Any] = part._asdict()
    if isinstance(part, Update):
        fields |= {"relative": part.relative, "effective_rank": part.effective_rank}
    return fields
