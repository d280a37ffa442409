"""Makes a discriminator: from labelled rows to a folder with its card."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from adapters.adapter_files import new_folder, write_owner
from adapters.base_model import ALONE, BaseModel, Turn
from adapters.cards import machine, render, write_report
from adapters.discriminators.labelled import Labelled
from adapters.pplm.discriminator import DiscriminatorReport, write_discriminator
from adapters.training.order import Telling


class Order(NamedTuple):
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
