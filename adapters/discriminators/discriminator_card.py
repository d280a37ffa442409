"""The figures of a discriminator, in `metrics.json`, and its card, which says nothing else."""

from collections.abc import Iterable, Sequence

from pydantic.dataclasses import dataclass

from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO
from adapters.methods import STRICT
from adapters.training.corpus import UNKNOWN


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


@dataclass(frozen=True, config=STRICT)
class DiscriminatorReport:
    """Everything a card says."""

    name: str
    base: str
    about: str
    licence: str
    command: str
    machine: str
    measured: Measured


def discriminator_card(report: DiscriminatorReport) -> str:
    """README.md of a discriminator, with front matter for the Hub."""
    measured, best = report.measured, report.measured.accuracy
    curve = ((f"{p.rows:,}", f"{p.share:.1%}", f"{p.low:.1%} to {p.high:.1%}") for p in measured.curve)
    return f"""---
base_model: {EMBEDDED_REPO if report.base == EMBEDDED_ID else report.base}
pipeline_tag: text-classification
license: {"unknown" if report.licence == UNKNOWN else "apache-2.0"}
language: en
tags:
- pplm
- steerboard
---

# {report.name}

A discriminator for `{report.base}`: a linear head on the mean of its last hidden states over all tokens of a text, to
steer towards a class with PPLM (`{report.name}:{measured.classes[-1]}`). Classes: `{"`, `".join(measured.classes)}`.

- **Data**: {report.about}. Licence: {report.licence}.
- **Split**: {measured.training_rows:,} texts to train, {measured.held_out_rows:,} held out: a fifth of each class, by
  hash.
- **Training**: logistic regression on scaled features, C = {measured.strength:g} by the cross-entropy in 5 folds of the
  training texts; {measured.seconds / 60:.1f} minutes on {report.machine}, cached features not counted.
- **Make it again**: `{report.command}`

## Held-out texts

**{best.share:.1%}** are predicted right (95 % Wilson interval {best.low:.1%} to {best.high:.1%}); the most
frequent class alone is {measured.largest_class:.1%} of them.

{confusion(measured)}

## How much data was enough

{table(("training texts", "held-out accuracy", "95 % interval"), curve)}

From {measured.enough:,} texts on the accuracy lies within the interval of the discriminator trained on all.
"""


def confusion(measured: Measured) -> str:
    """Confusion matrix; names of classes are escaped."""
    names = [name.replace("\\", "\\\\").replace("|", "\\|") for name in measured.classes]
    counts = zip(names, measured.confusion, strict=True)
    return table(("is \\ predicted as", *names), ((f"**{name}**", *map(str, row)) for name, row in counts))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])
