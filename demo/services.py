"""What the page needs from the layers below, as plain types.

Knows which calls the tabs make; knows nothing of tensors or of how the calls are answered, so that a test can answer
them by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from adapters.methods import Method, Request, Sampling


class Continuation(Protocol):
    """One row of a running generation (see adapters.engine.Continuation)."""

    @property
    def request(self) -> Request: ...
    @property
    def prompt_ids(self) -> tuple[int, ...]: ...
    @property
    def token_ids(self) -> tuple[int, ...]: ...
    @property
    def text(self) -> str: ...
    @property
    def logprobs(self) -> tuple[float, ...]: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def seconds(self) -> float: ...


class LogLikelihood(Protocol):
    """The score of one text (see adapters.engine.LogLikelihood)."""

    @property
    def logprobs(self) -> tuple[float, ...]: ...


class Engine(Protocol):
    """Continues and scores texts."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Sequence[Continuation]]: ...
    def loglikelihood(
        self, texts: Sequence[tuple[Sequence[int], Sequence[int]]], method: Method
    ) -> Sequence[LogLikelihood]: ...


class Adapter(Protocol):
    """A trained adapter that can be chosen."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def num_parameters(self) -> int: ...
    @property
    def size(self) -> int: ...


class Store(Protocol):
    """The adapters that work with the base model, and why others do not."""

    @property
    def adapters(self) -> Sequence[Adapter]: ...
    @property
    def refused(self) -> Mapping[str, str]: ...


class Services(NamedTuple):
    """Everything that a tab may use."""

    engine: Engine
    store: Store
    attributes: Mapping[str, Sequence[str]]  # word lists by name
    base: str  # id of the base model
    num_parameters: int  # of the base model
    decode: Callable[[Sequence[int]], str]  # token ids -> text
    has_chat: bool  # whether the base model has a chat template

    def adapter(self, name: str | None) -> Adapter | None:
        """The adapter called `name`, if it can be used."""
        return next((adapter for adapter in self.store.adapters if adapter.name == name), None)

    def names(self, kind: str) -> list[str]:
        """Names of the usable adapters of one kind."""
        return [adapter.name for adapter in self.store.adapters if adapter.kind == kind]
