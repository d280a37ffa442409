"""Runs of the engine as generators of boards: a comparison, a parity check, and a call through the API.

Knows methods, continuations and boards; knows nothing of Gradio. Closing a generator cancels its work.
"""

import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.decoding.likelihood import perplexity_of
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Method, Request, Sampling, UserError, effect_off, weighted_word
from demo.compare import words
from demo.compare.board import Board, Figures, Outcome, PaneErrors, PaneView
from demo.compare.form import Form, read_form
from demo.parts.numbers import ATTRIBUTE, if_finite, spans, word_pattern
from demo.parts.running import closed_at_end, first_difference, told
from demo.services import Services
from leaderboard.metrics.distinct import distinct


class Job(NamedTuple):
    """A checked comparison that has been started."""

    requests: dict[int, Request]
    sampling: Sampling
    pattern: re.Pattern[str] | None  # attribute words of all panes
    rows: Iterator[Sequence[Continuation]]  # closing it cancels


def compare(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """Continue the prompt in every pane; yield a board whenever something visible has changed."""
    return told(write(services, form, board), board, lambda last, error: last.stop().refuse(error))


def write(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """The boards of a comparison. Raises UserError."""
    job, errors = start_sound(services, *read_form(form))
    old = {place: board.panes[place]._replace(status=words.CHANGED) for place in errors if place in board.panes}
    waiting = {place: PaneView(request.method, words.WAITING, running=True) for place, request in job.requests.items()}
    started = Board(old | waiting, words.MEND_SOME if errors else "", bool(errors), running=True, errors=errors)
    board = started
    yield board
    rows: Sequence[Continuation] = ()
    for continuations, panes in watch(services, job):
        rows = continuations
        if old | panes != board.panes:
            board = replace(started, panes=old | panes)
            yield board
    yield replace(board, running=False, outcome=Outcome(job.requests, job.sampling, rows))


def compare_as_json(
    services: Services, methods: Sequence[Method], request: Request, sampling: Sampling
) -> Iterator[list[dict[str, Any]]]:
    """Continue the request's prompt by every method; yield the rows as JSON after each token. Raises UserError."""
    job = start(services, {place: request._replace(method=method) for place, method in enumerate(methods)}, sampling)
    done = -1
    for rows, views in watch(services, job):
        if (tokens := sum(len(row.token_ids) for row in rows)) != done or all(row.finish_reason for row in rows):
            done = tokens
            yield [as_json(row, views[place]) for place, row in enumerate(rows)]


def as_json(row: Continuation, view: PaneView) -> dict[str, Any]:
    """One row of a comparison as JSON."""
    figures = view.figures._asdict() if view.figures else {}
    return {"method": row.request.method.name, "text": row.text, "finish_reason": row.finish_reason, **figures}


def start(services: Services, requests: dict[int, Request], sampling: Sampling) -> Job:
    """Start the engine. Raises UserError, or PaneErrors if only some of the panes are at fault."""
    pattern = word_pattern(attribute_words(services, [request.method for request in requests.values()]))
    try:
        return Job(requests, sampling, pattern, services.engine.generate(list(requests.values()), sampling))
    except UserError as error:
        notes = {place: why for place, request in requests.items() if (why := refusal(services, request, sampling))}
        if 0 < len(notes) < len(requests):
            raise PaneErrors(notes) from error
        raise


def start_sound(
    services: Services, requests: dict[int, Request], sampling: Sampling, errors: dict[int, str]
) -> tuple[Job, dict[int, str]]:
    """Start the panes that the engine accepts; return the errors of the others too. Raises UserError."""
    try:
        return start(services, requests, sampling), errors
    except PaneErrors as error:
        sound = {place: request for place, request in requests.items() if place not in error.notes}
        return start(services, sound, sampling), errors | error.notes


def refusal(services: Services, request: Request, sampling: Sampling) -> str | None:
    """Why the engine refuses this one request; None if it does not."""
    try:
        with closed_at_end(services.engine.generate([request], sampling)):
            return None
    except UserError as error:
        return str(error)


def watch(services: Services, job: Job) -> Iterator[tuple[Sequence[Continuation], dict[int, PaneView]]]:
    """The continuations of a job and the views of its panes, after each step of the engine.

    Only the views of rows with a new token, or that have just ended, are made again.
    """
    seen: dict[int, tuple[Any, ...]] = {}
    views: dict[int, PaneView] = {}
    with closed_at_end(job.rows):
        for continuations in job.rows:
            rows = dict(zip(job.requests, continuations, strict=True))
            states = {place: (row.token_ids, row.finish_reason) for place, row in rows.items()}
            new = {place: row for place, row in rows.items() if states[place] != seen.get(place)}
            scores = score(services, new)
            views = views | {place: view(row, job.pattern, scores.get(place)) for place, row in new.items()}
            seen = states
            yield continuations, views


def attribute_words(services: Services, methods: Sequence[Method]) -> set[str]:
    """The words of every list that one of the methods steers by; a discriminator has none."""
    attributes = [attribute for method in methods if method.steering for attribute in method.steering.attributes]
    lists = [attribute.words or services.attributes.get(attribute.name, ()) for attribute in attributes]
    return {weighted_word(word)[0] for known in lists for word in known}


def score(services: Services, rows: Mapping[int, Continuation]) -> dict[int, float | None]:
    """Perplexity under the base model, as far as it is known.

    A row without LoRA and prefix has the base model's own log-probabilities; the others are scored once finished.
    """
    plain = {
        place for place, row in rows.items() if row.request.method.lora is None and row.request.method.prefix is None
    }
    others = {place: row for place, row in rows.items() if place not in plain and row.finish_reason and row.token_ids}
    texts = [(row.prompt_ids, row.token_ids) for row in others.values()]
    found = services.engine.loglikelihood(texts, BASE) if texts else []
    return {place: perplexity(rows[place].logprobs) for place in plain} | {
        place: perplexity(result.logprobs) for place, result in zip(others, found, strict=True)
    }


def perplexity(logprobs: Sequence[float]) -> float | None:
    """Perplexity of log-probabilities; None for no tokens or overflowed numbers."""
    return if_finite(perplexity_of(math.fsum(logprobs), len(logprobs)))


def view(row: Continuation, pattern: re.Pattern[str] | None, scored: float | None) -> PaneView:
    """The view of a continuation; `scored` is its perplexity under the base model."""
    tokens, reason = len(row.token_ids), row.finish_reason
    pieces = spans(row.request.prompt, row.text, pattern)
    figures = Figures(
        tokens,
        tokens / row.seconds if tokens and row.seconds > 0 else None,
        scored,
        if_finite(distinct([row.text], 2)),
        sum(mark == ATTRIBUTE for _, mark in pieces) if pattern else None,
    )
    status = words.finished(reason, tokens) if reason else words.WRITING if tokens else words.WAITING
    wrong = reason == "diverged"
    note = words.DIVERGED if wrong else ""
    return PaneView(row.request.method, status, tuple(pieces), figures, note, is_error=wrong, running=reason is None)


def check_parity(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """Run every pane with its effect off beside the base; the last board has the verdict on each text."""
    panes = {place: pane._replace(note="", is_error=False) for place, pane in board.panes.items()}
    clean = Board(panes, outcome=board.outcome)
    return told(parity_boards(services, form, clean), clean, Board.refuse)


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
        note = words.PARITY_BASE if request.method == BASE else parity(services, base, ids)
        panes[place] = panes.get(place, PaneView(request.method))._replace(note=note)
    equal = sum(ids == base for ids in others)
    yield Board(panes, words.CHECKED.format(equal=equal, all=len(others)), outcome=board.outcome)


def parity(services: Services, base: Sequence[int], mine: Sequence[int]) -> str:
    """Whether two texts are the same, or the first token that differs."""
    difference = first_difference(services, mine, base)
    if difference is None:
        return words.PARITY_EQUAL
    return words.PARITY_DIFFERS.format(number=difference.number, mine=difference.mine, base=difference.other)


def rewrite(
    services: Services, requests: Sequence[Request], sampling: Sampling, board: Board, line: str
) -> Generator[Board, None, list[tuple[int, ...]]]:
    """Write texts without showing them; yield the board with a line of progress, and return their token ids."""
    rows: Sequence[Continuation] = ()
    with closed_at_end(services.engine.generate(requests, sampling)) as steps:
        for rows in steps:
            done = min(len(row.token_ids) for row in rows)
            message = line.format(done=done, most=sampling.max_new_tokens)
            if message != board.message:
                board = replace(board, message=message, is_error=False, running=True)
                yield board
    return [row.token_ids for row in rows]
