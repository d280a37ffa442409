"""The table of a run as data that goes to JSON and back. A missing figure is NaN here and null in JSON, never 0."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, PlainSerializer

from leaderboard.metrics.passport import Passport

Number = Annotated[  # NaN here, null in JSON
    float,
    BeforeValidator(lambda number: math.nan if number is None else number),
    PlainSerializer(lambda number: number if math.isfinite(number) else None),
]


class Cell(NamedTuple):
    """One metric of one method with its 95 % bootstrap intervals over prompts; NaN: missing."""

    value: Number
    low: Number = math.nan
    high: Number = math.nan
    difference: Number = math.nan  # to the base, paired over prompts; NaN for the base itself
    difference_low: Number = math.nan
    difference_high: Number = math.nan
    bound: Number = math.nan  # a larger difference is marked: simultaneous over the table; NaN: no mark

    @property
    def tie(self) -> bool:
        """Whether there is no clear difference to the base; False without a bound."""
        return abs(self.difference) <= self.bound

    @property
    def clear(self) -> bool:
        """Whether the difference to the base is clear."""
        return abs(self.difference) > self.bound


Column = Mapping[str, Cell]  # method (or scorer) -> cell


@dataclass(frozen=True)
class Results:
    methods: tuple[str, ...]
    metrics: tuple[str, ...]  # those with a value for some method
    cells: Mapping[str, Column]  # metric -> method -> cell
    best: Mapping[str, tuple[str, ...]]  # metric -> the methods of rank 1
    cross: Mapping[str, Column]  # scorer -> method -> perplexity of its texts
    prompts_perplexity: Column  # of the prompts, by scorer; differences to the base as scorer
    references_perplexity: Column
    passports: Mapping[str, Passport]  # also of `perplexity_under:SCORER` and of the two fields above
    num_prompts: int  # that count
    num_texts: int  # of each method that count
    ranks: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # metric -> method -> rank, ties share one
    measured: tuple[str, ...] = ()  # the files of the metrics that it was measured by
    # metric -> the difference to the base that would be marked four times of five, for the median method
    detectable: Mapping[str, Number] = field(default_factory=dict)
    bound_z: Number = math.nan  # standard errors of the simultaneous bound, for many prompts
