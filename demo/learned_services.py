"""What the page needs to show what adapters have learned and what methods cost, as plain types.

Knows which calls the tab makes; knows nothing of how they are answered.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from adapters.learned.costs import Costs


class Update(Protocol):
    """What a LoRA does to one module (see adapters.learned.spectrum.Update)."""

    @property
    def path(self) -> str: ...
    @property
    def size(self) -> tuple[int, int]: ...
    @property
    def trained(self) -> int: ...
    @property
    def singular_values(self) -> Sequence[float]: ...
    @property
    def layer(self) -> int | None: ...
    @property
    def module(self) -> str: ...
    @property
    def relative(self) -> float: ...
    @property
    def effective_rank(self) -> float: ...


class Crop(Protocol):
    """A square of W, of what is added to it, and of their sum (see adapters.learned.spectrum.Crop)."""

    @property
    def path(self) -> str: ...
    @property
    def first_row(self) -> int: ...
    @property
    def first_column(self) -> int: ...
    @property
    def weight(self) -> Sequence[Sequence[float]]: ...
    @property
    def change(self) -> Sequence[Sequence[float]]: ...
    @property
    def adapted(self) -> Sequence[Sequence[float]]: ...


class Neighbour(Protocol):
    """A token of the vocabulary near a virtual token."""

    @property
    def text(self) -> str: ...
    @property
    def cosine(self) -> float: ...


class Virtual(Protocol):
    """One virtual token of a prefix (see adapters.learned.prefix_attention.Virtual)."""

    @property
    def before(self) -> Sequence[Neighbour]: ...
    @property
    def after(self) -> Sequence[Neighbour]: ...
    @property
    def moved(self) -> Sequence[float]: ...


class Attention(Protocol):
    """How much of their attention generated tokens pay to a prefix (see
    adapters.learned.prefix_attention.Attention)."""

    @property
    def layers(self) -> Sequence[Sequence[float]]: ...
    @property
    def tokens(self) -> Sequence[Sequence[float]]: ...


class Watched(Protocol):
    """A text written with a prefix, and what its tokens looked at once it is finished."""

    @property
    def tokens(self) -> Sequence[str]: ...
    @property
    def attention(self) -> Attention | None: ...


class Explorer(Protocol):
    """What the adapters have learned (see adapters.learned.explorer.Explorer)."""

    def updates(self, name: str) -> Sequence[Update]: ...
    def crop(self, name: str, path: str) -> Crop: ...
    def words(self, name: str) -> Sequence[Virtual]: ...
    def watch(self, name: str, prompt: str) -> Iterator[Watched]: ...
    def as_json(self, name: str) -> bytes: ...


class MethodCosts(Protocol):
    """What each method costs here (see adapters.learned.method_costs.MethodCosts)."""

    def stored(self) -> Costs | None: ...
    def measure(self) -> Iterator[str]: ...
