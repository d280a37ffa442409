"""Runs of the engine as generators of boards: a comparison, a parity check, and a call through the API.

Knows methods, continuations and boards; knows nothing of Gradio. Closing a generator cancels its work.
"""

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from adapters.decoding.engine import Continuation
from adapters.decoding.likelihood import perplexity_of
from adapters.methods import BASE, Method, Request, Sampling, UserError, effect_off, weighted_word
from demo.compare.form import Form, read_form
from demo.parts import words as text
from demo.parts.board import Board, Figures, Outcome, PaneErrors, PaneView
from demo.parts.numbers import ATTRIBUTE, if_finite, spans, word_pattern
from demo.parts.running import closed_at_end, first_difference
from demo.services import Services
from leaderboard.metrics.distinct import distinct

T = TypeVar("T")


class Job(NamedTuple):
    """A checked comparison that has been started."""

    requests: dict[int, Request]
    sampling: Sampling
    pattern: re.Pattern[str] | None  # attribute words of all panes
    rows: Iterator[Sequence[Continuation]]  # closing it cancels


def compare(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """Continues the prompt in every pane; yields a board whenever something visible has changed."""
    try:
        job, errors = start_sound(services, *read_form(form))
        before = {place: board.panes[place]._replace(status=text.CHANGED) for place in errors if place in board.panes}
        waiting = {
            place: PaneView(request.method, text.WAITING, running=True) for place, request in job.requests.items()
        }
        started = Board(before | waiting, text.MEND_SOME if errors else "", bool(errors), running=True, errors=errors)
        board = started
        yield board
        rows: Sequence[Continuation] = ()
        for continuations, panes in watch(services, job):
            rows = continuations
            if before | panes != board.panes:
                board = replace(started, panes=before | panes)
                yield board
        yield replace(board, running=False, outcome=Outcome(job.requests, job.sampling, rows))
    except UserError as error:
        yield board.stop().refuse(error)
    except Exception:
        yield board.stop().refuse(UserError(text.SERVER_ERROR))
        raise


def compare_as_json(
    services: Services, methods: Sequence[Method], request: Request, sampling: Sampling
) -> Iterator[list[dict[str, Any]]]:
    """Continues the request's prompt by every method; yields the rows as JSON after each token. Raises UserError."""
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
    """Starts the engine. Raises UserError, or PaneErrors where only some of the panes are at fault."""
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
    """Starts those panes that the engine takes; returns what is wrong with the others too. Raises UserError."""
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
    """The continuations of a job, and what its panes show of them, after each step of the engine."""
    scores: dict[int, float | None] = {}
    with closed_at_end(job.rows):
        for continuations in job.rows:
            rows = dict(zip(job.requests, continuations, strict=True))
            scores |= score(services, rows, scores)
            yield continuations, {place: view(row, job.pattern, scores.get(place)) for place, row in rows.items()}


def attribute_words(services: Services, methods: Sequence[Method]) -> set[str]:
    """The words of every list that one of the methods steers by; a discriminator has none."""
    attributes = [attribute for method in methods if method.steering for attribute in method.steering.attributes]
    lists = [attribute.words or services.attributes.get(attribute.name, ()) for attribute in attributes]
    return {weighted_word(word)[0] for words in lists for word in words}


def is_base_row(method: Method) -> bool:
    """Whether a row's own log-probabilities are the base model's, because nothing is added to its clean row."""
    return method.lora is None and method.prefix is None


def score(services: Services, rows: dict[int, Continuation], known: Collection[int]) -> dict[int, float | None]:
    """Perplexity under the base of each newly finished row whose own log-probabilities are not the base's."""
    new = {
        place: row
        for place, row in rows.items()
        if place not in known and row.finish_reason and row.token_ids and not is_base_row(row.request.method)
    }
    if not new:
        return {}
    results = services.engine.loglikelihood([(row.prompt_ids, row.token_ids) for row in new.values()], BASE)
    return {place: perplexity(result.logprobs) for place, result in zip(new, results, strict=True)}


def perplexity(logprobs: Sequence[float]) -> float | None:
    """Perplexity of a text; None where it has no value."""
    return if_finite(perplexity_of(math.fsum(logprobs), len(logprobs)))


def view(row: Continuation, pattern: re.Pattern[str] | None, scored: float | None) -> PaneView:
    """What a pane shows of its continuation; `scored` is its perplexity if its clean row is not the base's."""
    method, tokens = row.request.method, len(row.token_ids)
    pieces = spans(row.request.prompt, row.text, pattern)
    figures = Figures(
        tokens,
        tokens / row.seconds if tokens and row.seconds > 0 else None,
        perplexity(row.logprobs) if is_base_row(method) else scored,
        if_finite(distinct([row.text], 2)),
        sum(mark == ATTRIBUTE for _, mark in pieces) if pattern else None,
    )
    status = text.FINISHED[row.finish_reason] if row.finish_reason else text.WRITING if tokens else text.WAITING
    wrong = row.finish_reason == "diverged"
    note = text.DIVERGED if wrong else ""
    return PaneView(method, status, tuple(pieces), figures, note, is_error=wrong, running=row.finish_reason is None)


def check_parity(services: Services, form: Form, board: Board) -> Iterator[Board]:
    """Runs every pane with its effect off beside the base; the last board says whether the texts are the base's."""
    panes = {place: pane._replace(note="", is_error=False) for place, pane in board.panes.items()}
    board = Board(panes, outcome=board.outcome)
    try:
        requests, sampling, errors = read_form(form)
        if errors:
            raise PaneErrors(errors)
        neutral = [request._replace(method=effect_off(request.method)) for request in requests.values()]
        base = neutral[0]._replace(method=BASE)
        rows: Sequence[Continuation] = ()
        with closed_at_end(services.engine.generate([base, *neutral], sampling)) as steps:
            for rows in steps:
                done = min(len(row.token_ids) for row in rows)
                message = text.CHECKING.format(done=done, most=sampling.max_new_tokens)
                if message != board.message:
                    board = replace(board, message=message, running=True)
                    yield board
        yield parity_board(services, board, requests, rows)
    except UserError as error:
        yield board.refuse(error)
    except Exception:
        yield board.refuse(UserError(text.SERVER_ERROR))
        raise


def parity_board(services: Services, board: Board, requests: dict[int, Request], rows: Sequence[Continuation]) -> Board:
    """The verdict of a parity check: rows holds the base first, then every pane with its effect off."""
    base, *others = (row.token_ids for row in rows)
    panes = dict(board.panes)
    for (place, request), ids in zip(requests.items(), others, strict=True):
        panes[place] = panes.get(place, PaneView(request.method))._replace(
            note=text.PARITY_BASE if request.method == BASE else parity(services, base, ids)
        )
    equal = sum(ids == base for ids in others)
    return Board(panes, text.CHECKED.format(equal=equal, all=len(others)), outcome=board.outcome)


def parity(services: Services, base: Sequence[int], mine: Sequence[int]) -> str:
    """Whether two texts are the same, or the first token that differs."""
    difference = first_difference(services, mine, base)
    if difference is None:
        return text.PARITY_EQUAL.format(tokens=text.count(len(base), "token"))
    return text.PARITY_DIFFERS.format(number=difference.number, mine=difference.mine, base=difference.other)
