"""The table of a run as data that goes to JSON and back. A missing figure is NaN here and null in JSON, never 0."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, NamedTuple

import pandas as pd
from pydantic import BeforeValidator, PlainSerializer

from leaderboard.metrics.metric import Passport
from leaderboard.tables.bootstrap import Interval, covers_zero

Number = Annotated[  # NaN here, null in JSON
    float,
    BeforeValidator(lambda number: math.nan if number is None else number),
    PlainSerializer(lambda number: number if math.isfinite(number) else None),
]


class Cell(NamedTuple):
    """One metric of one method; NaN: missing. Intervals are 95 % bootstrap intervals over prompts."""

    value: Number
    low: Number = math.nan
    high: Number = math.nan
    difference: Number = math.nan  # against the base, paired over prompts; NaN for the base itself
    difference_low: Number = math.nan
    difference_high: Number = math.nan

    @property
    def tie(self) -> bool:
        """Whether the interval of the difference covers zero: the run cannot tell the method from the base."""
        return covers_zero(Interval(self.difference_low, self.difference_high))


Column = Mapping[str, Cell]  # method (or scorer) -> cell


@dataclass(frozen=True)
class Results:
    """The table of a run, or of a slice of it, as data that goes to JSON and back."""

    methods: tuple[str, ...]
    metrics: tuple[str, ...]  # those that have a value for some method
    cells: Mapping[str, Column]  # metric -> method -> cell
    best: Mapping[str, tuple[str, ...]]  # metric -> the best method, and those that tie with it
    cross: Mapping[str, Column]  # scorer -> method -> perplexity of the method's texts under the scorer
    prompts_perplexity: Column  # by scorer, of the prompts themselves; differences are to the base as scorer
    references_perplexity: Column
    passports: Mapping[str, Passport]  # by metric, `perplexity_under:SCORER` and name of the two mappings above
    num_prompts: int  # that count
    num_texts: int  # of each method that count, over all prompts

    @property
    def num_samples(self) -> float:
        """Texts of each method that count, for a prompt on average."""
        return self.num_texts / self.num_prompts if self.num_prompts else 0.0


def best(results: Results, metric: str) -> tuple[str, ...]:
    """The methods that are best, or tie with the best, in a metric."""
    return results.best.get(metric, ())


def frame(results: Results) -> pd.DataFrame:
    """One row a metric and method, with numbers, tie, best, and the passport of the metric: for exports."""
    columns = {**results.cells, **{f"perplexity_under:{label}": cells for label, cells in results.cross.items()}}
    return pd.DataFrame(
        {
            "method": method,
            "metric": metric,
            **cell._asdict(),
            "tie": cell.tie,
            "best": method in best(results, metric),
            **asdict(results.passports[metric]),
        }
        for metric, cells in columns.items()
        for method, cell in cells.items()
    )
