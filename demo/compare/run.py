"""Comparison, parity check, replay and API call as generators of boards; closing one cancels its work."""

import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from adapters.decoding.likelihood import perplexity_of
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Method, Request, Sampling, UserError, effect_off
from demo.compare import words
from demo.compare.board import Board, Figures, PaneView
from demo.compare.form import Form, read_form
from demo.compare.record import Comparison, asked, make_record, pane_view, read_record, topic_lists
from demo.parts.numbers import Marker, if_finite, marker, spans
from demo.parts.running import PaneErrors, begin, changed, closed_at_end, only, told
from demo.parts.words import in_line, replayed
from demo.services import Services
from leaderboard.metrics.distinct import distinct

Steps = Iterator[Sequence[Continuation]]  # of the engine; closing it cancels


def compare(services: Services, form: Form, board: Board, visitor: str | None = None) -> Iterator[Board]:
    """Continue the prompt in every pane; yield a board whenever something visible has changed."""
    boards = only(services, visitor, write(services, form, board))
    return told(boards, board, lambda last, error: last.stop().refuse(error))


def write(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """The boards of a comparison. Raises UserError."""
    requests, sampling, errors = read_form(form)
    try:
        steps = start(services, requests, sampling)
    except PaneErrors as error:  # the other panes go on
        errors = errors | error.notes
        requests = {place: request for place, request in requests.items() if place not in errors}
        steps = start(services, requests, sampling)
    old = {place: board.panes[place]._replace(status=words.CHANGED) for place in errors if place in board.panes}
    waiting = {place: PaneView(request.method, words.WAITING, running=True) for place, request in requests.items()}
    topics = tuple(topic_lists(services, [request.method for request in requests.values()]))
    started = Board(old | waiting, words.MEND_SOME if errors else "", bool(errors), True, errors, topics)
    yield started
    for rows, panes in watch(services, requests, steps):
        wait = next(iter(rows.values())).wait
        line = in_line(*wait) if wait else started.message
        yield replace(started, panes=old | panes, message=line, seconds_left=seconds_left(rows.values(), sampling))
    record = make_record(services, rows, panes, sampling)
    yield replace(started, panes=old | read_record(services, record).board.panes, running=False, record=record)


def seconds_left(rows: Iterable[Continuation], sampling: Sampling) -> float | None:
    """How long the slowest text takes to its longest end at its speed so far; None before its first token."""
    growing = [row for row in rows if row.finish_reason is None]
    if not all(row.token_ids for row in growing):
        return None
    missing = [row.seconds * (sampling.max_new_tokens / len(row.token_ids) - 1) for row in growing]
    return max(missing, default=0.0)


def compare_as_json(
    services: Services, methods: Sequence[Method], request: Request, sampling: Sampling
) -> Iterator[list[dict[str, Any]]]:
    """Continue the request's prompt by every method; yield the rows as JSON after each token. Raises UserError."""
    requests = {place: request._replace(method=method) for place, method in enumerate(methods)}
    for rows, views in watch(services, requests, start(services, requests, sampling)):
        yield [
            {"method": row.request.method.name, "text": row.text, "finish_reason": row.finish_reason}
            | (views[place].figures or Figures(0))._asdict()
            for place, row in rows.items()
        ]


def start(services: Services, requests: dict[int, Request], sampling: Sampling) -> Steps:
    """Start the engine. Raises UserError, or PaneErrors if only some of the panes are at fault."""
    try:
        return begin(services, services.engine.compare, list(requests.values()), sampling)
    except UserError as error:
        notes = {place: why for place, request in requests.items() if (why := refusal(services, request, sampling))}
        if 0 < len(notes) < len(requests):
            raise PaneErrors(notes) from error
        raise


def refusal(services: Services, request: Request, sampling: Sampling) -> str | None:
    """Why the engine refuses this one request; None if it does not."""
    try:
        services.engine.check(request, sampling.max_new_tokens)
        return None
    except UserError as error:
        return str(error)


def watch(
    services: Services, requests: dict[int, Request], steps: Steps
) -> Iterator[tuple[dict[int, Continuation], dict[int, PaneView]]]:
    """The continuations and the views of their panes, whenever a row has a new token, or its place in the line."""
    marked = marker(topic_lists(services, [request.method for request in requests.values()]))
    seen: dict[int, tuple[Any, ...]] = {}
    views: dict[int, PaneView] = {}
    with closed_at_end(steps):
        for continuations in steps:
            rows = dict(zip(requests, continuations, strict=True))
            states = {n: (row.token_ids, row.finish_reason, row.wait and row.wait.ahead) for n, row in rows.items()}
            if new := {place: row for place, row in rows.items() if states[place] != seen.get(place)}:
                views = views | {place: view(row, marked) for place, row in new.items()}
                seen = states
                yield rows, views


def view(row: Continuation, marked: Marker | None) -> PaneView:
    tokens, scored = len(row.token_ids), row.base_logprobs
    figures = Figures(
        tokens,
        tokens / row.seconds if tokens and row.seconds > 0 else None,
        None if scored is None else if_finite(perplexity_of(math.fsum(scored), len(scored))),
        if_finite(distinct([row.text], 2)),
        len(marked.find(row.text)) if marked else None,
    )
    return pane_view(row.request.method, spans(asked(row.request), row.text, marked), figures, row.finish_reason)


def check_parity(services: Services, form: Form, board: Board, visitor: str | None = None) -> Iterator[Board]:
    """Run every pane with its effect off beside the base; the last board has the verdict on each text."""
    panes = {place: pane._replace(note="", is_error=False) for place, pane in board.panes.items()}
    clean = Board(panes, topics=board.topics, record=board.record)
    return told(only(services, visitor, parity_boards(services, form, clean)), clean, Board.refuse)


def parity_boards(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """The boards of a parity check. Raises UserError."""
    requests, sampling, errors = read_form(form)
    if errors:
        raise PaneErrors(errors)
    off = [request._replace(method=effect_off(request.method)) for request in requests.values()]
    rows = yield from rewrite(services, [off[0]._replace(method=BASE), *off], sampling, board, words.CHECKING)
    base, *others = rows
    panes = dict(board.panes)
    for (place, request), ids in zip(requests.items(), others, strict=True):
        note = words.PARITY_BASE
        if request.method != BASE:
            note = verdict(services, ids, base, words.PARITY_EQUAL, words.PARITY_DIFFERS)
        panes[place] = panes.get(place, PaneView(request.method))._replace(note=note)
    equal = sum(ids == base for ids in others)
    yield Board(panes, words.CHECKED.format(equal=equal, all=len(others)), topics=board.topics, record=board.record)


def verdict(services: Services, mine: Sequence[int], other: Sequence[int], equal: str, differs: str) -> str:
    """`equal` for equal token ids, else `differs` with the number of the first that differs and what each has there."""
    if tuple(mine) == tuple(other):
        return equal
    unequal = (i for i, (one, two) in enumerate(zip(mine, other, strict=False)) if one != two)
    index = next(unequal, min(len(mine), len(other)))
    pieces, decode = (list(ids[index : index + 1]) for ids in (mine, other)), services.engine.base.tokenizer.decode
    return differs.format(index + 1, *(f"“{decode(piece)}”" if piece else words.THE_END for piece in pieces))


def replay(services: Services, comparison: Comparison) -> Iterator[Board]:
    """Write every text again; the last board says which are identical and what has changed since. Raises UserError."""
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


def rewrite(
    services: Services, requests: Sequence[Request], sampling: Sampling, board: Board, line: str
) -> Generator[Board, None, list[tuple[int, ...]]]:
    """Write texts without showing them; yield the board with a line of progress, and return their token ids."""
    rows: Sequence[Continuation] = ()
    with closed_at_end(begin(services, services.engine.generate, requests, sampling)) as steps:
        for rows in steps:
            done = min(len(row.token_ids) for row in rows)
            message = line.format(done=done, most=sampling.max_new_tokens)
            if message != board.message:
                board = replace(board, message=message, is_error=False, running=True)
                yield board
    return [row.token_ids for row in rows]
