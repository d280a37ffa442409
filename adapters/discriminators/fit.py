"""Fits a discriminator: logistic regression on the means of hidden states, and its accuracy on held-out texts.

A fifth of each class, the texts with the lowest hashes, is held out from training, from the choice of the
regularisation and from the scaling of features.
"""

import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from adapters.base_model import BaseModel
from adapters.discriminators.discriminator_card import Accuracy, Measured
from adapters.discriminators.features import ALONE, Turn, read_features
from adapters.discriminators.labelled import Labelled
from adapters.pplm.discriminator import Discriminator, class_names
from adapters.training.corpus import hashed_share

HELD_OUT = 0.2  # of each class
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C of scikit-learn: smaller is more regularised
FOLDS = 5
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the training texts, in the learning curve
SMALLEST = 5  # texts of each class for a point of the curve, at least
MAX_ITERATIONS = 2000

Features = NDArray[np.float32]
Labels = NDArray[np.int64]  # class indices of texts, or indices of texts


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
        few = np.sort(first_of_each(np.arange(len(data.labels)), data.labels, share))
        if np.bincount(data.labels[few], minlength=len(classes)).min() >= SMALLEST or share == 1:
            model = regression(strength).fit(data.features[few], data.labels[few])
            predicted = model.predict(data.held_out_features)
            right = binomtest(int((predicted == data.held_out_labels).sum()), len(predicted))
            interval = right.proportion_ci(method="wilson")
            curve.append(Accuracy(len(few), float(right.statistic), float(interval.low), float(interval.high)))
            yield f"trained on {len(few):,} texts: {curve[-1].share:.1%} of the held-out ones right"
    confusion = confusion_matrix(data.held_out_labels, predicted)
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
    labels = np.array([classes.index(row.label) for row in rows])
    by_hash, order = (np.argsort([hashed_share(how + row.text) for row in rows]) for how in ("", "order "))
    held_out = np.isin(order, first_of_each(by_hash, labels, HELD_OUT))
    training, rest = order[~held_out], order[held_out]
    return TrainTest(features[training], labels[training], features[rest], labels[rest])


def first_of_each(order: Labels, labels: Labels, share: float) -> Labels:
    """First indices in an order, the same share of each class, but at least one."""
    own = [order[labels[order] == label] for label in np.unique(labels)]
    return np.concatenate([indices[: max(1, round(share * len(indices)))] for indices in own])


def regression(strength: float) -> Pipeline:
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=MAX_ITERATIONS))


def best_strength(data: TrainTest) -> Generator[str, None, float]:
    """The strength with the lowest cross-entropy over folds: steering needs probabilities, not ranks."""
    scores: dict[float, float] = {}
    for strength in STRENGTHS:
        yield f"trying regularisation {len(scores) + 1} of {len(STRENGTHS)}"
        folds = cross_val_score(regression(strength), data.features, data.labels, cv=FOLDS, scoring="neg_log_loss")
        scores[strength] = float(folds.mean())
    return max(scores, key=scores.__getitem__)


def as_discriminator(model: Pipeline, classes: tuple[str, ...]) -> Discriminator:
    """The regression and its scaling as one linear map."""
    scaler, last = model[0], model[-1]
    weight, bias = last.coef_ / scaler.scale_, last.intercept_ - last.coef_ @ (scaler.mean_ / scaler.scale_)
    if len(classes) == 2:  # one row of logits of the second class against the first
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return Discriminator(classes, torch.tensor(weight, dtype=torch.float32), torch.tensor(bias, dtype=torch.float32))
