"""Fits a discriminator: logistic regression on the means of hidden states, and its accuracy on held-out texts.

Beside it a steering vector for each class, from a few of the texts: their states at one layer.

The mean of the last hidden states is over all tokens, the bos token included, as in steering; it is cached on disk. A
fifth of each class, the texts with the lowest hashes, is held out from training, from the choice of the regularisation
and from the scaling of features. Letters: N texts, B rows, T positions, C hidden size.
"""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.stats import binomtest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.adapter_files import new_file
from adapters.base_model import ALONE, BaseModel, Turn
from adapters.decoding.batch import by_length
from adapters.discriminators.labelled import Labelled
from adapters.pplm.discriminator import Accuracy, Directions, Discriminator, Measured, class_names
from adapters.training.batches import chunks
from adapters.training.corpus import hashed_share
from adapters.training.order import Telling
from adapters.vector.direction import ordered, pushes, residual_means, usual_layer
from adapters.vector.shifts import Vector

HELD_OUT = 0.2  # of each class
STRENGTHS = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1)  # C of scikit-learn: smaller is more regularised
FOLDS = 5
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1)  # of the training texts, in the learning curve
SMALLEST = 5  # texts of each class for a point of the curve, at least
MAX_TEXTS = 500  # of a class that its vector is made from, the held-out ones included: more hardly turn it
MAX_TOKENS = 256  # of a text, bos included; the rest is not read
TEXTS_A_FILE = 256  # cached together: an interrupted reading loses at most so many
TOKENS_A_PASS = 256  # padded tokens in one pass: a text that is being written waits for one pass at each token
MAX_CACHE_BYTES = 500_000_000  # of features on disk, 115 MB for 50,000 texts of the embedded model

Features = NDArray[np.float32]
Labels = NDArray[np.int64]  # class indices of texts, or indices of texts


class Trained(NamedTuple):
    discriminator: Discriminator
    measured: Measured


class TrainTest(NamedTuple):
    """Features (N, C) and class indices (N,) of the texts to train on, shuffled by hash, and of the held-out ones."""

    features: Features
    labels: Labels
    held_out_features: Features
    held_out_labels: Labels


def train_discriminator(base: BaseModel, rows: Sequence[Labelled], cache: Path, turn: Turn = ALONE) -> Telling[Trained]:
    """Read all texts, a batch at a time within `turn`, fit and measure; yield what it is doing. Raises UserError."""
    started = time.monotonic()
    classes = class_names(sorted({row.label for row in rows}))
    features = yield from read_features(base, [row.text for row in rows], cache, turn)
    data = split(rows, classes, features.numpy())
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
    vectors, directions = yield from fit_vectors(base, rows, classes, cache, turn)
    measured = Measured(
        classes=classes,
        training_rows=len(data.labels),
        held_out_rows=len(data.held_out_labels),
        largest_class=float(np.bincount(data.held_out_labels).max() / len(data.held_out_labels)),
        strength=strength,
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        curve=tuple(curve),
        directions=directions,
        seconds=time.monotonic() - started,
    )
    return Trained(as_discriminator(model, classes)._replace(vectors=vectors), measured)


def fit_vectors(
    base: BaseModel, rows: Sequence[Labelled], classes: tuple[str, ...], cache: Path, turn: Turn = ALONE
) -> Telling[tuple[tuple[Vector, ...], Directions]]:
    """The steering vectors of the classes, and how well each puts held-out texts in order. Raises UserError."""
    layer, by_hash = usual_layer(base), sorted(rows, key=lambda row: hashed_share("vector " + row.text))
    few = [row for name in classes for row in [row for row in by_hash if row.label == name][:MAX_TEXTS]]
    features = yield from read_features(base, [row.text for row in few], cache, turn, layer)
    data = split(few, classes, features.numpy())
    found = pushes(data.features, data.labels, len(classes))
    orders = (ordered(push, data.held_out_features, data.held_out_labels == c) for c, push in enumerate(found))
    norm = float(np.linalg.norm(found[0]))
    measured = Directions(layer, norm, len(data.labels), len(data.held_out_labels), tuple(orders))
    return tuple(Vector(layer, torch.from_numpy(push)) for push in found), measured


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
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000))


def best_strength(data: TrainTest) -> Telling[float]:
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


def read_features(
    base: BaseModel, texts: Sequence[str], folder: Path, turn: Turn = ALONE, layer: str = ""
) -> Telling[Tensor]:
    """Means (N, C) in float32 of the last hidden states; with a `layer` its `residual_means` (N, C + 1).

    They come from the cache in `folder` where they are there. Yield how many texts are done.
    """
    parts: list[Tensor] = []
    told = f"of {len(texts):,} texts"
    folder.mkdir(parents=True, exist_ok=True)
    with turn:
        base_hash = base.weights_hash
    done = 0
    for part in chunks(texts, TEXTS_A_FILE):
        key = json.dumps([base_hash, MAX_TOKENS, part, *([layer] if layer else [])])
        file = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
        try:
            means = load_file(file)["means"]
            file.touch()
        except (OSError, SafetensorError, KeyError):  # missing or damaged
            means = yield from read_means(base, part, done, told, turn, layer)
            with new_file(file) as scratch:
                save_file({"means": means}, scratch)
        parts.append(means)
        done += len(part)
        yield f"read {done:,} {told}"
    trim(folder)
    return torch.cat(parts)


def trim(folder: Path) -> None:
    """Delete the cached features that have not been used for longest, beyond MAX_CACHE_BYTES."""
    left = MAX_CACHE_BYTES
    for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True):
        left -= file.stat().st_size
        if left < 0:
            file.unlink(missing_ok=True)


def read_means(base: BaseModel, texts: Sequence[str], done: int, told: str, turn: Turn, layer: str) -> Telling[Tensor]:
    encoded = [base.encode(text)[:MAX_TOKENS] for text in texts]
    means: dict[int, Tensor] = {}
    for batch in by_length(list(map(len, encoded)), TOKENS_A_PASS):
        with turn:
            some = [encoded[i] for i in batch]
            means |= zip(batch, residual_means(base, layer, some) if layer else mean_hidden(base, some), strict=True)
        yield f"read {done + len(means):,} {told}"
    return torch.stack([means[i] for i in range(len(texts))])


@torch.no_grad()
def mean_hidden(base: BaseModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """Means (B, C) over the tokens of each row."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(base.device)  # (B, T), padded behind
    lengths = torch.tensor([len(row) for row in rows], device=base.device)  # (B,)
    mask = torch.arange(ids.shape[1], device=base.device) < lengths[:, None]
    hidden = base.model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()  # (B, T, C)
    return (hidden.masked_fill(~mask[..., None], 0).sum(1) / lengths[:, None]).cpu()
