"""The figures of a discriminator, in `metrics.json`; its card says nothing else."""

from pydantic.dataclasses import dataclass

from adapters.methods import STRICT


@dataclass(frozen=True, config=STRICT)
class Accuracy:
    """Share of held-out texts predicted right after training on `rows` texts, with its 95 % Wilson interval."""

    rows: int
    share: float
    low: float
    high: float


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
