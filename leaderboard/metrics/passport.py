"""What a column says of itself, without the code that computes it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Passport:
    """How a column is computed. None: does not apply."""

    title: str
    higher_is_better: bool | None  # None: neither
    aggregation: str
    n: str | None = None  # number of texts and prompts
    judge: str | None = None
    bos: str | None = None
    masking: str | None = None
    tokenisation: str | None = None
    length: str | None = None
    interval: str = (
        "95 % bootstrap over prompts, 2,000 samples, wider for few prompts; against the base paired. "
        "Marks obey a wider bound: one 95 % bound over all differences of the table (max-t)"
    )

    @property
    def arrow(self) -> str:
        return {None: "", True: "↑", False: "↓"}[self.higher_is_better]

    @property
    def heading(self) -> str:
        return f"{self.title} {self.arrow}".rstrip()

    @property
    def direction(self) -> str | None:
        return {None: None, True: "higher is better", False: "lower is better"}[self.higher_is_better]
