"""chrF: character n-grams that a text shares with its reference (Popović, WMT 2015), as sacrebleu counts them.

    P, R = means for n = 1…6 of  matching n-grams / n-grams of the texts,  / n-grams of the references
    chrF = 100 * 5 P R / (4 P + R),   sums over all texts; an n of which texts or references have no n-gram is left out

Without whitespace, case kept. Only as many lines of a text are compared as the reference has.
"""

from collections.abc import Sequence

import numpy as np

from leaderboard.metrics.grams import overlap
from leaderboard.metrics.metric import AS_REFERENCE, Metric, Setting, divide, measurement
from leaderboard.metrics.passport import Array, Passport

ORDERS = 6
BETA = 2  # recall counts twice as much as precision


def statistics(texts: Sequence[str], references: Sequence[str]) -> Array:
    """(N, 3 * 6): n-grams of the text, of the reference, and matching."""
    ours, theirs = ["".join(text.split()) for text in texts], ["".join(text.split()) for text in references]
    hypothesis, reference, match = overlap(ours, theirs, ORDERS)
    possible = np.where(reference > 0, hypothesis, 0)  # as sacrebleu: those that could match
    return np.hstack([possible, reference, match]).astype(float)


def value(rows: Array, weights: Array) -> Array:
    """Corpus chrF, 0 to 100; NaN if no reference has a character."""
    ours, theirs, match = np.split(weights @ rows, 3, axis=1)  # (R, 6) each
    orders = ((ours > 0) & (theirs > 0)).sum(1)
    precision, recall = (np.nansum(divide(match, each), axis=1) / np.maximum(orders, 1) for each in (ours, theirs))
    score = divide((1 + BETA**2) * precision * recall, BETA**2 * precision + recall)
    return np.where(theirs[:, 0] > 0, 100 * np.nan_to_num(score), np.nan)


def columns(setting: Setting) -> list[Metric]:
    how = "character n-grams up to 6 summed over texts; F with beta 2 (sacrebleu)"
    units = "characters without whitespace, case kept"
    passport = Passport("chrF", True, how, setting.n, tokenisation=units, length=AS_REFERENCE)
    return [Metric("chrf", passport, lambda texts: texts.compare(statistics), value)]


Measurement = measurement(__doc__, {"chrf": (value, statistics)}, predictions="string", references="string")
