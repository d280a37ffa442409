"""Log-probabilities of a text and their perplexity. perplexity = exp(-sum log p(token) / number of tokens)"""

import math
from typing import NamedTuple


class LogLikelihood(NamedTuple):
    """Log-probabilities of the scored tokens of one text, in nats."""

    logprobs: tuple[float, ...]

    @property
    def sum_logprob(self) -> float:
        return math.fsum(self.logprobs)

    @property
    def num_tokens(self) -> int:
        return len(self.logprobs)

    @property
    def perplexity(self) -> float:
        return perplexity_of(self.sum_logprob, self.num_tokens)


def perplexity_of(sum_logprob: float, num_tokens: int) -> float:
    """exp of the mean loss per token; NaN for no tokens, infinity where it is too large for a float.

    >>> perplexity_of(-6.0, 0), perplexity_of(-9e9, 3), round(perplexity_of(math.log(0.25), 2), 6)
    (nan, inf, 2.0)
    """
    if not num_tokens:
        return math.nan
    try:
        return math.exp(-sum_logprob / num_tokens)
    except OverflowError:
        return math.inf
