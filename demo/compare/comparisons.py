"""Kept comparisons: made into a record, read from one, and written again.

Knows boards, requests and JSON; knows nothing of Gradio or SQL. A record carries its version, so that a link outlives
the release that made it.
"""

import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adapters.decoding.text import Continuation
from adapters.methods import Method, Request, Sampling, UserError, from_json, to_json
from demo.compare import words
from demo.compare.board import Board, Figures, Outcome
from demo.compare.run import attribute_words, pane_view, rewrite, verdict
from demo.parts.links import is_id
from demo.parts.numbers import if_finite, spans, word_pattern
from demo.parts.running import changed, told
from demo.parts.words import CANNOT_REPLAY, NOTHING_HERE, replayed
from demo.services import Services
from demo.xray.run import Text
from leaderboard.metrics.distinct import distinct

VERSION = 1


class Comparison(NamedTuple):
    """A comparison read from its record."""

    record: Mapping[str, Any]
    texts: dict[int, Text]  # by place, as those of `board`
    sampling: Sampling
    board: Board


def make_record(services: Services, board: Board, outcome: Outcome) -> dict[str, Any]:
    """A finished comparison as JSON."""
    requests = [row.request for row in outcome.rows.values()]
    first = requests[0]
    return {
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": services.base,
        "hashes": dict(services.runner.hashes.named([request.method for request in requests])),
        "versions": dict(services.versions),
        "prompt": first.prompt,
        "chat": first.chat,
        "seed": first.seed,
        "sampling": to_json(outcome.sampling),
        "panes": [pane_record(row, board.panes[place].figures) for place, row in outcome.rows.items()],
    }


def pane_record(row: Continuation, figures: Figures | None) -> dict[str, Any]:
    """One pane of a record; NaN and infinity become null, because not every database can keep them."""
    return {
        "method": to_json(row.request.method),
        "text": row.text,
        "token_ids": list(row.token_ids),
        "logprobs": [logprob if math.isfinite(logprob) else None for logprob in row.logprobs],
        "finish_reason": row.finish_reason,
        "figures": {} if figures is None else figures._asdict(),
    }


def find_comparison(services: Services, id: Any) -> Comparison:
    """The comparison with this id. Raises UserError if there is none, or if a newer release made it."""
    record = services.database.comparison(id) if is_id(id) else None
    if record is None:
        raise UserError(NOTHING_HERE)
    return read_record(services, record)


def read_record(services: Services, record: Mapping[str, Any]) -> Comparison:
    """A comparison from its record. Raises UserError if a newer release made it."""
    if record["version"] > VERSION:
        raise UserError(words.NEWER)
    panes = record["panes"]
    methods = [from_json(Method, pane["method"]) for pane in panes]
    pattern = word_pattern(attribute_words(services, methods))
    texts, views = {}, {}
    for place, (method, pane) in enumerate(zip(methods, panes, strict=True)):
        request, reason = Request(record["prompt"], method, record["seed"], record["chat"]), pane["finish_reason"]
        texts[place] = Text(request, tuple(pane["token_ids"]), reason == "diverged")
        pieces = spans(request.prompt, pane["text"], pattern)
        views[place] = pane_view(method, pieces, stored_figures(pane), reason)
    return Comparison(record, texts, from_json(Sampling, record["sampling"]), Board(views))


def stored_figures(pane: Mapping[str, Any]) -> Figures:
    """The figures of a stored pane; distinct-2 is counted again, because older releases defined it differently."""
    figures = Figures(**{"tokens": len(pane["token_ids"])} | pane["figures"])
    return figures._replace(distinct_2=if_finite(distinct([pane["text"]], 2)))


def replay(services: Services, comparison: Comparison) -> Iterator[Board]:
    """Write every text again; the last board says which are identical and what has changed since."""

    def refuse(_: Board, error: UserError) -> Board:
        return comparison.board.refuse(UserError(CANNOT_REPLAY.format(reason=error)))

    return told(replay_boards(services, comparison), comparison.board, refuse)


def replay_boards(services: Services, comparison: Comparison) -> Iterator[Board]:
    """The boards of a replay. Raises UserError."""
    requests = [text.request for text in comparison.texts.values()]
    now = yield from rewrite(services, requests, comparison.sampling, comparison.board, words.REPLAYING)
    panes = {}
    for mine, (place, then) in zip(now, comparison.texts.items(), strict=True):
        note = verdict(services, mine, then.token_ids, words.REPLAY_EQUAL, words.REPLAY_DIFFERS)
        panes[place] = comparison.board.panes[place]._replace(note=note, is_error=False)
    equal = sum(view.note == words.REPLAY_EQUAL for view in panes.values())
    methods = [request.method for request in requests]
    changes = changed(services, methods, comparison.record["hashes"], comparison.record["versions"])
    yield Board(panes, " ".join([replayed(equal, len(panes)), *changes]))


def texts_of_board(board: Board) -> dict[int, Text]:
    """The finished texts in the panes, by their place."""
    rows = board.outcome.rows if board.outcome else {}
    return {place: Text(row.request, row.token_ids, row.finish_reason == "diverged") for place, row in rows.items()}
