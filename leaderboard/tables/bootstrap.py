"""Bootstrap intervals over prompts (Efron and Tibshirani 1993): how much a figure would change with other prompts.

    weights[r, p] = how often prompt p is in resample r, multinomial;  interval = 2.5 and 97.5 percentiles over r

Knows rows of statistics and weights; knows nothing of texts or methods. All figures of a table share the weights, so
the difference of two methods is resampled on the same prompts for both: a paired interval.
Letters: P prompts, R resamples.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from leaderboard.metrics.metric import Array

RESAMPLES = 2_000
SEED = 20_190_712
LEAST_PROMPTS = 2  # with fewer nothing can be said about other prompts


class Interval(NamedTuple):
    low: float
    high: float


NONE = Interval(np.nan, np.nan)


@lru_cache(maxsize=4)
def weights(num_prompts: int) -> Array:
    """(1 + R, P): each prompt once, then the resamples; always the same for a number of prompts."""
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=RESAMPLES)
    both = np.vstack([np.ones(num_prompts), drawn])
    both.flags.writeable = False  # it is shared
    return both


def interval(resampled: Array) -> Interval:
    """The middle 95 % of resampled figures (R,), those without a value left out."""
    there = resampled[np.isfinite(resampled)]
    return Interval(*np.quantile(there, [0.025, 0.975]).tolist()) if len(there) else NONE


def covers_zero(difference: Interval) -> bool:
    """Whether an interval of a difference leaves open which is larger; False where there is no interval."""
    return difference.low <= 0 <= difference.high


def enough(rows: Array) -> bool:
    """Whether two prompts or more have something to count."""
    return int(np.nan_to_num(rows).any(axis=1).sum()) >= LEAST_PROMPTS
