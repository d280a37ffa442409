"""One request with everything that it needs, and the tokens written so far."""

import math
from dataclasses import dataclass, field

from torch import Generator, Tensor

from adapters.lora.rows import ScaledLora
from adapters.methods import Request
from adapters.pplm.bags import WeightedLoss


@dataclass
class Row:
    """A row of a batch."""

    request: Request
    prompt_ids: list[int]
    max_new_tokens: int
    generator: Generator
    lora: ScaledLora | None = None
    prefix: Tensor | None = None  # (L, 2, H, P, D)
    attribute_loss: WeightedLoss | None = None
    ids: list[int] = field(init=False)  # of the prompt and of the text
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    finish_reason: str | None = None
    likelihood: float = 0.0  # sum over the tokens of how much the text before showed the attributes

    def __post_init__(self) -> None:
        self.ids = list(self.prompt_ids)

    @property
    def score(self) -> float:
        """Mean over the tokens of how much the text shows its attributes, to rank it; -inf if it diverged."""
        return -math.inf if self.finish_reason == "diverged" else self.likelihood / max(1, len(self.token_ids))

    @property
    def prefix_length(self) -> int:
        return 0 if self.prefix is None else self.prefix.shape[-2]

    @property
    def room(self) -> int:
        """Columns after the prompt: tokens to write, and those of the horizon."""
        steering = self.request.method.steering
        return self.max_new_tokens + (steering.horizon_length if steering else 0)

    def take(self, token: int, logprob: float, sound: bool, likelihood: float, eos: frozenset[int]) -> None:
        """Add the chosen token, unless the row diverged (not `sound`), and notice the end."""
        if not sound:
            self.finish_reason = "diverged"
            return
        self.likelihood += likelihood
        self.token_ids.append(token)
        self.ids.append(token)
        self.logprobs.append(logprob)
        if token in eos:
            self.finish_reason = "eos"
        elif len(self.token_ids) == self.max_new_tokens:
            self.finish_reason = "length"
