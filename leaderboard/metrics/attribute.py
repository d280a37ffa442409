"""Attribute success: the share of texts that show an attribute, by a judge that the steering does not use.

    success = texts that the judge finds it in / texts judged        (attribute accuracy of Dathathri et al., ICLR 2020)

Every method has the column: those without steering show how often a text has the attribute anyway. For a negative
weight lower is better.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from leaderboard.judges import judge_of
from leaderboard.metrics.metric import Metric, Setting, Texts, figure, measurement, ratio
from leaderboard.metrics.passport import Passport
from leaderboard.records import ATTRIBUTE


def attribute_success(verdicts: Sequence[bool]) -> float:
    """The share of texts that show the attribute; NaN for none."""
    return figure(ratio, np.array([[verdict, 1] for verdict in verdicts], dtype=float).reshape(-1, 2))


def columns(setting: Setting) -> list[Metric]:
    metrics = []
    for attribute, wanted in setting.attributes.items():
        how, judge = "texts that show the attribute / texts judged", judge_of(attribute)
        said = None if judge is None else judge.description
        passport = Passport(f"on topic ({attribute})", wanted, how, setting.n, said, length="whole texts")
        label = ATTRIBUTE + attribute
        metrics.append(Metric(label, passport, partial(Texts.tally_by_prompt, label=label), ratio))
    return metrics


Measurement = measurement(__doc__, {"attribute_success": attribute_success}, predictions="bool")
