"""Streams that end with their reader and tell their errors, and what has changed since a text was written."""

import logging
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from adapters.decoding.engine import Continuations
from adapters.decoding.visitors import TOKENS
from adapters.methods import Method, Request, Sampling, UserError
from demo.parts.words import CANNOT_REPLAY, CHANGED_SINCE, MEND_PANES, SERVER_ERROR
from demo.services import Services
from leaderboard.records import PromptSet, RunSpec

T = TypeVar("T")


class PaneErrors(UserError):
    """Errors of single panes, one line each by their place."""

    def __init__(self, notes: dict[int, str]) -> None:
        super().__init__(MEND_PANES)
        self.notes = notes


@contextmanager
def closed_at_end(steps: Iterator[T]) -> Iterator[Iterator[T]]:
    """Close a generator when its reader ends, however it ends: that cancels the work at once."""
    try:
        yield steps
    finally:
        if isinstance(steps, Generator):
            steps.close()


def told(steps: Iterator[T], last: T, refuse: Callable[[T, UserError], T]) -> Iterator[T]:
    """The steps; an error becomes one more step, made from the last one (from `last` if it is the first)."""
    with closed_at_end(steps):
        try:
            for last in steps:
                yield last
        except Exception as error:
            yield refuse(last, as_user_error(error))


def only(services: Services, visitor: str | None, steps: Iterator[T]) -> Iterator[T]:
    """The steps, as the only comparison of a visitor. Raises UserError."""
    with services.visitors.hold(visitor), closed_at_end(steps):
        yield from steps


def begin(
    services: Services,
    write: Callable[[Sequence[Request], Sampling], Continuations],
    requests: Sequence[Request],
    sampling: Sampling,
) -> Continuations:
    """Begin texts by a method of the engine; they count towards the visitor's hour. Raises UserError; then not."""
    with services.allowance.spend(TOKENS, work([request.method for request in requests], sampling)):
        return write(requests, sampling)


def work(methods: Sequence[Method], sampling: Sampling) -> int:
    """Tokens of a text by each method, at most; a steered one counts for each of its passes through the model."""
    passes = sum(m.rows * (1 + 2 * (m.steering.num_iterations if m.steering else 0)) for m in methods)
    return sampling.max_new_tokens * passes


def work_of_run(spec: RunSpec, prompts: PromptSet) -> int:
    return work(spec.written, spec.sampling) * spec.samples * len(prompts.prompts)


def as_user_error(error: Exception) -> UserError:
    """The error itself if a person can mend it; else SERVER_ERROR, and the log has the exception."""
    if isinstance(error, UserError):
        return error
    logging.error("An event of the page failed", exc_info=error)
    return UserError(SERVER_ERROR)


@contextmanager
def replaying() -> Iterator[None]:
    """Say of an error that it prevents the replay."""
    try:
        yield
    except Exception as error:
        raise UserError(CANNOT_REPLAY.format(reason=as_user_error(error))) from error


def changed(
    services: Services, methods: Sequence[Method], hashes: Mapping[str, str], versions: Mapping[str, str]
) -> list[str]:
    """One sentence that names the models, adapters, word lists and libraries that have changed; none if none has."""
    now = services.runner.hashes.named(methods)
    parts = [name for name, value in hashes.items() if now.get(name) != value]
    parts += [
        f"{name} {old} → {services.versions.get(name, '–')}"
        for name, old in versions.items()
        if services.versions.get(name) != old
    ]
    return [CHANGED_SINCE.format(what=", ".join(parts))] if parts else []
