"""The figures of texts and numbers alone, without a run."""

from collections.abc import Hashable, Sequence

from leaderboard.metrics import attribute, bleu, chrf, compression, cost, distinct, perplexity, rouge_l, self_bleu
from leaderboard.metrics.metric import figure, plain, ratio, stacked


def attribute_success_of(verdicts: Sequence[bool]) -> float:
    return figure(ratio, attribute.rows(verdicts))


def bleu_of(texts: Sequence[str], references: Sequence[str]) -> float:
    return figure(bleu.value, bleu.statistics(texts, references))


def chrf_of(texts: Sequence[str], references: Sequence[str]) -> float:
    return figure(chrf.value, chrf.statistics(texts, references))


def rouge_l_of(texts: Sequence[str], references: Sequence[str]) -> float:
    return figure(ratio, rouge_l.statistics(texts, references))


def self_bleu_of(texts: Sequence[str]) -> float:
    return figure(ratio, self_bleu.rows(plain(texts)))


def compression_of(texts: Sequence[str], prompts: Sequence[Hashable]) -> float:
    return figure(ratio, compression.rows(plain(texts, prompts)))


def prompt_distinct_of(texts: Sequence[str], prompts: Sequence[Hashable]) -> float:
    return figure(ratio, distinct.prompt_rows(plain(texts, prompts)))


def relative_speed_of(*batches: Sequence[float]) -> float:
    """New tokens and seconds of a method, then of the base, an entry a batch."""
    return figure(cost.value, stacked(*batches))


def perplexity_of(sum_logprobs: Sequence[float], num_tokens: Sequence[float]) -> float:
    return figure(perplexity.value, stacked(sum_logprobs, num_tokens))


def median_perplexity_of(sum_logprobs: Sequence[float], num_tokens: Sequence[float]) -> float:
    return figure(perplexity.median, perplexity.each(stacked(sum_logprobs, num_tokens))[:, None])
