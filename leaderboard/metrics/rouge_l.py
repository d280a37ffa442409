"""ROUGE-L: the longest common subsequence of a text and its reference (Lin, 2004).

    precision = LCS / words of the text;  recall = LCS / words of the reference;  F1 = 2 LCS / (both numbers of words)
    ROUGE-L = mean over texts of F1

Words are runs of a-z and 0-9 in lower case, as in rouge-score. Only as many lines of a text are compared as the
reference has.
"""

import re
from collections.abc import Sequence

import numpy as np
from rapidfuzz.distance import LCSseq

from leaderboard.metrics.metric import AS_REFERENCE, Metric, Setting, measurement, ratio
from leaderboard.metrics.passport import Array, Passport

WORD = re.compile("[a-z0-9]+")


def statistics(texts: Sequence[str], references: Sequence[str]) -> Array:
    """(N, 2): F1, 1; zeros for a reference without words."""
    found = np.zeros((len(texts), 2))
    for index, (text, reference) in enumerate(zip(texts, references, strict=True)):
        ours, theirs = WORD.findall(text.lower()), WORD.findall(reference.lower())
        if theirs:
            found[index] = 2 * LCSseq.similarity(ours, theirs) / (len(ours) + len(theirs)), 1
    return found


def columns(setting: Setting) -> list[Metric]:
    how = "F1 of the longest common subsequence; mean over texts"
    units = "runs of a-z and 0-9 in lower case, no stemming"
    passport = Passport("ROUGE-L", True, how, setting.n, tokenisation=units, length=AS_REFERENCE)
    return [Metric("rouge_l", passport, lambda texts: texts.compare(statistics), ratio)]


Measurement = measurement(__doc__, {"rouge_l": (ratio, statistics)}, predictions="string", references="string")
