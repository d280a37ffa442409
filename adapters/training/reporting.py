"""Sends the steps of a training to other tools: tensorboard and trackio, which are installed by whoever wants them.

Knows these two libraries, which are imported only when they are asked for; knows nothing of how a step came about.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from adapters.methods import UserError
from adapters.training.loop import TrainStep

LIBRARIES = {"tensorboard": ("torch.utils.tensorboard", "tensorboard"), "trackio": ("trackio", "trackio")}
Tell = Callable[[TrainStep], None]


@contextmanager
def report_to(tools: Sequence[str], folder: Path, settings: dict[str, Any]) -> Iterator[Tell]:
    """A function that tells every tool of a step. Raises UserError for one that is not installed."""
    with ExitStack() as opened:
        tells = [opened.enter_context(TOOLS[tool](folder, settings)) for tool in tools]

        def tell(step: TrainStep) -> None:
            for each in tells:
                each(step)

        yield tell


def check_tools(tools: Sequence[str]) -> None:
    """Raises UserError for a tool that is not installed."""
    for tool in tools:
        imported(*LIBRARIES[tool])


def figures(step: TrainStep) -> dict[str, float]:
    """What is told of a step, under the names that it has in the tools."""
    found = {"train/loss": step.loss, "train/tokens": float(step.tokens)}
    return found if step.validation_loss is None else found | {"eval/loss": step.validation_loss}


def imported(module: str, package: str) -> Any:
    """A library that may be missing. Raises UserError."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UserError(
            f"{package} is not installed: run `pip install {package}`, or train without it in report_to."
        ) from error


@contextmanager
def tensorboard(folder: Path, settings: dict[str, Any]) -> Iterator[Tell]:
    """Writes events into the folder."""
    writer = imported(*LIBRARIES["tensorboard"]).SummaryWriter(str(folder))
    try:
        writer.add_text("settings", str(settings))

        def tell(step: TrainStep) -> None:
            for figure, value in figures(step).items():
                writer.add_scalar(figure, value, step.step)

        yield tell
    finally:
        writer.close()


@contextmanager
def trackio(folder: Path, settings: dict[str, Any]) -> Iterator[Tell]:
    """Logs to where trackio keeps its records (TRACKIO_DIR), as a run called like the folder."""
    library = imported(*LIBRARIES["trackio"])
    library.init(project="steerboard", name=folder.name, config=settings)
    try:
        yield lambda step: library.log(figures(step), step=step.step)
    finally:
        library.finish()


TOOLS = {"tensorboard": tensorboard, "trackio": trackio}
