"""The services that tabs may use, in one NamedTuple of the real classes."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from adapters.decoding.engine import Engine
from adapters.decoding.visitors import Allowance, OneEach
from adapters.discriminators.trainer import DiscriminatorTrainer
from adapters.learned.costs import Costs
from adapters.learned.explorer import Explorer
from adapters.library.library import Library
from adapters.store.adapter_store import Adapter, AdapterStore
from adapters.training.queue import Trainer
from adapters.xray.replay import XRays
from leaderboard.output.publish import Publisher
from leaderboard.prompts import Limits
from leaderboard.runs.runner import Runner
from leaderboard.store.backup import Backup
from leaderboard.store.database import Database


class ModelServices(NamedTuple):
    """Those that use the weights of the base model."""

    engine: Engine
    xrays: XRays
    store: AdapterStore
    library: Library
    explorer: Explorer
    discriminator_trainer: DiscriminatorTrainer


class Services(NamedTuple):
    engine: Engine
    xrays: XRays
    store: AdapterStore
    attributes: Mapping[str, Sequence[str]]  # word lists by name
    base: str  # id of the base model
    num_parameters: int  # of the base model
    runner: Runner
    database: Database
    versions: Mapping[str, str]  # of the libraries
    limits: Limits  # of an upload
    judges: Sequence[str]  # models beside the base that may score
    publisher: Publisher | None  # of runs on the Hub; None: not set up
    discriminator_trainer: DiscriminatorTrainer
    trainer: Trainer
    library: Library
    explorer: Explorer
    costs: Callable[[], Costs | None]  # of each method, where they were measured
    visitors: OneEach
    allowance: Allowance
    space: str | None = None  # owner/name of the Space that this runs in
    backup: Backup | None = None  # of the database
    lasts: bool = True  # the database outlives a restart without a backup

    def adapter(self, name: str | None) -> Adapter | None:
        """The adapter with this name; None if it is not offered."""
        return next((adapter for adapter in self.store.adapters if adapter.name == name), None)

    def names(self, kind: str) -> list[str]:
        """Names of the usable adapters of one kind."""
        return [adapter.name for adapter in self.store.adapters if adapter.kind == kind]

    def attribute_names(self) -> list[str]:
        """Attributes to steer by: our word lists, every class of every discriminator, the other lists."""
        classes = [f"{name}:{label}" for name, head in self.store.discriminators.items() for label in head.classes]
        own, others = ([name for name in self.attributes if ("/" in name) == other] for other in (False, True))
        return [*own, *classes, *others]

    def vector_names(self) -> list[str]:
        """Steering vectors: every class of every discriminator that was trained with them."""
        heads = self.store.discriminators.items()
        return [f"{name}:{label}" for name, head in heads if head.vectors for label in head.classes]
