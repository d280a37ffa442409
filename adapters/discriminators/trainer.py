"""Trains discriminators for visitors, in turns with the engine; each is then offered."""

from collections.abc import Sequence
from pathlib import Path

from adapters.adapter_files import read_report
from adapters.decoding.engine import Engine
from adapters.discriminators.labelled import Labelled
from adapters.discriminators.maker import Order, make_discriminator
from adapters.pplm.discriminator import DiscriminatorReport
from adapters.training.corpus import UNKNOWN
from adapters.training.order import Telling

PASSES_A_ROW = 3  # its features, its states at the layer of the vectors, and a part of the fit


class DiscriminatorTrainer:
    """Trains discriminators for the engine's base model, in turns with the engine."""

    def __init__(self, engine: Engine, home: Path, own: Path) -> None:
        self._engine, self._home, self._own = engine, home, own

    def make(self, order: Order, rows: Sequence[Labelled]) -> Telling[DiscriminatorReport]:
        """Write the folder of a discriminator; yield what it is doing. Raises UserError."""
        engine = self._engine
        if engine.far is not None:
            seconds = engine.far.seconds(PASSES_A_ROW * len(rows))
            return (yield from engine.far.steps("discriminator_trainer", "make", seconds, order, list(rows)))
        return (yield from make_discriminator(engine.base, rows, order, self._home, self._own, engine.turn))

    def train(self, name: str, rows: Sequence[Labelled], owner: str | None = None) -> Telling[DiscriminatorReport]:
        """Train a discriminator for visitors, offered when this ends; yield what it is doing.

        Its name is reserved until then. Raises UserError. Closing it early, or an error, leaves nothing behind.
        """
        store = self._engine.store
        command = f"python -m adapters train discriminator {name} --data FILE"
        order = Order(name, "rows uploaded in the app", UNKNOWN, command, owner)
        with store.reserve(name):
            report = yield from self.make(order, rows)
            store.offer(self._own / name)
        return report

    def report(self, name: str) -> DiscriminatorReport | None:
        """Figures of a discriminator, None where its folder has none. Raises UserError for damaged ones."""
        self._engine.store.discriminator(name)
        return read_report(self._engine.store.folder(name), DiscriminatorReport)
