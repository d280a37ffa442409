"""BLEU: n-grams that a text shares with its reference (Papineni et al., ACL 2002), as sacrebleu counts them.

    BLEU = 100 * brevity * exp( mean for n = 1…4 of log( matching n-grams / n-grams ) ),   sums over all texts
    brevity = min(1, exp(1 - words of the references / words of the texts))

sacrebleu's defaults (13a tokens, case kept, exponential smoothing) with effective order, for short references. Only as
many lines of a text are compared as the reference has: the answer counts, not what follows it.
"""

from collections.abc import Sequence

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from leaderboard.metrics.metric import AS_REFERENCE, Metric, Setting, measurement
from leaderboard.metrics.passport import Array, Passport


def statistics(texts: Sequence[str], references: Sequence[str]) -> Array:
    """(N, 2 + 4 + 4): words of the text and of the reference, matching n-grams, n-grams."""
    bleu = BLEU(effective_order=True)
    scores = [bleu.sentence_score(text, [reference]) for text, reference in zip(texts, references, strict=True)]
    rows = [[score.sys_len, score.ref_len, *score.counts, *score.totals] for score in scores]
    return np.array(rows, dtype=float).reshape(-1, 10)


def value(rows: Array, weights: Array) -> Array:
    """Corpus BLEU, 0 to 100; NaN if no reference has a word."""
    sums = weights @ rows  # (R, 10)
    scores = [
        BLEU.compute_bleu(each[2:6], each[6:], each[0], each[1], "exp", effective_order=True).score
        if each[1]
        else np.nan
        for each in sums.astype(int).tolist()
    ]
    return np.array(scores)


def columns(setting: Setting) -> list[Metric]:
    how = "n-grams up to 4 and lengths summed over texts; exponential smoothing, effective order (sacrebleu)"
    passport = Passport("BLEU", True, how, setting.n, tokenisation="13a, case kept", length=AS_REFERENCE)
    return [Metric("bleu", passport, lambda texts: texts.compare(statistics), value)]


Measurement = measurement(__doc__, {"bleu": (value, statistics)}, predictions="string", references="string")
