"""Perplexity, by hand."""

import math

import pytest

from adapters.decoding.likelihood import LogLikelihood, perplexity_of


def test_perplexity_is_the_exponential_of_the_mean_loss() -> None:
    text = LogLikelihood((math.log(0.5), math.log(0.125)))
    assert text.num_tokens == 2
    assert text.sum_logprob == pytest.approx(math.log(1 / 16))
    assert text.perplexity == perplexity_of(text.sum_logprob, 2) == pytest.approx(4)


@pytest.mark.parametrize(
    ("sum_logprob", "num_tokens", "expected"),
    [(0.0, 0, math.nan), (-1e6, 1, math.inf), (-math.inf, 2, math.inf), (math.nan, 2, math.nan), (0.0, 3, 1.0)],
)
def test_perplexity_of_extreme_sums(sum_logprob: float, num_tokens: int, expected: float) -> None:
    assert perplexity_of(sum_logprob, num_tokens) == pytest.approx(expected, nan_ok=True)
