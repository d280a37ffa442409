"""The measured cost of each method, as frozen data and as the rows of a table."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.methods import BASE, STRICT

LORA, PREFIX, FULL, MERGED = "LoRA", "prefix", "full fine-tuning", "merged LoRA"
COLUMNS = ["method", "parameters trained", "kept, MB"]
COLUMNS += ["memory to train, MB", "of full", "a step, s", "of full", "a token, of base"]
Count = Annotated[int, Field(ge=0)]


@dataclass(frozen=True, config=STRICT)
class Cost:
    """One method. None: it has no training, or no decoding, of its own."""

    name: str
    trained: Count | None  # parameters
    num_bytes: Count  # kept beside the base model, in float32
    memory: int | None = None  # bytes of training beyond the loaded model
    step_seconds: float | None = None  # median of a training step
    token_seconds: float | None = None  # median of a new token of one row


@dataclass(frozen=True, config=STRICT)
class Costs:
    """All methods of one run."""

    base: str
    num_parameters: Count
    device: str
    dtype: str
    machine: str
    measured: str  # when, in UTC
    rank: Count  # of the LoRA
    virtual: Count  # tokens of the prefix
    batch: Count  # texts in a step
    tokens: Count  # of each
    decoded: Count  # new tokens in a round
    rounds: Count
    methods: tuple[Cost, ...]

    def of(self, name: str) -> Cost:
        return next(cost for cost in self.methods if cost.name == name)


def rows(costs: Costs) -> list[list[str]]:
    """The table, a row a method, its cells as in COLUMNS; ratios are within the run."""
    full, base = costs.of(FULL), costs.of(BASE.name)
    return [
        [
            cost.name,
            "as the LoRA" if cost.trained is None else f"{cost.trained:,}",
            f"{cost.num_bytes / 1e6:,.1f}",
            ratio(cost.memory, 1e6, ",.0f"),
            ratio(cost.memory, full.memory),
            ratio(cost.step_seconds, 1),
            ratio(cost.step_seconds, full.step_seconds),
            ratio(cost.token_seconds, base.token_seconds),
        ]
        for cost in costs.methods
    ]


def ratio(value: float | None, of: float | None, spec: str = ".2f") -> str:
    """`value` as a multiple of `of`; empty where one is missing."""
    return "" if value is None or not of else format(value / of, spec)


def about(costs: Costs) -> str:
    """One line about the measurement."""
    clock = "processor time of one thread" if costs.device == "cpu" else "by the clock"
    return (
        f"{costs.base} ({costs.num_parameters:,} parameters, {costs.dtype} on {costs.device}), {costs.machine}, "
        f"{costs.measured} UTC. LoRA of r = {costs.rank}, prefix of {costs.virtual} virtual tokens. Steps of "
        f"{costs.batch} x {costs.tokens} tokens with AdamW, memory beyond the loaded model; {costs.decoded} tokens of "
        f"one row; seconds are {clock}, medians of {costs.rounds} rounds."
    )
