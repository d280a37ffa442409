"""Repetition: the share of 4-grams that stood in the same text before.

    repetition = sum over texts of (4-grams - different 4-grams) / sum over texts of 4-grams

The seq-rep-4 of Welleck et al. (ICLR 2020), over all texts together. What collapses into "love love love" is caught
here, where its perplexity looks good.
"""

from collections.abc import Sequence

import evaluate
import numpy as np

from leaderboard.metrics.grams import counts
from leaderboard.metrics.metric import Array, Metric, Passport, Setting, Texts, figure, info, plain, ratio

N = 4


def repetition(texts: Sequence[str]) -> float:
    """Share of repeated 4-grams, 0 to 1; NaN where no text has four words."""
    return figure(ratio, rows(plain(texts)))


def rows(texts: Texts) -> Array:
    """(P, 2): repeated 4-grams, 4-grams."""
    found = texts.grams[N - 1]
    number = np.bincount(found.texts, minlength=len(texts.texts))
    different = np.bincount(counts(found, len(texts.texts)).texts, minlength=len(texts.texts))
    return texts.by_prompt(number - different, number)


def columns(setting: Setting) -> list[Metric]:
    passport = Passport(
        title="repetition",
        higher_is_better=False,
        aggregation="4-grams that stood in the same text before, over all 4-grams, of all texts together",
        n=setting.n,
        tokenisation="words between whitespace",
        length=setting.equal_length,
    )
    return [Metric("repetition", passport, rows, ratio)]


class Repetition(evaluate.Measurement):
    """compute(predictions=texts) -> {"repetition": …}."""

    def _info(self) -> evaluate.MeasurementInfo:
        return info(__doc__, predictions="string")

    def _compute(self, predictions: Sequence[str]) -> dict[str, float]:
        return {"repetition": repetition(predictions)}
