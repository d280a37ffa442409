"""Discriminators: a linear head on the mean of the base model's last hidden states, as in the paper.

    p(class | text) = softmax(W mean_t h_t + b),    attribute loss = -log p(class | text)

A discriminator works on the base model that it was trained on alone. Its figures are in `metrics.json`; its card says
nothing else. Letters: B rows, C hidden size, K classes.
"""

from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic.dataclasses import dataclass
from safetensors.torch import save_file
from torch import Tensor

from adapters.adapter_files import WEIGHTS_FILE, read_config, read_tensors, write_json
from adapters.base_model import BaseModel
from adapters.methods import STRICT, UserError
from adapters.pplm.bags import AttributeLoss, Evidence
from adapters.vector.direction import layer_paths
from adapters.vector.shifts import Vector

DISCRIMINATOR_FILE = "discriminator_config.json"
MAX_CLASSES = 100
MAX_CLASS_NAME = 60  # characters
SEPARATORS = frozenset("+*,")  # of short names of methods


class Discriminator(NamedTuple):
    """A linear head; the name of a class is what `Attribute.name` says behind the colon."""

    classes: tuple[str, ...]
    weight: Tensor  # (K, C), float32
    bias: Tensor  # (K,)
    vectors: tuple[Vector, ...] = ()  # of each class; none in those of earlier releases

    def logits(self, means: Tensor) -> Tensor:
        """(B, K) of means (B, C) of hidden states."""
        return F.linear(means, self.weight, self.bias)


@dataclass(frozen=True, config=STRICT)
class Accuracy:
    """Share of held-out texts predicted right after training on `rows` texts, with its 95 % Wilson interval."""

    rows: int
    share: float
    low: float
    high: float


@dataclass(frozen=True, config=STRICT)
class Directions:
    """How the steering vectors of the classes were made."""

    layer: str  # path of the decoder layer in the base model
    norm: float  # mean norm of its states over the training texts: strength 1
    training_rows: int
    held_out_rows: int
    ordered: tuple[float, ...]  # of each class: share of held-out pairs in which its text lies further along


@dataclass(frozen=True, config=STRICT)
class Measured:
    classes: tuple[str, ...]
    training_rows: int
    held_out_rows: int
    largest_class: float  # share of the most frequent class in the held-out texts
    strength: float  # C of scikit-learn, chosen by cross-entropy in 5 folds of the training texts
    confusion: tuple[tuple[int, ...], ...]  # held-out texts of a class (row) predicted as another (column)
    curve: tuple[Accuracy, ...]  # with more and more training texts; the last point uses all
    seconds: float  # of reading, choosing and fitting; cached features take none
    directions: Directions | None = None  # of its steering vectors; None in those of earlier releases

    @property
    def accuracy(self) -> Accuracy:
        return self.curve[-1]

    @property
    def enough(self) -> int:
        """Smallest number of texts with an accuracy within the interval of the one trained on all."""
        return next(point.rows for point in self.curve if point.share >= self.accuracy.low)


@dataclass(frozen=True, config=STRICT)
class DiscriminatorReport:
    name: str
    base: str
    about: str
    licence: str
    command: str
    machine: str
    measured: Measured


def class_index(discriminator: Discriminator, label: str) -> int:
    """The place of the class `label`. Raises UserError for an unknown class."""
    if label not in discriminator.classes:
        raise UserError(f"The discriminator has no class {label!r}: choose one of {', '.join(discriminator.classes)}.")
    return discriminator.classes.index(label)


def discriminator_loss(discriminator: Discriminator, label: str, device: torch.device) -> AttributeLoss:
    """Cross-entropy towards the class `label`. Raises UserError for an unknown class."""
    wanted = class_index(discriminator, label)
    discriminator = Discriminator(discriminator.classes, discriminator.weight.to(device), discriminator.bias.to(device))

    def loss(evidence: Evidence) -> Tensor:
        means = evidence.hidden_sum / evidence.num_hidden[:, None]  # (B, C)
        return -discriminator.logits(means).log_softmax(-1)[:, wanted]

    return loss


def write_discriminator(discriminator: Discriminator, base: BaseModel, folder: Path) -> None:
    config = {"base_model": base.id, "base_hash": base.weights_hash, "classes": discriminator.classes}
    tensors = {"weight": discriminator.weight.contiguous(), "bias": discriminator.bias.contiguous()}
    if vectors := discriminator.vectors:
        config |= {"layer": vectors[0].layer}
        tensors["pushes"] = torch.stack([vector.push for vector in vectors])
    write_json(folder / DISCRIMINATOR_FILE, config)
    save_file(tensors, folder / WEIGHTS_FILE)


def read_discriminator(folder: Path, base: BaseModel) -> Discriminator:
    """The discriminator in `folder`. Raises UserError with one line where it is damaged or another base model's."""
    config = read_config(folder, DISCRIMINATOR_FILE)
    if extra := sorted(config.keys() - {"base_model", "base_hash", "classes", "layer"}):
        raise UserError(f"{DISCRIMINATOR_FILE} holds an unknown field: {extra[0][:100]}.")
    if config.get("base_model") != base.id:
        raise UserError(f"It was made for the base model {str(config.get('base_model'))[:100]!r}, not for {base.id!r}.")
    if config.get("base_hash") != base.weights_hash:
        raise UserError(f"It was made for other weights of the base model {base.id!r}: train it again.")
    classes = class_names(config.get("classes"))
    size = base.model.get_output_embeddings().weight.shape[1]
    layer = config.get("layer")
    if layer is not None and layer not in layer_paths(base):
        raise UserError(f"layer: {base.id!r} has no layer {str(layer)[:100]!r}: train it again.")
    shapes: dict[str, tuple[int, ...]] = {"weight": (len(classes), size), "bias": (len(classes),)}
    tensors = read_tensors(folder, shapes | ({} if layer is None else {"pushes": (len(classes), size)}))
    vectors = tuple(Vector(str(layer), push) for push in tensors.get("pushes", ()))
    return Discriminator(classes, tensors["weight"], tensors["bias"], vectors)


def class_names(names: object) -> tuple[str, ...]:
    """The names of the classes, checked: two or more, different, short. Raises UserError."""
    if not isinstance(names, list) or not 2 <= len(names) <= MAX_CLASSES or len(set(map(str, names))) < len(names):
        raise UserError(f"A discriminator has 2 to {MAX_CLASSES} classes with different names.")
    for name in names:
        if not isinstance(name, str) or not 0 < len(name) <= MAX_CLASS_NAME or not name.isprintable():
            raise UserError(
                f"A class cannot be called {str(name)[:80]!r}: use 1 to {MAX_CLASS_NAME} printable characters."
            )
        if found := SEPARATORS.intersection(name):
            raise UserError(f"A class cannot be called {name!r}: {min(found)} stands between the parts of a method.")
    return tuple(names)
