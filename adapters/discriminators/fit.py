"""Fits a discriminator: logistic regression on the means of hidden states, and its accuracy on held-out texts.

A fifth of each class, the texts with the lowest hashes, is held out from training, from the choice of the
regularisation and from the scaling of features.
"""

import time
from collections import defaultdict
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.base_model import BaseModel
from adapters.discriminators.features import ALONE, Turn, read_features
from adapters.discriminators.labelled import Labelled
from adapters.methods import STRICT
from adapters.pplm.discriminator import Discriminator, class_names
from adapters.training.corpus import hashed_share

HELD_OUT = 0.2  # of each class
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C of scikit-learn: smaller is more regularised
FOLDS = 5
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the training texts, in the learning curve
SMALLEST = 5  # texts of each class for a point of the curve, at least
MAX_ITERATIONS = 2000

Features = NDArray[np.float32]
Labels = NDArray[np.int64]


@dataclass(frozen=True, config=STRICT)
class Accuracy:
    """Share of held-out texts predicted right after training on `rows` texts, with its 95 % Wilson interval."""

    rows: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, config=STRICT)
class Measured:
    """Figures of a trained discriminator."""

    classes: tuple[str, ...]
    training_rows: int
    held_out_rows: int
    largest_class: float  # share of the most frequent class in the held-out texts
    strength: float  # C of scikit-learn, chosen by cross-entropy in 5 folds of the training texts
    confusion: tuple[tuple[int, ...], ...]  # held-out texts of a class (row) predicted as another (column)
    curve: tuple[Accuracy, ...]  # with more and more training texts; the last point uses all
    seconds: float  # of reading, choosing and fitting; cached features take none

    @property
    def accuracy(self) -> Accuracy:
        return self.curve[-1]

    @property
    def enough(self) -> int:
        """Smallest number of texts with an accuracy within the interval of the one trained on all."""
        return next(point.rows for point in self.curve if point.share >= self.accuracy.low)


class Trained(NamedTuple):
    """A discriminator and its figures."""

    discriminator: Discriminator
    measured: Measured


class TrainTest(NamedTuple):
    """Features (N, C) and class indices (N,) of the texts to train on, shuffled by hash, and of the held-out ones."""

    features: Features
    labels: Labels
    held_out_features: Features
    held_out_labels: Labels


def train_discriminator(
    base: BaseModel, rows: Sequence[Labelled], cache: Path, turn: Turn = ALONE
) -> Generator[str, None, Trained]:
    """Read all texts, fit a discriminator and measure it; yield what it is doing. Raises UserError.

    It uses the model within `turn`, a batch at a time.
    """
    started = time.monotonic()
    classes = class_names(sorted({row.label for row in rows}))
    reading = read_features(base, [row.text for row in rows], cache, turn)
    while True:
        try:
            yield f"read {next(reading):,} of {len(rows):,} texts"
        except StopIteration as end:
            features: Features = end.value.numpy()
            break
    data = split(rows, classes, features)
    strength = yield from best_strength(data)
    curve = []
    for share in SHARES:
        few = TrainTest(*first_of_each(data, share), *data[2:])
        if np.bincount(few.labels, minlength=len(classes)).min() >= SMALLEST or share == 1:
            model = fit(few, strength)
            curve.append(accuracy(few, model.predict(few.held_out_features)))
            yield f"trained on {curve[-1].rows:,} texts: {curve[-1].share:.1%} of the held-out ones right"
    confusion = confusion_matrix(data.held_out_labels, model.predict(data.held_out_features))
    measured = Measured(
        classes=classes,
        training_rows=len(data.labels),
        held_out_rows=len(data.held_out_labels),
        largest_class=float(np.bincount(data.held_out_labels).max() / len(data.held_out_labels)),
        strength=strength,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        curve=tuple(curve),
        seconds=time.monotonic() - started,
    )
    return Trained(as_discriminator(model, classes), measured)


def split(rows: Sequence[Labelled], classes: Sequence[str], features: Features) -> TrainTest:
    """Hold out the rows of each class with the lowest hashes of their texts."""
    by_class: dict[str, list[int]] = defaultdict(list)
    for index in sorted(range(len(rows)), key=lambda index: hashed_share(rows[index].text)):
        by_class[rows[index].label].append(index)
    held_out = {i for own in by_class.values() for i in own[: max(1, round(HELD_OUT * len(own)))]}
    order = sorted(range(len(rows)), key=lambda index: hashed_share(f"order {rows[index].text}"))
    labels = np.array([classes.index(row.label) for row in rows])
    training, rest = ([i for i in order if (i in held_out) == part] for part in (False, True))
    return TrainTest(features[training], labels[training], features[rest], labels[rest])


def first_of_each(data: TrainTest, share: float) -> tuple[Features, Labels]:
    """First texts to train on, the same share of each class."""
    own = [np.flatnonzero(data.labels == label) for label in np.unique(data.labels)]
    kept = np.sort(np.concatenate([indices[: round(share * len(indices))] for indices in own]))
    return data.features[kept], data.labels[kept]


def regression(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MAX_ITERATIONS))


def fit(data: TrainTest, strength: float) -> Pipeline:
    return regression(strength).fit(data.features, data.labels)


def best_strength(data: TrainTest) -> Generator[str, None, float]:
    """The strength with the lowest cross-entropy over folds: steering needs probabilities, not ranks."""
    scores: dict[float, float] = {}
    for strength in STRENGTHS:
        yield f"trying regularisation {len(scores) + 1} of {len(STRENGTHS)}"
        folds = cross_val_score(regression(strength), data.features, data.labels, cv=FOLDS, scoring="neg_log_loss")
        scores[strength] = float(folds.mean())
    return max(scores, key=scores.__getitem__)


def accuracy(data: TrainTest, predicted: Labels) -> Accuracy:
    """Accuracy on the held-out texts."""
    result = binomtest(int((predicted == data.held_out_labels).sum()), len(predicted))
    interval = result.proportion_ci(method="wilson")
    return Accuracy(len(data.labels), float(result.statistic), float(interval.low), float(interval.high))


def as_discriminator(model: Pipeline, classes: tuple[str, ...]) -> Discriminator:
    """The regression and its scaling as one linear map."""
    scaler, last = model[0], model[-1]
    weight, bias = last.coef_ / scaler.scale_, last.intercept_ - last.coef_ @ (scaler.mean_ / scaler.scale_)
    if len(classes) == 2:  # one row of logits of the second class against the first
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Discriminator(classes, torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32))
