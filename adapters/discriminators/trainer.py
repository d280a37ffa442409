"""Trains discriminators: from labelled rows to a folder with its card, which is then offered."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.adapter_files import new_folder, read_report, write_owner
from adapters.base_model import ALONE, BaseModel, Turn
from adapters.cards import machine, render, write_report
from adapters.decoding.engine import Engine
from adapters.discriminators.discriminator_card import DiscriminatorReport
from adapters.discriminators.labelled import Labelled
from adapters.pplm.discriminator import write_discriminator
from adapters.training.corpus import UNKNOWN
from adapters.training.order import Telling

PASSES_A_ROW = 2  # its features, and a part of the fit


class Order(NamedTuple):
    """Name of a discriminator, and what its card says of its data."""

    name: str
    about: str
    licence: str
    command: str  # that makes it again
    owner: str | None = None  # who may delete it in the app


def make_discriminator(
    base: BaseModel, rows: Sequence[Labelled], order: Order, home: Path, out: Path, turn: Turn = ALONE
) -> Telling[DiscriminatorReport]:
    """Train and measure, then write a folder into `out`; yield what it is doing. Raises UserError."""
    from adapters.discriminators.fit import train_discriminator  # scikit-learn takes a second

    discriminator, measured = yield from train_discriminator(base, rows, home / "features", turn)
    report = DiscriminatorReport(order.name, base.id, order.about, order.licence, order.command, machine(), measured)
    with new_folder(out / order.name) as made:
        write_discriminator(discriminator, base, made)
        write_report(report, render("discriminator", base.id, report=report), made)
        write_owner(made, order.owner)
    return report


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
