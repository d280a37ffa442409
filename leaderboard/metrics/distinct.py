"""Distinct-n: the share of different n-grams among all n-grams of a method (Li et al., NAACL 2016).

    distinct-n = number of different n-grams in all texts / number of n-grams in all texts

Corpus level, on words between whitespace, as the PPLM paper prints it. It falls with the number and the length of
texts, so all methods are compared on as many texts, of equal length.

The number of different n-grams is no sum over prompts, but becomes one exactly: each n-gram has a credit of 1, shared
equally by the prompts in whose texts it stands. The bootstrap draws prompts with their credits; drawing the texts
themselves would draw some twice, and make every writer look repetitive.
"""

from collections.abc import Sequence
from functools import partial

import evaluate
import numpy as np

from leaderboard.metrics.grams import Grams, counts
from leaderboard.metrics.metric import Array, Metric, Passport, Setting, Texts, figure, info, plain, ratio

ORDERS = (1, 2, 3)


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct-n of texts; NaN where none has n words."""
    return figure(ratio, rows(plain(texts), n))


def rows(texts: Texts, n: int) -> Array:
    """(P, 2): credits for different n-grams, number of n-grams."""
    ids, places = texts.grams[n - 1]
    prompts = texts.prompts[places]
    shared = counts(Grams(ids, prompts), texts.num_prompts)
    holders = np.bincount(shared.ids)  # by n-gram: how many prompts have it
    credits = np.bincount(shared.texts, 1 / holders[shared.ids], texts.num_prompts)
    return np.column_stack([credits, np.bincount(prompts, minlength=texts.num_prompts)])


def columns(setting: Setting) -> list[Metric]:
    passports = {
        n: Passport(
            title=f"distinct-{n}",
            higher_is_better=True,
            aggregation=f"different {n}-grams over all {n}-grams, of all texts together",
            n=setting.n,
            tokenisation="words between whitespace",
            length=setting.equal_length,
            interval="95 % bootstrap over prompts, 2,000 samples; against the base paired; an n-gram's credit of 1 is "
            "shared by the prompts that have it",
        )
        for n in ORDERS
    }
    return [Metric(f"distinct_{n}", passport, partial(rows, n=n), ratio) for n, passport in passports.items()]


class Distinct(evaluate.Measurement):
    """compute(predictions=texts, n=2) -> {"distinct_2": …}."""

    def _info(self) -> evaluate.MeasurementInfo:
        return info(__doc__, predictions="string")

    def _compute(self, predictions: Sequence[str], n: int = 2) -> dict[str, float]:
        return {f"distinct_{n}": distinct(predictions, n)}
