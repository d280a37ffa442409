"""Computes the table of a run: every metric of every method, with intervals, differences to the base, and marks.

Figures and differences have intervals of their own. Marks (ties, ranks) obey one bound over the differences of any two
methods in all metrics: where nothing differs, at most one table of twenty has a mark.
"""

import math
from collections.abc import Sequence
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
from leaderboard.tables.bootstrap import (
    PLAIN,
    POWER,
    RESAMPLES,
    Gaps,
    Interval,
    gaps,
    interval,
    share_interval,
    simultaneous,
    weights,
)
from leaderboard.tables.comparable import Comparable, Where, comparable
from leaderboard.tables.results import Cell, Results


class Figure(NamedTuple):
    """A figure of a method with its resamples."""

    name: str
    values: Array  # (1 + R,) the figure first
    num_prompts: int = 0  # that have something to count
    num_verdicts: float = math.nan  # NaN: no share of verdicts

    @property
    def interval(self) -> Interval:
        if math.isnan(self.num_verdicts):
            return interval(self.values[1:], self.num_prompts)
        return share_interval(float(self.values[0]), self.values[1:], self.num_prompts, self.num_verdicts)


class MeasuredColumn(NamedTuple):
    """A metric of every method, and the differences of any two."""

    metric: Metric
    figures: list[Figure]
    gaps: Gaps

    def column(self, base: str | None, z: float = math.nan) -> dict[str, Cell]:
        """A cell per figure, with its difference to the one named `base`, and the bound of `z` standard errors."""
        names = [figure.name for figure in self.figures]
        place = names.index(base) if base in names else None
        plain, bound = self.gaps.reach(PLAIN), self.gaps.reach(z)
        cells = {}
        for number, each in enumerate(self.figures):
            cells[each.name] = Cell(each.values[0].item(), *each.interval)
            if place is not None and place != number:
                apart, half = self.gaps.values[number, place].item(), plain[number, place].item()
                beside = (apart, apart - half, apart + half, bound[number, place].item())
                cells[each.name] = Cell(*cells[each.name][:3], *beside)
        return cells

    def ranks(self, z: float) -> dict[str, int]:
        """The rank of each method: 1 + the number of methods that are better by more than the bound, so ties share one.

        Empty without a direction or without intervals.
        """
        higher_is_better, bound = self.metric.passport.higher_is_better, self.gaps.reach(z)
        ranked = np.flatnonzero(np.isfinite(np.diag(self.gaps.errors)))
        if higher_is_better is None or len(ranked) < 2:
            return {}
        behind = (-self.gaps.values if higher_is_better else self.gaps.values) > bound
        return {self.figures[place].name: 1 + int(behind[place].sum()) for place in ranked}

    def detectable(self, base: str | None, z: float) -> float:
        """The difference to the base that is marked with a chance of 80 %, for the median method; NaN without one."""
        others = np.array([figure.name != base for figure in self.figures])
        needed = (self.gaps.reach(z) + self.gaps.reach(POWER))[~others][:, others]
        there = needed[np.isfinite(needed)]
        return float(np.median(there)) if len(there) else math.nan


def tabulate(data: RunData, where: Where | None = None) -> Results:
    """The table of a run, or of the prompts for which `where` holds."""
    seen, spec = comparable(data, where), data.run.spec
    names = [method.name for method in spec.methods]
    base = None if seen.base is None else names[seen.base]
    with threadpool_limits(1, user_api="blas"):  # small products: threads would wait for each other
        every = [measured(metric, figures(metric, seen, names)) for metric in metrics(seen)]
        found = [each for each in every if any(math.isfinite(figure.values[0]) for figure in each.figures)]
        crossed = {label: perplexity.under(label, title(label, data), seen.setting.n) for label in spec.scorers}
        cross = {label: measured(metric, figures(metric, seen, names)) for label, metric in crossed.items()}
        z = simultaneous([each.gaps.furthest for each in found])
        ranks = {each.metric.name: each.ranks(z) for each in found}
        return Results(
            methods=tuple(names),
            metrics=tuple(ranks),
            cells={each.metric.name: each.column(base, z) for each in found},
            best={name: tuple(method for method, rank in of.items() if rank == 1) for name, of in ranks.items()},
            ranks=ranks,
            cross={label: each.column(base) for label, each in cross.items()},
            prompts_perplexity=of_prompts(data, seen, "prompt"),
            references_perplexity=of_prompts(data, seen, "reference"),
            passports={each.metric.name: each.metric.passport for each in [*found, *cross.values()]}
            | of_prompts_passports(len(seen.prompts)),
            num_prompts=len(seen.prompts),
            num_texts=seen.num_texts,
            measured=measured_by(),
            detectable={each.metric.name: each.detectable(base, z) for each in found},
            bound_z=z,
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
    return [resampled(metric, each, name) for each, name in zip(rows, names, strict=True)]


def resampled(metric: Metric, rows: Array, name: str) -> Figure:
    if not len(rows):
        return Figure(name, np.full(1 + RESAMPLES, np.nan))
    counted = int(np.nan_to_num(rows).any(axis=1).sum())
    verdicts = float(rows[:, 1].sum()) if metric.of_verdicts else math.nan
    return Figure(name, metric.value(rows, weights(len(rows))), counted, verdicts)


def measured(metric: Metric, found: list[Figure]) -> MeasuredColumn:
    _, values, counted, verdicts = zip(*found, strict=True)
    return MeasuredColumn(metric, found, gaps(np.stack(values), np.array(counted), np.array(verdicts)))


def of_prompts(data: RunData, seen: Comparable, kind: str) -> dict[str, Cell]:
    """Perplexity of the prompts or of the references, by scorer."""
    found, metric = [], perplexity.under(kind, "", "")
    for (which, label), tallies in data.prompt_tallies.items():
        if which == kind:
            rows = np.array([tallies.get(prompt, Tally(0, 0)) for prompt in seen.prompts], dtype=float).reshape(-1, 2)
            found.append(resampled(metric, rows, label))
    return measured(metric, found).column(BASE.name) if found else {}


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
