"""Attribute success: the share of texts that show an attribute, by a judge that the steering does not use.

    success = texts that the judge finds it in / texts judged        (attribute accuracy of Dathathri et al., ICLR 2020)

Every method has the column: those without steering show how often a text has the attribute anyway. For a negative
weight lower is better.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from leaderboard.judges import judge_of
from leaderboard.metrics.metric import Metric, Setting, Texts, measurement, ratio
from leaderboard.metrics.passport import Array, Passport
from leaderboard.records import ATTRIBUTE


def rows(verdicts: Sequence[bool]) -> Array:
    """(N, 2): whether a text shows the attribute, 1."""
    return np.array([[verdict, 1] for verdict in verdicts], dtype=float).reshape(-1, 2)


def columns(setting: Setting) -> list[Metric]:
    metrics = []
    for attribute, wanted in setting.attributes.items():
        how, judge = "texts that show the attribute / texts judged", judge_of(attribute)
        said = None if judge is None else judge.description
        interval = f"{Passport.interval}. Of a share by itself: Wilson, with as many texts as vary by themselves"
        title = f"on topic ({attribute})"
        passport = Passport(title, wanted, how, setting.n, said, length="whole texts", interval=interval)
        label = ATTRIBUTE + attribute
        metrics.append(Metric(label, passport, partial(Texts.tally_by_prompt, label=label), ratio, True))
    return metrics


Measurement = measurement(__doc__, {"attribute_success": (ratio, rows)}, predictions="bool")
