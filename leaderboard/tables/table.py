"""Computes the table of a run: every metric of every method, with intervals, differences to the base, and ties."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from adapters.methods import BASE
from leaderboard.metrics import MODULES, perplexity
from leaderboard.metrics.distinct import distinct, repetition
from leaderboard.metrics.metric import Metric
from leaderboard.metrics.passport import Array, Passport
from leaderboard.records import RunData, Sample, Tally
from leaderboard.tables.bootstrap import NONE, enough, interval, weights
from leaderboard.tables.comparable import Comparable, Where, comparable
from leaderboard.tables.results import Cell, Results

RANK_ERROR = 0.03  # of a column's ranks; extreme percentiles over few prompts are too narrow for 0.05


class Figure(NamedTuple):
    """A figure of a method with its resamples."""

    name: str
    values: Array  # (1 + R,) the figure first
    has_interval: bool

    def cell(self, base: "Figure | None") -> Cell:
        own = interval(self.values[1:]) if self.has_interval else NONE
        if base is None or base is self:
            return Cell(self.values[0].item(), *own)
        apart = self.values - base.values
        known = self.has_interval and base.has_interval
        return Cell(self.values[0].item(), *own, apart[0].item(), *(interval(apart[1:]) if known else NONE))


def tabulate(data: RunData, where: Where | None = None) -> Results:
    """The table of a run, or of the prompts for which `where` holds."""
    seen, spec = comparable(data, where), data.run.spec
    names = [method.name for method in spec.methods]
    base = None if seen.base is None else names[seen.base]
    with threadpool_limits(1, user_api="blas"):  # small products: threads would wait for each other
        measured = [(metric, figures(metric, seen, names)) for metric in metrics(seen)]
        found = [(metric, each) for metric, each in measured if any(math.isfinite(one.values[0]) for one in each)]
        crossed = {label: perplexity.under(label, title(label, data), seen.setting.n) for label in spec.scorers}
        kept = (*(metric for metric, _ in found), *crossed.values())
        ranks = {metric.name: ranks_of(each, metric.passport.higher_is_better) for metric, each in found}
        return Results(
            methods=tuple(names),
            metrics=tuple(metric.name for metric, _ in found),
            cells={metric.name: column(each, base) for metric, each in found},
            best={name: tuple(method for method, rank in of.items() if rank == 1) for name, of in ranks.items()},
            ranks=ranks,
            cross={label: column(figures(metric, seen, names), base) for label, metric in crossed.items()},
            prompts_perplexity=of_prompts(data, seen, "prompt"),
            references_perplexity=of_prompts(data, seen, "reference"),
            passports={metric.name: metric.passport for metric in kept} | of_prompts_passports(len(seen.prompts)),
            num_prompts=len(seen.prompts),
            num_texts=seen.num_texts,
            measured=measured_by(),
        )


def metrics(seen: Comparable) -> list[Metric]:
    return [metric for module in MODULES for metric in module.columns(seen.setting)]


def measured_by() -> tuple[str, ...]:
    """The files of all metrics: a table that was measured by others is out of date."""
    return tuple(module.__name__ for module in MODULES)


def title(label: str, data: RunData) -> str:
    return f"{data.run.base}, {'unchanged' if label == BASE.name else f'with {label}'}"


def figures(metric: Metric, seen: Comparable, names: Sequence[str]) -> list[Figure]:
    """One figure per method; NaN for a method without a text."""
    rows = [np.empty((0, 1)) if texts is None else metric.rows(texts) for texts in seen.texts]
    return [resampled(each, metric.value, name) for each, name in zip(rows, names, strict=True)]


def resampled(rows: Array, value: Callable[[Array, Array], Array], name: str) -> Figure:
    return Figure(name, value(rows, weights(len(rows))) if len(rows) else np.full(1, np.nan), enough(rows))


def column(found: Sequence[Figure], base: str | None) -> dict[str, Cell]:
    """A cell per figure, with its difference to the one named `base`."""
    reference = next((each for each in found if each.name == base), None)
    return {each.name: each.cell(reference) for each in found}


def ranks_of(found: Sequence[Figure], higher_is_better: bool | None) -> dict[str, int]:
    """The rank of each method: 1 + the number of methods that are clearly better, so ties share a rank.

    Clearly better: the paired interval of the difference lies on one side of zero, at a level shared by all pairs
    (Bonferroni). Empty without a direction or without intervals.
    """
    ranked = [each for each in found if each.has_interval and math.isfinite(each.values[0])]
    if higher_is_better is None or len(ranked) < 2:
        return {}
    level = RANK_ERROR / math.comb(len(ranked), 2)

    def beaten(one: Figure, other: Figure) -> bool:
        difference = interval((other.values - one.values)[1:], level)
        return difference.low > 0 if higher_is_better else difference.high < 0

    return {one.name: 1 + sum(beaten(one, other) for other in ranked) for one in ranked}


def of_prompts(data: RunData, seen: Comparable, kind: str) -> dict[str, Cell]:
    """Perplexity of the prompts or of the references, by scorer."""
    found = []
    for (which, label), tallies in data.prompt_tallies.items():
        if which == kind:
            rows = np.array([tallies.get(prompt, Tally(0, 0)) for prompt in seen.prompts], dtype=float).reshape(-1, 2)
            found.append(resampled(rows, perplexity.value, label))
    return column(found, BASE.name)


def of_prompts_passports(num_prompts: int) -> dict[str, Passport]:
    """Passports of `prompts_perplexity` and `references_perplexity`."""
    own = perplexity.passport("the scorer named", "", perplexity.CORPUS, f"{num_prompts:,} prompts")
    masks = {
        "prompts": "tokens of the prompt after the first (BOS if the model has one)",
        "references": "tokens of the reference, not of the prompt",
    }
    return {
        f"{what}_perplexity": replace(own, title=f"perplexity of the {what}", masking=mask, tokenisation=None)
        for what, mask in masks.items()
    }


def by_prompt(data: RunData, metric: str, where: Where | None = None) -> pd.DataFrame:
    """The contribution of each prompt to a metric: a row per prompt (by index), a column per method.

    It is the figure of the prompt's texts among all texts: an n-gram's credit is shared with other prompts, self-BLEU
    is against all other texts. NaN: missing, also for an unknown metric and for one that is measured once.
    """
    seen = comparable(data, where)
    names = [method.name for method in data.run.spec.methods]
    found = pd.DataFrame(np.nan, pd.Index(seen.prompts, name="prompt"), names)
    for one in metrics(seen):
        for name, texts in zip(found.columns, seen.texts, strict=True):
            if one.name == metric and texts is not None and len(rows := one.rows(texts)) == len(seen.prompts):
                found[name] = one.value(rows, np.eye(len(rows)))
    return found


class SampleFigures(NamedTuple):
    """A whole text and its figures; NaN: missing."""

    sample: Sample
    perplexity: float  # under the run's judge
    distinct_2: float
    repetition: float


def prompt_figures(data: RunData, prompt: int) -> list[SampleFigures]:
    """The texts for one prompt with their figures, by method and draw."""
    judged, found = data.tallies.get(data.run.spec.judge_label, {}), []
    for sample in sorted(data.samples, key=lambda sample: (sample.method, sample.draw)):
        if sample.prompt == prompt:
            of_judge = judged[sample.key].perplexity if sample.key in judged else math.nan
            found.append(SampleFigures(sample, of_judge, distinct([sample.text], 2), repetition([sample.text])))
    return found
