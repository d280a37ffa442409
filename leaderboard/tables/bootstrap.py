"""Bootstrap intervals over prompts (Efron and Tibshirani 1993): the change of a figure with other prompts.

    weights[r, p] = count of prompt p in resample r, multinomial;  interval = 2.5 and 97.5 percentiles over r

All figures of a table share the weights, so differences of two methods are paired by prompt.
Letters: P prompts, R resamples.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from leaderboard.metrics.passport import Array

RESAMPLES = 2_000
ERROR = 0.05  # share of intervals that may miss the truth
SEED = 20_190_712


class Interval(NamedTuple):
    low: float
    high: float


NONE = Interval(np.nan, np.nan)


@lru_cache(maxsize=4)
def weights(num_prompts: int) -> Array:
    """(1 + R, P): ones, then the resamples; the same for every call with this number of prompts."""
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=RESAMPLES)
    both = np.vstack([np.ones(num_prompts), drawn])
    both.flags.writeable = False  # it is shared
    return both


def interval(resampled: Array, error: float = ERROR) -> Interval:
    """The middle 1 - `error` of the finite resampled figures (R,)."""
    there = resampled[np.isfinite(resampled)]
    return Interval(*np.quantile(there, [error / 2, 1 - error / 2]).tolist()) if len(there) else NONE


def enough(rows: Array) -> bool:
    """Whether at least two prompts have something to count."""
    return int(np.nan_to_num(rows).any(axis=1).sum()) >= 2
