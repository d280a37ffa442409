"""Perplexity of a text given its prompt, under a judge (an LM).

    perplexity = exp( - sum over texts and tokens of log p(token | prompt, tokens before) / number of tokens )

One exponential of the mean over all tokens of all texts (Jelinek et al. 1977). A second column is the median
over texts. Repetition lowers perplexity, so read it with distinct-n and repetition.
"""

from functools import partial

import numpy as np

from leaderboard.metrics.metric import Figures, Metric, Setting, Texts, divide, measurement, stacked
from leaderboard.metrics.passport import Array, Passport

CORPUS = "exp(total loss / total number of tokens)"


def perplexities(totals: Array, numbers: Array) -> Array:
    """exp of the mean loss per token; NaN for no tokens, infinity where it is too large for a float."""
    with np.errstate(over="ignore"):
        return np.exp(divide(-totals, numbers))


def each(tallies: Array) -> Array:
    """The perplexity of each text: (N, 2) -> (N,)."""
    return perplexities(tallies[:, 0], tallies[:, 1])


def value(rows: Array, weights: Array) -> Array:
    sums = weights @ rows  # (R, 2)
    return perplexities(sums[:, 0], sums[:, 1])


def median(rows: Array, weights: Array) -> Array:
    """Weighted median of the entries of rows (P, K) that are not NaN."""
    prompts, columns = np.nonzero(~np.isnan(rows))
    if not len(prompts):
        return np.full(len(weights), np.nan)
    values = rows[prompts, columns]
    order = np.argsort(values)
    reached = np.cumsum(weights[:, prompts[order]], axis=1)  # (R, N) texts up to here
    half = reached[:, -1:] / 2
    lower, upper = (reached < half).sum(1), (reached <= half).sum(1)
    values = np.append(values[order], np.nan)  # if nothing counts, `upper` is past the end
    return (values[lower] + values[upper]) / 2


def _each_row(texts: Texts, label: str) -> Array:
    """The perplexities of the texts of each prompt, padded with NaN: (P, most texts of a prompt)."""
    order = np.argsort(texts.prompts, kind="stable")
    prompts = texts.prompts[order]
    draws = np.arange(len(order)) - np.searchsorted(prompts, prompts)
    rows = np.full((texts.num_prompts, draws.max(initial=0) + 1), np.nan)
    rows[prompts, draws] = each(texts.tally(label))[order]
    return rows


def passport(judge: str, title: str, aggregation: str, n: str) -> Passport:
    bos = "the judge's BOS token before the prompt, if it has one"
    masking = "tokens of the text with its end token (finished texts have none), not of the prompt"
    units = "the generated ids; a judge with another tokenizer encodes the text itself"
    return Passport(title, False, aggregation, n, judge, bos, masking, units, "whole texts")


def columns(setting: Setting) -> list[Metric]:
    of = partial(passport, setting.judge_title, n=setting.n)
    corpus = of("perplexity", CORPUS)
    middle = of("median perplexity", "median of the perplexities of the texts")
    return [
        Metric("perplexity", corpus, partial(Texts.tally_by_prompt, label=setting.judge), value),
        Metric("median_perplexity", middle, partial(_each_row, label=setting.judge), median),
    ]


def under(label: str, title: str, n: str) -> Metric:
    """Perplexity under another model than the judge."""
    what = passport(title, f"perplexity under {label}", CORPUS, n)
    return Metric(f"perplexity_under:{label}", what, partial(Texts.tally_by_prompt, label=label), value)


FIGURES: Figures = {
    "perplexity": (value, stacked),
    "median_perplexity": (median, lambda *tallies: each(stacked(*tallies))[:, None]),
}
Measurement = measurement(__doc__, FIGURES, sum_logprobs="float64", num_tokens="int64")
