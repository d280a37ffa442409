"""A finished comparison as JSON, and the board that shows one.

The texts in the panes, a shared link and an example are all such records. The version is for links of older releases.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from adapters.decoding.text import Continuation
from adapters.methods import Attribute, Method, Request, Sampling, UserError, from_json, to_json, weighted_word
from demo.compare import words
from demo.compare.board import Board, Figures, PaneView, Record
from demo.parts.links import is_id
from demo.parts.numbers import Marker, Span, departure, if_finite, marker, spans
from demo.parts.words import NOTHING_HERE, kinds
from demo.services import Services
from demo.xray.run import Text
from leaderboard.metrics.distinct import distinct

VERSION = 1


class Comparison(NamedTuple):
    record: Record
    texts: dict[int, Text]  # by place, as those of `board`
    sampling: Sampling
    board: Board


def make_record(
    services: Services, rows: Mapping[int, Continuation], panes: Mapping[int, PaneView], sampling: Sampling
) -> Record:
    """The record of these texts and their figures, by place."""
    requests = [row.request for row in rows.values()]
    return {
        "version": VERSION,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "base": services.base,
        "hashes": dict(services.runner.hashes.named([request.method for request in requests])),
        "versions": dict(services.versions),
        "prompt": requests[0].prompt,
        "chat": requests[0].chat,
        "seed": requests[0].seed,
        "sampling": to_json(sampling),
        "panes": [pane_record(place, row, panes[place].figures) for place, row in rows.items()],
    }


def pane_record(place: int, row: Continuation, figures: Figures | None) -> Record:
    """One pane of a record; NaN and infinity become null, because not every database can keep them."""
    return {
        "place": place,
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


def read_record(services: Services, record: Record) -> Comparison:
    """A comparison from its record. Raises UserError if a newer release made it."""
    if record["version"] > VERSION:
        raise UserError(words.NEWER)
    # panes of earlier releases have no place: they stood side by side
    panes = {pane.get("place", index): pane for index, pane in enumerate(record["panes"])}
    methods = {place: from_json(Method, pane["method"]) for place, pane in panes.items()}
    lists = topic_lists(services, list(methods.values()))
    base = next((panes[place]["text"] for place, method in methods.items() if is_base(method)), None)
    texts, views = {}, {}
    for place, pane in panes.items():
        request = Request(record["prompt"], methods[place], record["seed"], record["chat"])
        texts[place] = Text(request, tuple(pane["token_ids"]), pane["finish_reason"] == "diverged")
        views[place] = recorded_view(request, pane, marker(lists), base)
    board = Board(views, topics=tuple(lists), record=record)
    return Comparison(record, texts, from_json(Sampling, record["sampling"]), board)


def recorded_view(request: Request, pane: Record, marked: Marker | None, base: str | None) -> PaneView:
    """The view of a stored text, and where it departs from the base's text, if there is one."""
    text, method = pane["text"], request.method
    compared = base is not None and not is_base(method)
    departs = departure(text, base or "") if compared else (0, 0)
    pieces = spans(asked(request), text, marked, departs)
    view = pane_view(method, pieces, stored_figures(pane), pane["finish_reason"])
    return view._replace(note=words.same_as_base(method)) if compared and text == base and not view.note else view


def asked(request: Request) -> str:
    """The prompt as it stands before the text; an answer in chat begins in a paragraph of its own."""
    return f"{request.prompt}\n\n" if request.chat else request.prompt


def stored_figures(pane: Record) -> Figures:
    """The figures of a stored pane; distinct-2 is counted again, because older releases defined it differently."""
    figures = Figures(**{"tokens": len(pane["token_ids"])} | pane["figures"])
    return figures._replace(distinct_2=if_finite(distinct([pane["text"]], 2)))


def pane_view(method: Method, pieces: Sequence[Span], figures: Figures, reason: str | None) -> PaneView:
    """The view of a text that ended for this reason; None while it grows."""
    status = words.finished(reason, figures.tokens) if reason else words.WRITING if figures.tokens else words.WAITING
    note, wrong = (words.DIVERGED, True) if reason == "diverged" else ("", False)
    return PaneView(method, status, tuple(pieces), figures, note, wrong, running=reason is None)


def is_base(method: Method) -> bool:
    return kinds(method) == ["base"]


def topic_lists(services: Services, methods: Sequence[Method]) -> dict[str, set[str]]:
    """The words of every list that one of the methods steers by or asks for, by its name; a discriminator has none."""
    lists: dict[str, set[str]] = {}
    asked_for = [Attribute(method.ask.name) for method in methods if method.ask and not method.ask.text]
    for attribute in [*(one for method in methods for one in method.attributes), *asked_for]:
        if known := attribute.words or services.attributes.get(attribute.name, ()):
            lists.setdefault(attribute.name, set()).update(weighted_word(word)[0] for word in known)
    return lists
