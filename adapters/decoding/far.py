"""A model that runs in another process, which a platform lends for one call at a time.

Calls of services go there and come back as plain data: texts as what is new of them. Where the model is, the services
are made at the first call of a process, so that no lock is held over a fork; what was trained or imported since is
offered there before each call. Knows nothing of the platform.
"""

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from inspect import isgeneratorfunction
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from adapters.decoding.text import Continuation
from adapters.methods import Method, UserError

ROWS_A_PASS = 64  # that cost hardly more than one
BACKWARD = 2  # forward passes that a backward pass costs
START_SECONDS, PASS_SECONDS = 5.0, 0.04  # to bring the weights, and of a pass: guesses, mended by what calls take
MARGIN = 1.5  # times the expected seconds are asked for
LEAST_PASSES = 50  # of a text that teaches its pace

Reply = tuple[str, Any]  # "step", "end" or "refused", and plain data
Check = Callable[..., int]  # takes a call's arguments, returns its forward passes; raises UserError


class Task(NamedTuple):
    """A call of a service, as plain data."""

    service: str
    method: str
    arguments: tuple[Any, ...]
    seconds: int  # that it may take
    offered: Mapping[Path, str]  # folders of adapters and discriminators, with the hashes of their weights


class Growth(NamedTuple):
    """What is new of a continuation: `kept` tokens stay, these follow."""

    kept: int
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    rest: dict[str, Any]  # the other fields that change


def growth(before: Continuation, after: Continuation) -> Growth:
    pairs = zip(before.token_ids, after.token_ids, strict=False)
    kept = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    fixed = {"request", "prompt_ids", "token_ids", "logprobs"}
    rest = {name: value for name, value in after._asdict().items() if name not in fixed}
    return Growth(kept, after.token_ids[kept:], after.logprobs[kept:], rest)


def grown(before: Continuation, new: Growth) -> Continuation:
    token_ids, logprobs = (*before.token_ids[: new.kept], *new.token_ids), (*before.logprobs[: new.kept], *new.logprobs)
    return before._replace(token_ids=token_ids, logprobs=logprobs, **new.rest)


class Worker:
    """Runs tasks where the model is, one at a time."""

    def __init__(self, make: Callable[[], Mapping[str, Any]]) -> None:
        """`make` makes the services by name; `store` and `engine` are among them."""
        self._make = make
        self._services: Mapping[str, Any] | None = None

    def run(self, task: Task) -> Generator[Reply, None, None]:
        """The replies of a task. An error that a person can mend is one, since a platform may lose its message."""
        if self._services is None:
            self._services = self._make()
        try:
            self._services["store"].follow(task.offered)
            found = getattr(self._services[task.service], task.method)(*task.arguments)
            if isinstance(found, Generator):
                found = yield from (self._packed if task.service == "engine" else steps)(found)
            yield "end", found
        except UserError as error:
            yield "refused", str(error)

    def _packed(self, states: Generator[list[Continuation], None, None]) -> Generator[Reply, None, None]:
        """The first state as a whole, then what is new of each; with the memory in use."""
        assert self._services is not None
        engine, before = self._services["engine"], None
        engine.forget_peak()
        for _, state in steps(states):
            new = state if before is None else [growth(*pair) for pair in zip(before, state, strict=True)]
            before = state
            yield "step", (engine.memory(), new)


def steps(found: Generator[Any, None, Any]) -> Generator[Reply, None, Any]:
    """The steps of a generator as replies; returns its value, and closes it however this ends."""
    try:
        while True:
            yield "step", next(found)
    except StopIteration as end:
        return end.value
    finally:
        found.close()


class Far:
    """Calls of the services of a Worker. Safe to use from several threads, as far as the platform is."""

    def __init__(self, run: Callable[[Task], Generator[Reply, None, None]], offered: Callable[[], Mapping[Path, str]]):
        """`run` is the platform's, which hands a task to `Worker.run`."""
        self._run, self._offered = run, offered
        self.memory = 0  # bytes in use at the newest step of a text
        self._pace = 1.0  # seconds that calls took, per expected second

    def seconds(self, passes: int) -> int:
        """Seconds that are asked for so many forward passes."""
        return round(START_SECONDS + MARGIN * self._pace * PASS_SECONDS * passes)

    def texts(self, method: str, passes: int, *arguments: Any) -> Generator[list[Continuation], None, None]:
        """The states of texts that the engine there writes. Raises UserError."""
        state: list[Continuation] = []
        began = None  # the wait for a GPU is no part of it
        with closing(self.steps("engine", method, self.seconds(passes), *arguments)) as found:
            for memory, new in found:
                began, self.memory = began or time.monotonic(), memory
                state = [grown(*pair) for pair in zip(state, new, strict=True)] if state else new
                yield state
        if began and passes > LEAST_PASSES:
            self._pace = (self._pace + (time.monotonic() - began) / (PASS_SECONDS * passes)) / 2

    def call(self, service: str, method: str, seconds: int, *arguments: Any) -> Any:
        """The value of a call without steps. Raises UserError."""
        found = self.steps(service, method, seconds, *arguments)
        try:
            while True:
                next(found)
        except StopIteration as end:
            return end.value

    def steps(self, service: str, method: str, seconds: int, *arguments: Any) -> Generator[Any, None, Any]:
        """The steps of a call; returns its value. Closing it cancels the call. Raises UserError."""
        with closing(self._run(Task(service, method, arguments, seconds, self._offered()))) as replies:
            for kind, value in replies:
                if kind == "refused":
                    raise UserError(value)
                if kind == "end":
                    return value
                yield value


class FarService:
    """A service, some of whose methods run in a Worker after a check here."""

    def __init__(self, far: Far, name: str, near: Any, checks: Mapping[str, Check]) -> None:
        """`checks` has the methods that run there."""
        self._far, self._name, self._near, self._checks = far, name, near, checks

    def __getattr__(self, method: str) -> Any:
        if method not in self._checks:
            return getattr(self._near, method)

        def call(*arguments: Any) -> Any:
            seconds = self._far.seconds(self._checks[method](*arguments))
            run = self._far.steps if isgeneratorfunction(getattr(self._near, method)) else self._far.call
            return run(self._name, method, seconds, *arguments)

        return call


def passes(methods: Sequence[Method]) -> int:
    """Forward passes that a token of all these rows takes, at most."""
    found, rows = 1, 0
    for method in methods:
        steering = method.steering
        rows += method.rows
        if steering is not None:
            found = max(found, 2 + (1 + BACKWARD) * steering.num_iterations * (1 + steering.horizon_length))
    return found * -(-rows // ROWS_A_PASS)
