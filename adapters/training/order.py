"""An order to train an adapter, the command line that repeats it, and what a training says on its way.

Knows settings and arguments; knows nothing of models or files.
"""

import shlex
from dataclasses import fields
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.lora.lora import LoraSettings
from adapters.methods import STRICT
from adapters.prefix.prefix import PrefixSettings

GENERAL_ROWS = 128  # rows of general text that are measured at the end
QUEUED_GENERAL_ROWS, QUEUED_HELD_OUT = 32, 128  # fewer in the app: one core measures 128 rows in minutes
KINDS: dict[str, type[Any]] = {"lora": LoraSettings, "prefix": PrefixSettings}
DEFAULT_LR = {"lora": 1e-3, "prefix": 1e-2}
OF_ORDER = ("epochs", "validation_share", "sample_prompt", "sample_every", "report_to", "about", "licence")


@dataclass(frozen=True, config=STRICT)
class TrainSettings:
    """Everything that, with the texts, decides what comes out."""

    adapter: LoraSettings | PrefixSettings
    steps: Annotated[int, Field(ge=1, le=100_000)] = 300
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


class TrainStep(NamedTuple):
    """What a step did; `validation_loss` is there when it was measured, `best` says that it is the lowest so far."""

    step: int
    loss: float  # nats per scored token of this batch
    validation_loss: float | None
    best: bool
    tokens: int  # read so far, without padding
    seconds: float  # since training began


End = Literal["steps", "patience", "stopped", "diverged"]  # why a training ended


class CurvePoint(NamedTuple):
    """A measurement, in nats per scored token."""

    step: int
    loss: float  # mean over the batches since the measurement before
    validation_loss: float


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
    about: Annotated[str, Field(max_length=1_000)] = ""  # of the data, for the card; "": what is known of the data set
    licence: Annotated[str, Field(max_length=1_000)] = ""


class StepSample(NamedTuple):
    """What the adapter writes at a step."""

    step: int
    text: str


class Plan(NamedTuple):
    """What is going to be done."""

    steps: int
    notes: tuple[str, ...]  # what was cut or left out of the rows


Event: TypeAlias = str | Plan | TrainStep | StepSample  # a string says what is being done


def defaults(settings: type[Any]) -> dict[str, Any]:
    """The fields of a settings class that have a default."""
    return {f.name: f.default for f in fields(settings) if isinstance(f.default, int | float | str | tuple)}


def command_line(order: TrainOrder, file: str) -> str:
    """The line that trains the same; `file` is what was uploaded where the order names no data set."""
    kind = "lora" if isinstance(order.settings.adapter, LoraSettings) else "prefix"
    words = ["python", "-m", "adapters", "train", order.name, "--kind", kind, "--data", order.data or file]
    usual: dict[Any, dict[str, Any]] = {
        order.settings: defaults(TrainSettings) | {"lr": DEFAULT_LR[kind]},
        order.settings.adapter: defaults(KINDS[kind]),
        order: {name: field.default for name, field in TrainOrder.__dataclass_fields__.items() if name in OF_ORDER},
    }
    for values, known in usual.items():
        for name, default in known.items():
            value = getattr(values, name)
            if value != default:
                words.append(f"--{name.replace('_', '-')}")
                words += [] if value is True else map(str, value if isinstance(value, tuple) else [value])
    return shlex.join(words)
