"""An order to train an adapter, the command that repeats it, and the events of a training."""

import shlex
from collections.abc import Callable, Generator
from dataclasses import fields
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias, TypeVar

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.lora.settings import LoraSettings
from adapters.methods import STRICT
from adapters.prefix.settings import PrefixSettings

QUEUED_HELD_OUT, QUEUED_GENERAL_ROWS = 128, 32  # at most, measured at the end in the app: one core takes minutes
MAX_STEPS = 100_000
SAMPLE_TOKENS = 60
SAMPLED = {"temperature": 0.8, "top_p": 0.95}
KINDS: dict[str, type[Any]] = {"lora": LoraSettings, "prefix": PrefixSettings}
DEFAULT_LR = {"lora": 1e-3, "prefix": 1e-2}
T = TypeVar("T")
R = TypeVar("R")
Telling: TypeAlias = Generator[str, None, R]  # says what it is doing, a line each, and returns a result


@dataclass(frozen=True, config=STRICT)
class TrainSettings:
    """Everything that decides the result, beside the texts."""

    adapter: LoraSettings | PrefixSettings
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 300
    batch_size: Annotated[int, Field(ge=1, le=256)] = 8
    max_length: Annotated[int, Field(ge=8, le=4096)] = 128  # tokens of an example
    lr: Annotated[float, Field(gt=0, le=1)] = 1e-3  # at its highest, after a linear warm-up
    warmup_steps: Annotated[int, Field(ge=0)] = 20
    schedule: Literal["cosine", "linear", "constant"] = "cosine"  # how lr falls to 0 after the warm-up
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    bfloat16: bool = False  # the step's products in bfloat16: faster where the processor has them; measured in float32
    eval_every: Annotated[int, Field(ge=1)] = 25
    eval_examples: Annotated[int, Field(ge=1)] = 48  # validation examples that choose the best step, the same each time
    patience: Annotated[int, Field(ge=0)] = 0  # measurements in a row without a better one that end it; 0: never
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @property
    def kind(self) -> str:
        """A key of KINDS."""
        return "lora" if isinstance(self.adapter, LoraSettings) else "prefix"


class TrainStep(NamedTuple):
    """A training step. `validation_loss` is set where it was measured; `best`: it is the lowest so far."""

    step: int
    loss: float  # nats per scored token of this batch
    validation_loss: float | None
    best: bool
    tokens: int  # so far, without padding
    seconds: float  # since training began


End = Literal["steps", "patience", "stopped", "diverged"]  # why a training ended


class CurvePoint(NamedTuple):
    """A measurement, in nats per scored token."""

    step: int
    loss: float  # mean over the batches since the measurement before
    validation_loss: float


@dataclass(frozen=True, config=STRICT)
class TrainOrder:
    name: str
    settings: TrainSettings
    data: str = ""  # a shipped data set; "": an upload
    epochs: Annotated[float, Field(gt=0, le=1_000)] | None = None  # instead of settings.steps
    validation_share: Annotated[float, Field(gt=0, le=0.5)] = 0.1
    sample_prompt: Annotated[str, Field(max_length=2_000)] = ""  # continued every `sample_every` steps; "": never
    sample_every: Annotated[int, Field(ge=1)] = 50
    report_to: tuple[Literal["tensorboard", "trackio"], ...] = ()
    about: Annotated[str, Field(max_length=1_000)] = ""  # of the data, for the card; "": what is known of the data set
    licence: Annotated[str, Field(max_length=1_000)] = ""


@dataclass(frozen=True, config=STRICT)
class Scores:
    """The scores of one model on the validation rows and on general text."""

    text_perplexity: float  # of the validation tokens, end tokens left out
    perplexity: float  # end tokens included, where the rows have one
    general_perplexity: float  # of text that is never trained on, end tokens left out
    exact_match: float | None  # share of the validation questions answered word for word, greedily


@dataclass(frozen=True, config=STRICT)
class Sample:
    prompt: str
    continuation: str


class StepSample(NamedTuple):
    """A continuation of the sample prompt at a step."""

    step: int
    text: str


class Plan(NamedTuple):
    steps: int
    notes: tuple[str, ...]  # rows cut or left out


class Times(NamedTuple):
    """Seconds of the parts of a training."""

    start: float = 0.0  # of its process
    training: float = 0.0  # steps, validations, samples
    measuring: float = 0.0  # adapter and base model, at the end


Event: TypeAlias = str | Plan | TrainStep | StepSample  # a string says what happens now


def defaults(settings: type[Any]) -> dict[str, Any]:
    """The fields that have a default and are options of the command line, which names the data otherwise."""
    known = int | float | str | tuple | None
    return {f.name: f.default for f in fields(settings) if isinstance(f.default, known) and f.name != "data"}


def measured_rows(order: TrainOrder) -> tuple[int, int]:
    """Held-out rows and rows of general text that the app measures: fewer after a short training, which would wait."""
    read = order.settings.steps * order.settings.batch_size if order.epochs is None else MAX_STEPS
    return min(QUEUED_HELD_OUT, max(8, read // 6)), min(QUEUED_GENERAL_ROWS, max(4, read // 24))


def command_line(order: TrainOrder, file: str) -> str:
    """The command that trains the same; `file` is the upload where the order names no data set."""
    kind = order.settings.kind
    words = ["python", "-m", "adapters", "train", order.name, "--kind", kind, "--data", order.data or file]
    usual = (
        (order.settings, defaults(TrainSettings) | {"lr": DEFAULT_LR[kind]}),
        (order.settings.adapter, defaults(KINDS[kind])),
        (order, defaults(TrainOrder)),
    )
    for values, known in usual:
        for name, default in known.items():
            value = getattr(values, name)
            if value != default:
                words.append(f"--{name.replace('_', '-')}")
                words += [] if value is True else map(str, value if isinstance(value, tuple) else [value])
    return shlex.join(words)


def finish(events: Generator[T, None, R], tell: Callable[[T], object]) -> R:
    """Run a generator to its end, tell each item, return its result."""
    while True:
        try:
            item = next(events)
        except StopIteration as end:
            return end.value
        tell(item)
