"""Comparisons that are kept: made into a record, read from one, and written again.

Knows boards, requests and JSON; knows nothing of Gradio or SQL. A record carries its version, so that a link outlives
the release that made it.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adapters.decoding.engine import Continuation
from adapters.methods import Method, Request, Sampling, UserError, from_json, to_json
from demo.compare.run import attribute_words
from demo.parts import words as text
from demo.parts.board import Board, Figures, Outcome, PaneView
from demo.parts.links import is_id
from demo.parts.numbers import if_finite, spans, word_pattern
from demo.parts.running import changed, closed_at_end, first_difference
from demo.services import Services
from demo.xray.run import Text
from leaderboard.metrics.distinct import distinct

VERSION = 1


class Comparison(NamedTuple):
    """A comparison read from its record."""

    created: str  # ISO 8601, UTC
    base: str
    hashes: Mapping[str, str]
    versions: Mapping[str, str]
    requests: dict[int, Request]
    sampling: Sampling
    token_ids: Sequence[tuple[int, ...]]  # by place
    board: Board


def make_record(services: Services, board: Board, outcome: Outcome) -> dict[str, Any]:
    """Everything that a finished comparison is, as JSON."""
    requests = list(outcome.requests.values())
    first = requests[0]
    return {
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": services.base,
        "hashes": dict(services.fingerprints.named([request.method for request in requests])),
        "versions": dict(services.versions),
        "prompt": first.prompt,
        "chat": first.chat,
        "seed": first.seed,
        "sampling": to_json(outcome.sampling),
        "panes": [
            pane_record(row, board.panes[place].figures)
            for place, row in zip(outcome.requests, outcome.rows, strict=True)
        ],
    }


def pane_record(row: Continuation, figures: Figures | None) -> dict[str, Any]:
    """One pane of a record; what is not a number is null, for not every database can keep it."""
    return {
        "method": to_json(row.request.method),
        "text": row.text,
        "token_ids": list(row.token_ids),
        "logprobs": [logprob if math.isfinite(logprob) else None for logprob in row.logprobs],
        "finish_reason": row.finish_reason,
        "figures": {} if figures is None else figures._asdict(),
    }


def find_comparison(services: Services, id: Any) -> Comparison:
    """The comparison with this id. Raises UserError where there is none, or a newer release has made it."""
    record = services.database.comparison(id) if is_id(id) else None
    if record is None:
        raise UserError(text.NOTHING_HERE)
    return read_record(services, record)


def read_record(services: Services, record: Mapping[str, Any]) -> Comparison:
    """A comparison from its record. Raises UserError where a newer release has made it."""
    if record["version"] > VERSION:
        raise UserError(text.NEWER)
    panes = record["panes"]
    methods = [from_json(Method, pane["method"]) for pane in panes]
    pattern = word_pattern(attribute_words(services, methods))
    requests = [Request(record["prompt"], method, record["seed"], record["chat"]) for method in methods]
    views = [
        PaneView(
            request.method,
            text.FINISHED[pane["finish_reason"]],
            tuple(spans(request.prompt, pane["text"], pattern)),
            stored_figures(pane),
            text.DIVERGED if pane["finish_reason"] == "diverged" else "",
            is_error=pane["finish_reason"] == "diverged",
        )
        for request, pane in zip(requests, panes, strict=True)
    ]
    return Comparison(
        record["created"],
        record["base"],
        record["hashes"],
        record["versions"],
        dict(enumerate(requests)),
        from_json(Sampling, record["sampling"]),
        [tuple(pane["token_ids"]) for pane in panes],
        Board(dict(enumerate(views))),
    )


def stored_figures(pane: Mapping[str, Any]) -> Figures:
    """The figures of a stored pane; distinct-2 is counted again, since older releases counted it otherwise."""
    figures = Figures(**{"tokens": len(pane["token_ids"])} | pane["figures"])
    return figures._replace(distinct_2=if_finite(distinct([pane["text"]], 2)))


def replay(services: Services, comparison: Comparison) -> Iterator[Board]:
    """Writes every text again; the last board says which are identical and what has changed since."""
    board = comparison.board
    try:
        rows: Sequence[Continuation] = ()
        requests = list(comparison.requests.values())
        with closed_at_end(services.engine.generate(requests, comparison.sampling)) as steps:
            for rows in steps:
                done = min(len(row.token_ids) for row in rows)
                message = text.REPLAYING.format(done=done, most=comparison.sampling.max_new_tokens)
                if message != board.message:
                    board = replace(board, message=message, running=True)
                    yield board
        yield verdict(services, comparison, [row.token_ids for row in rows])
    except UserError as error:
        yield comparison.board.refuse(UserError(text.CANNOT_REPLAY.format(reason=error)))
    except Exception:
        yield comparison.board.refuse(UserError(text.SERVER_ERROR))
        raise


def verdict(services: Services, comparison: Comparison, now: Sequence[Sequence[int]]) -> Board:
    """What a replay has found: pane by pane, and in one line."""
    panes, equal = dict(comparison.board.panes), 0
    for place, (mine, then) in enumerate(zip(now, comparison.token_ids, strict=True)):
        difference = first_difference(services, mine, then)
        equal += difference is None
        note = text.REPLAY_EQUAL.format(tokens=text.count(len(then), "token"))
        if difference is not None:
            note = text.REPLAY_DIFFERS.format(number=difference.number, now=difference.mine, then=difference.other)
        panes[place] = panes[place]._replace(note=note, is_error=False)
    methods = [request.method for request in comparison.requests.values()]
    changes = changed(services, methods, comparison.hashes, comparison.versions)
    return Board(panes, " ".join([text.replayed(equal, len(panes)), *changes]))


def texts_of_comparison(comparison: Comparison) -> dict[int, Text]:
    """The texts of a kept comparison, by their place."""
    return {
        place: Text(request, ids, comparison.board.panes[place].status == text.FINISHED["diverged"])
        for (place, request), ids in zip(comparison.requests.items(), comparison.token_ids, strict=True)
    }
