"""What a metric is: rows of sums in, a number out, and a passport that says what the number means.

Knows texts, tallies and costs of one method; knows nothing of runs, databases, or of how methods are compared. A metric
turns the texts of a method into `rows`, one a prompt, and `value(rows, weights)` counts prompt p as often as
weights[:, p] say: with ones it is the figure, with the counts of a bootstrap sample a resampled figure.
Letters: N texts, P prompts, K statistics, R weightings.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from leaderboard.metrics.grams import Grams, IntArray, grams

Array = npt.NDArray[np.float64]
LONGEST_GRAM = 4


@dataclass(frozen=True)
class Passport:
    """What a column is. None: does not apply."""

    title: str
    higher_is_better: bool | None  # None: neither is
    aggregation: str
    n: str | None = None  # how many texts of how many prompts
    judge: str | None = None
    bos: str | None = None
    masking: str | None = None
    tokenisation: str | None = None
    length: str | None = None
    interval: str = "95 % bootstrap over prompts, 2,000 samples; against the base paired"

    @property
    def direction(self) -> str | None:
        if self.higher_is_better is None:
            return None
        return "higher is better" if self.higher_is_better else "lower is better"


class Setting(NamedTuple):
    """What the columns of a run can depend on before a text is seen."""

    judge: str  # the label of its tallies
    judge_title: str
    attributes: Mapping[str, bool | None]  # what is steered to -> whether showing it is wanted; None: by some
    n: str
    equal_length: str  # what was cut from `Texts.words`


class Costs(NamedTuple):
    """What a method cost; a batch counts for its first prompt."""

    speed: Array  # (P, 2) new tokens, seconds
    base_speed: Array  # (P, 2) the same of the base, in the same run
    num_parameters: float
    num_bytes: float
    peak_bytes: float  # NaN: not measured


@dataclass(frozen=True)
class Texts:
    """What a metric may see of one method: its N texts for P prompts."""

    texts: Sequence[str]  # as they were written
    words: Sequence[Sequence[str]]  # separated by whitespace, cut to the same length for every method
    prompts: IntArray  # (N,) the prompt of each, from 0
    num_prompts: int
    references: Sequence[str | None]  # of each
    tallies: Mapping[str, Array] = field(default_factory=dict)  # label -> (N, 2): sum, number; 0 and 0: none
    costs: Costs | None = None

    def by_prompt(self, *columns: npt.NDArray[np.generic]) -> Array:
        """Sums of columns (N,) over the texts of each prompt: (P, K)."""
        return np.stack([np.bincount(self.prompts, column, self.num_prompts) for column in columns], axis=1)

    def tally(self, label: str) -> Array:
        """Sum and number of each text: (N, 2), zeros where there is none."""
        return self.tallies.get(label, np.zeros((len(self.texts), 2)))

    @cached_property
    def grams(self) -> list[Grams]:
        """The n-grams of the words, for n = 1 … 4."""
        return grams(self.words, LONGEST_GRAM)

    @property
    def compared(self) -> tuple[IntArray, list[str], list[str]]:
        """Places, texts and references of those that have one; of a text as many lines as its reference has."""
        places = [place for place, reference in enumerate(self.references) if reference is not None]
        wanted = [(self.references[place] or "").strip() for place in places]
        lines = [
            "\n".join(self.texts[place].strip().split("\n")[: reference.count("\n") + 1])
            for place, reference in zip(places, wanted, strict=True)
        ]
        return np.array(places, dtype=np.int64), lines, wanted


@dataclass(frozen=True)
class Metric:
    """One column of the table."""

    name: str
    passport: Passport
    # (P, K), or one row for what is measured once and has no interval; zeros or NaN: nothing to count
    rows: Callable[[Texts], Array]
    value: Callable[[Array, Array], Array]  # rows (P, K), weights (R, P) -> (R,); NaN: nothing to count


Columns = Callable[[Setting], Sequence[Metric]]


def plain(texts: Sequence[str], prompts: Sequence[Hashable] | None = None) -> Texts:
    """Texts without a run, in their full length. `prompts` says which belong together; None: each is alone."""
    of = range(len(texts)) if prompts is None else prompts
    places = {prompt: place for place, prompt in enumerate(dict.fromkeys(of))}
    return Texts(
        texts=texts,
        words=[text.split() for text in texts],
        prompts=np.array([places[prompt] for prompt in of], dtype=np.int64),
        num_prompts=len(places),
        references=[None] * len(texts),
    )


def figure(metric: Callable[[Array, Array], Array], rows: Array) -> float:
    """The number of these rows, each counted once."""
    return float(metric(rows, np.ones((1, len(rows))))[0])


def ratio(rows: Array, weights: Array) -> Array:
    """The first statistic over the second: rows (P, 2), weights (R, P) -> (R,); NaN for 0/0."""
    sums = weights @ rows  # (R, 2)
    return divide(sums[:, 0], sums[:, 1])


def divide(numerator: Array, denominator: Array) -> Array:
    """The quotient, and NaN where there is nothing to divide by."""
    return np.divide(numerator, denominator, out=np.full_like(numerator, np.nan), where=denominator > 0)


def measurement(
    description: str | None, compute: Callable[..., dict[str, float]], **inputs: str
) -> type[evaluate.Measurement]:
    """The class that `evaluate.load` looks for in a metric's file; `inputs` are the types of the columns."""
    features = datasets.Features({name: datasets.Value(kind) for name, kind in inputs.items()})

    class Measured(evaluate.Measurement):
        def _info(self) -> evaluate.MeasurementInfo:
            return evaluate.MeasurementInfo(description=description or "", citation="", features=features)

        def _compute(self, **values: Any) -> dict[str, float]:
            return compute(**values)

    return Measured
