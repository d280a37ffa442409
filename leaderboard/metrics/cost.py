"""Costs of a method: time, parameters, disk, memory.

    relative speed = (new tokens / seconds) of the method / (new tokens / seconds) of the base, in the same run

Times depend on the machine and its load, the ratio within a run much less. Stored texts take no time and do not count.
"""

from functools import partial

import numpy as np

from leaderboard.metrics.metric import Metric, Setting, Texts, divide, measurement, ratio, stacked
from leaderboard.metrics.passport import Array, Passport

ONCE = "none: measured once"


def value(rows: Array, weights: Array) -> Array:
    tokens, seconds, base_tokens, base_seconds = (weights @ rows).T
    return divide(divide(tokens, seconds), divide(base_tokens, base_seconds))


def _speed(texts: Texts) -> Array:
    """(P, 4): tokens and seconds of the method and of the base."""
    costs = texts.costs
    return np.zeros((texts.num_prompts, 4)) if costs is None else np.hstack([costs.speed, costs.base_speed])


def _once(texts: Texts, field: str) -> Array:
    return np.array([[np.nan if texts.costs is None else getattr(texts.costs, field), 1]])


def columns(setting: Setting) -> list[Metric]:
    pace = "tokens per second, relative to the base in the same run"
    drawn = f"{Passport.interval}; a batch counts for its first prompt, so there must be five"
    most = "maximum over the method's batches; on a CPU of the whole process, with what earlier methods left"
    speed = Passport("speed, base = 1", True, pace, interval=drawn)
    parameters = Passport("trainable parameters", False, "sum of LoRA, prefix and discriminators", interval=ONCE)
    disk = Passport("size", False, "sum of the files of LoRA, prefix and discriminators", interval=ONCE)
    memory = Passport("peak memory", False, most, interval=ONCE)
    return [
        Metric("speed", speed, _speed, value),
        Metric("parameters", parameters, partial(_once, field="num_parameters"), ratio),
        Metric("bytes", disk, partial(_once, field="num_bytes"), ratio),
        Metric("memory", memory, partial(_once, field="peak_bytes"), ratio),
    ]


BATCHES = dict.fromkeys(("num_tokens", "seconds", "base_tokens", "base_seconds"), "float64")
Measurement = measurement(__doc__, {"speed": (value, stacked)}, **BATCHES)
