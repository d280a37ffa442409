"""Bootstrap over prompts (Efron and Tibshirani 1993): the change of a figure with other prompts.

    weights[r, p] = count of prompt p in resample r, multinomial
    interval of a figure: percentiles over r, expanded for few prompts (Hesterberg 2015):
        Phi( -sqrt(P / (P - 1)) t ),   t = the 97.5 % quantile of Student's t with P - 1 degrees of freedom
    interval of a share of verdicts: Wilson's, with as many independent verdicts as have its resampled variance
    interval of a difference: difference +- sqrt(P / (P - 1)) t * standard deviation over r

All figures of a table share the weights, so differences of two methods are paired by prompt.
Letters: P prompts, R resamples, M methods.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtrit

from leaderboard.metrics.grams import IntArray
from leaderboard.metrics.passport import Array

RESAMPLES = 2_000
ERROR = 0.05  # share of intervals that may miss the truth, and of tables with a mark where nothing differs
FEWEST = 5  # prompts with something to count; fewer have no interval
SEED = 20_190_712


class Interval(NamedTuple):
    low: float
    high: float


NONE = Interval(np.nan, np.nan)
POWER = ndtri(0.8).item()  # standard errors beyond a bound at which four runs of five mark a difference
PLAIN = -ndtri(ERROR / 2).item()  # 1.96: standard errors of an interval of its own


@lru_cache(maxsize=4)
def weights(num_prompts: int) -> Array:
    """(1 + R, P): ones, then the resamples; the same for every call with this number of prompts."""
    random = np.random.default_rng(SEED)
    drawn = random.multinomial(num_prompts, np.full(num_prompts, 1 / num_prompts), size=RESAMPLES)
    both = np.vstack([np.ones(num_prompts), drawn])
    both.flags.writeable = False  # it is shared
    return both


def reach(z: float, num_prompts: Any) -> Any:
    """How many standard deviations of the resamples stand for `z` of a normal distribution: more for few prompts."""
    degrees = np.maximum(num_prompts - 1, 1)
    return -stdtrit(degrees, ndtr(-z)) * np.sqrt(num_prompts / degrees)


def interval(resampled: Array, num_prompts: int) -> Interval:
    """The expanded percentiles of the finite resampled figures (R,); missing for fewer than FEWEST prompts."""
    there = resampled[np.isfinite(resampled)]
    if num_prompts < FEWEST or not len(there):
        return NONE
    tail = ndtr(-reach(PLAIN, num_prompts))
    return Interval(*np.quantile(there, [tail, 1 - tail]).tolist())


def share_interval(share: float, resampled: Array, num_prompts: int, num_verdicts: float) -> Interval:
    """Wilson's interval, which has a width for shares of 0 and 1 too; missing for fewer than FEWEST prompts.

    Verdicts on texts of one prompt are alike, so they count as fewer: as many as have the variance of the resampled
    share, at least one a prompt.
    """
    if num_prompts < FEWEST:
        return NONE
    variance = np.nanvar(resampled) * num_prompts / (num_prompts - 1)
    independent = share * (1 - share) / variance if variance else num_prompts
    number, square = min(max(independent, num_prompts), num_verdicts), PLAIN**2
    centre, half = share + square / 2 / number, PLAIN * np.sqrt(share * (1 - share) / number + square / 4 / number**2)
    low, high = (float(centre - half) / (1 + square / number), float(centre + half) / (1 + square / number))
    return Interval(max(0.0, low), min(1.0, high))


class Gaps(NamedTuple):
    """Differences of the methods in one metric, the method of the row minus that of the column."""

    values: Array  # (M, M)
    errors: Array  # (M, M) standard deviation over the resamples; NaN: too few prompts
    num_prompts: IntArray  # (M, M) that both methods have
    furthest: Array  # (R,) largest deviation of any difference in a resample, in standard deviations

    def reach(self, z: float) -> Array:
        """(M, M): half the width of an interval of `z` standard errors; NaN without one."""
        found: Array = self.errors * reach(z, self.num_prompts)
        return found


def gaps(values: Array, num_prompts: IntArray, num_verdicts: Array) -> Gaps:
    """All differences of methods, from figures and resamples `values` (M, 1 + R); `num_verdicts` is NaN without any."""
    there = (num_prompts >= FEWEST) & np.isfinite(values[:, 0])
    both = np.minimum.outer(num_prompts, num_prompts)
    drawn = np.where(np.isfinite(values[:, 1:]), values[:, 1:], values[:, :1])  # without a figure: no deviation
    moved = np.where(there[:, None], drawn - drawn.mean(axis=1, keepdims=True), 0)
    # Equal verdicts for every prompt have no variance: at least half a pair of each kind (Agresti and Min 2005).
    least = np.nan_to_num(1 / (np.minimum.outer(num_verdicts, num_verdicts) + 2))
    errors, furthest = np.full(both.shape, np.nan), np.zeros(moved.shape[1])
    for one in np.flatnonzero(there):
        apart = moved - moved[one]  # (M, R)
        errors[one, there] = np.maximum(np.sqrt(np.square(apart).mean(axis=1)), least[one])[there]
        known = errors[one] > 0
        furthest = np.maximum(furthest, (np.abs(apart[known]) / errors[one, known, None]).max(axis=0, initial=0))
    return Gaps(np.subtract.outer(values[:, 0], values[:, 0]), errors, both, furthest)


def simultaneous(furthest: Sequence[Array]) -> float:
    """The z that some deviation in a table exceeds in ERROR of the resamples: max-t, from (R,) of each metric."""
    return max(PLAIN, float(np.quantile(np.max(furthest, axis=0), 1 - ERROR))) if furthest else PLAIN
