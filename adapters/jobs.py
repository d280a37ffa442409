"""Training jobs: one at a time in a process of its own, in a queue that outlives tabs, crashes and the app.

Knows orders, queues and folders; knows nothing of gradients (adapters.training) or of pages.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.base_model import BaseModel
from adapters.methods import STRICT
from adapters.store import AdapterStore
from adapters.training import TrainSettings, TrainStep

State = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True, config=STRICT)
class TrainOrder:
    """What to train, on what, and what to be told meanwhile."""

    name: str
    settings: TrainSettings
    data: str = ""  # a shipped data set; "" where a file was uploaded
    epochs: Annotated[float, Field(gt=0, le=1_000)] | None = None  # instead of settings.steps
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    sample_prompt: Annotated[str, Field(max_length=2_000)] = ""  # continued every `sample_every` steps; "": never
    sample_every: Annotated[int, Field(ge=1)] = 50
    report_to: tuple[Literal["tensorboard", "trackio"], ...] = ()


class Estimate(NamedTuple):
    """What a training will take, before it is started."""

    trainable: int
    share: float  # of all parameters, the adapter's included
    num_bytes: int  # of memory that the training process will need
    seconds: float  # on this machine
    training_examples: int
    validation_examples: int
    steps: int
    notes: tuple[str, ...]  # what was cut or left out, and where the estimate comes from


class StepSample(NamedTuple):
    """What the adapter writes at a step."""

    step: int
    text: str


class JobView(NamedTuple):
    """A job as it stands now."""

    id: str
    order: TrainOrder
    owner: str | None
    state: State
    place: int  # in the queue; 0: its turn
    message: str  # one line: what it is doing, or why it ended
    steps: tuple[TrainStep, ...]
    samples: tuple[StepSample, ...]
    total: int  # steps
    tokens_per_second: float | None
    seconds_left: float | None


class Trainer:
    """Trains adapters for `base`, which is only asked for its id, shapes and tokenizer: each job loads its own copy."""

    def __init__(self, base: BaseModel, home: Path, store: AdapterStore) -> None:
        """Goes on with the jobs of `home` that were not finished."""
        self._base, self._home, self._store = base, home, store

    def estimate(self, order: TrainOrder, file: Path | None) -> Estimate:
        """What the order will take; `file` is what was uploaded. Raises UserError."""
        raise NotImplementedError

    def start(self, order: TrainOrder, file: Path | None, owner: str | None) -> str:
        """Queues the order and returns the job's id; the file is copied. Raises UserError."""
        raise NotImplementedError

    def jobs(self) -> tuple[JobView, ...]:
        """All jobs, newest first."""
        raise NotImplementedError

    def watch(self, id: str) -> Iterator[JobView]:
        """The job whenever something has changed; ends when it has ended. Raises UserError for an unknown id."""
        raise NotImplementedError

    def stop(self, id: str, owner: str | None) -> None:
        """Ends a job of this owner: what was best is kept and finished. Raises UserError."""
        raise NotImplementedError

    def modules(self) -> tuple[str, ...]:
        """Names that `target_modules` may use."""
        raise NotImplementedError
