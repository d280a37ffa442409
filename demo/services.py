"""What the page needs from the layers below, as plain types.

Knows which calls the tabs make; knows nothing of tensors or of how the calls are answered, so that a test can answer
them by itself.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from adapters.discriminators.labelled import Labelled
from adapters.methods import Method, Request, Sampling
from adapters.xray.trace import NextTokens, Scored, XRay
from demo.adapter_services import Library, Trainer
from demo.learned_services import Explorer, MethodCosts
from leaderboard.prompts import Limits
from leaderboard.records import PromptSet, Run, RunData, RunSpec, Sample
from leaderboard.tables.table import Results


class Continuation(Protocol):
    """One row of a running generation (see adapters.decoding.engine.Continuation)."""

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
    """The score of one text (see adapters.decoding.likelihood.LogLikelihood)."""

    @property
    def logprobs(self) -> tuple[float, ...]: ...


class Engine(Protocol):
    """Continues and scores texts."""

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Sequence[Continuation]]: ...
    def loglikelihood(
        self, texts: Sequence[tuple[Sequence[int], Sequence[int]]], method: Method
    ) -> Sequence[LogLikelihood]: ...


class XRays(Protocol):
    """Looks at how texts come about (see adapters.xray.replay.XRays)."""

    def text(self, request: Request, token_ids: Sequence[int], words: Sequence[str] = ()) -> Iterator[XRay]: ...
    def next_tokens(self, requests: Sequence[Request]) -> Iterator[Sequence[NextTokens]]: ...
    def scores(
        self, requests: Sequence[Request], texts: Sequence[Sequence[int]], models: Sequence[Method]
    ) -> Iterator[Sequence[Scored]]: ...


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


class Discriminator(Protocol):
    """A linear head that tells classes of texts apart."""

    @property
    def classes(self) -> Sequence[str]: ...


class Store(Protocol):
    """The adapters that work with the base model, and why others do not."""

    @property
    def adapters(self) -> Sequence[Adapter]: ...
    @property
    def discriminators(self) -> Mapping[str, Discriminator]: ...
    @property
    def refused(self) -> Mapping[str, str]: ...


class Split(Protocol):
    """A word of a list, as the tokenizer splits it (see adapters.pplm.bags.Split)."""

    @property
    def word(self) -> str: ...
    @property
    def weight(self) -> float: ...
    @property
    def pieces(self) -> Sequence[str]: ...
    @property
    def counts(self) -> Sequence[bool]: ...
    @property
    def problem(self) -> str: ...


class Accuracy(Protocol):
    """Share of held-out texts that are told right, with its interval (see adapters.discriminators.fit.Accuracy)."""

    @property
    def rows(self) -> int: ...
    @property
    def share(self) -> float: ...
    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


class Measured(Protocol):
    """What is known of a trained discriminator (see adapters.discriminators.fit.Measured)."""

    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def training_rows(self) -> int: ...
    @property
    def held_out_rows(self) -> int: ...
    @property
    def largest_class(self) -> float: ...
    @property
    def confusion(self) -> Sequence[Sequence[int]]: ...
    @property
    def curve(self) -> Sequence[Accuracy]: ...
    @property
    def accuracy(self) -> Accuracy: ...
    @property
    def enough(self) -> int: ...


class Report(Protocol):
    """The figures of a discriminator and what its data was (see adapters.discriminators.discriminator_card)."""

    @property
    def about(self) -> str: ...
    @property
    def measured(self) -> Measured: ...


class DiscriminatorTrainer(Protocol):
    """Trains discriminators and knows what was measured of them."""

    def train(self, name: str, rows: Sequence[Labelled], owner: str | None) -> Iterator[str]: ...
    def report(self, name: str) -> Report | None: ...


class Fingerprints(Protocol):
    """Hashes of what determines a text."""

    def named(self, methods: Sequence[Method]) -> Mapping[str, str]: ...


class Estimate(Protocol):
    """What a run is going to take (see leaderboard.runs.runner.Estimate)."""

    @property
    def num_texts(self) -> int: ...
    @property
    def num_tokens(self) -> int: ...
    @property
    def num_known(self) -> int: ...
    @property
    def seconds(self) -> float: ...


class Progress(Protocol):
    """How far a run is (see leaderboard.runs.runner.Progress)."""

    @property
    def phase(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def seconds_left(self) -> float | None: ...
    @property
    def samples(self) -> Sequence[Sample]: ...


class Replay(Protocol):
    """How far a replay is, and which texts differ so far (see leaderboard.runs.runner.Replay)."""

    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def differences(self) -> Sequence[tuple[str, int, int, int]]: ...


class Runner(Protocol):
    """Generates and scores runs."""

    def __hash__(self) -> int: ...
    def estimate(self, spec: RunSpec, prompts: PromptSet) -> Estimate: ...
    def add(self, spec: RunSpec, prompts: PromptSet, owner: str | None) -> Run: ...
    def run(self, run_id: str) -> Iterator[Progress]: ...
    def results(self, run_id: str) -> Results: ...
    def data(self, run_id: str) -> RunData: ...
    def delete(self, run_id: str, owner: str | None) -> bool: ...
    def replay(self, run_id: str) -> Iterator[Replay]: ...


class RunLine(Protocol):
    """A run in a list (see leaderboard.store.database.RunLine)."""

    @property
    def id(self) -> str: ...
    @property
    def created(self) -> datetime: ...
    @property
    def name(self) -> str: ...
    @property
    def num_prompts(self) -> int: ...
    @property
    def methods(self) -> Sequence[str]: ...
    @property
    def status(self) -> str: ...
    @property
    def owner(self) -> str | None: ...


class Database(Protocol):
    """Runs and shared comparisons."""

    def run(self, id: str) -> Run | None: ...
    def runs(self, owner: str | None) -> Sequence[RunLine]: ...
    def add_comparison(self, record: Mapping[str, Any], owner: str) -> str: ...
    def comparison(self, id: str) -> dict[str, Any] | None: ...
    def owns_comparison(self, id: str, owner: str) -> bool: ...
    def delete_comparison(self, id: str, owner: str) -> bool: ...


class Services(NamedTuple):
    """Everything that a tab may use."""

    engine: Engine
    xrays: XRays
    store: Store
    attributes: Mapping[str, Sequence[str]]  # word lists by name
    base: str  # id of the base model
    num_parameters: int  # of the base model
    decode: Callable[[Sequence[int]], str]  # token ids -> text
    has_chat: bool  # whether the base model has a chat template
    runner: Runner
    database: Database
    fingerprints: Fingerprints
    versions: Mapping[str, str]  # of the libraries
    limits: Limits  # of an upload
    judges: Sequence[str]  # models beside the base that may score
    publish: Callable[[RunData, Results], str] | None  # to the Hub, returns the address; None: not set up
    splits: Callable[[Sequence[str]], Sequence[Split]]  # words -> how the tokenizer splits them
    discriminator_trainer: DiscriminatorTrainer
    trainer: Trainer
    library: Library
    explorer: Explorer
    costs: MethodCosts

    def adapter(self, name: str | None) -> Adapter | None:
        """The adapter called `name`, if it can be used."""
        return next((adapter for adapter in self.store.adapters if adapter.name == name), None)

    def names(self, kind: str) -> list[str]:
        """Names of the usable adapters of one kind."""
        return [adapter.name for adapter in self.store.adapters if adapter.kind == kind]

    def attribute_names(self) -> list[str]:
        """What can be steered by: the project's word lists, every class of every discriminator, the other lists."""
        classes = [f"{name}:{label}" for name, head in self.store.discriminators.items() for label in head.classes]
        own, others = ([name for name in self.attributes if ("/" in name) == other] for other in (False, True))
        return [*own, *classes, *others]
