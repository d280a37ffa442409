"""The measured cost of each method, as frozen data and as the rows of a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.adapter_files import read_config
from adapters.methods import BASE, STRICT, from_json

LORA, PREFIX, FULL, MERGED = "LoRA", "prefix", "full fine-tuning", "merged LoRA"
COLUMNS = ["Method", "Trained", "Size on disk", "Memory to train", "Time per training step", "Time per token"]
FILE, DATA = "methods.json", Path(__file__).parents[1] / "data"  # in the home folder; else the shipped one
AS_LORA, NOTHING = "as the LoRA", "–"
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


def stored_costs(home: Path, base: str) -> Costs | None:
    """The newest figures of this base model, else the shipped ones, else None. Raises UserError if damaged."""
    files = [folder for folder in (home, DATA) if (folder / FILE).is_file()]
    known = (from_json(Costs, read_config(folder, FILE)) for folder in files)
    return next((costs for costs in known if costs.base == base), None)


def rows(costs: Costs) -> list[list[str]]:
    """The table, a row a method, its cells as in COLUMNS; ratios are within the run."""
    full, base = costs.of(FULL), costs.of(BASE.name)
    return [
        [
            cost.name,
            AS_LORA if cost.trained is None else trained(cost.trained, costs.num_parameters),
            size(cost.num_bytes),
            with_share(cost.memory, full.memory, size),
            with_share(cost.step_seconds, full.step_seconds, "{:.2f} s".format),
            ratio(cost.token_seconds, base.token_seconds, " × base"),
        ]
        for cost in costs.methods
    ]


def trained(count: int, of: int) -> str:
    """Parameters and their share of the model's, such as 0.92 M (0.68 %)."""
    if not count:
        return NOTHING
    return f"{count / 1e6:.3g} M ({100 * count / of:.2g} %)" if count < of else f"{count / 1e6:.3g} M"


def size(number: int) -> str:
    """Bytes, such as 3.7 MB or 1.96 GB."""
    if not number:
        return NOTHING
    return f"{number / 1e9:.2f} GB" if number >= 1e9 else f"{number / 1e6:.3g} MB"


def with_share(value: float | None, of: float | None, form: Callable[[Any], str]) -> str:
    """A value with its share of full fine-tuning's; empty where there is none."""
    return "" if value is None or not of else f"{form(value)} ({100 * value / of:.0f} % of full)"


def about(costs: Costs) -> str:
    clock = "processor time of one thread" if costs.device == "cpu" else "by the clock"
    return (
        f"{costs.base} ({costs.num_parameters:,} parameters, {costs.dtype} on {costs.device}), {costs.machine}, "
        f"{costs.measured} UTC. LoRA of r = {costs.rank}, prefix of {costs.virtual} virtual tokens. Steps of "
        f"{costs.batch} x {costs.tokens} tokens with AdamW, memory beyond the loaded model; {costs.decoded} tokens of "
        f"one row; seconds are {clock}, medians of {costs.rounds} rounds."
    )


def ratio(value: float | None, of: float | None, unit: str) -> str:
    """`value` as a multiple of `of`; empty where one is missing."""
    return "" if value is None or not of else f"{value / of:.2f}{unit}"
