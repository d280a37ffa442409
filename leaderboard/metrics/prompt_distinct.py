"""Distinct-2 among the samples of one prompt: does a method say different things when it is asked again?

    share of a prompt = different 2-grams in its texts / 2-grams in its texts
    distinct-2 within a prompt = mean of the shares over prompts

The same ratio as distinct-2 (Li et al., NAACL 2016), taken prompt by prompt and not over the corpus; with one sample a
prompt it is that of single texts.
"""

from collections.abc import Hashable, Sequence

import evaluate
import numpy as np

from leaderboard.metrics.grams import Grams, counts
from leaderboard.metrics.metric import Array, Metric, Passport, Setting, Texts, divide, figure, info, plain, ratio


def prompt_distinct(texts: Sequence[str], prompts: Sequence[Hashable]) -> float:
    """Mean distinct-2 of the texts of each prompt; `prompts` says which text belongs to which."""
    return figure(ratio, rows(plain(texts, prompts)))


def rows(texts: Texts) -> Array:
    """(P, 2): distinct-2 of the prompt's texts, 1; zeros for a prompt without a 2-gram."""
    ids, places = texts.grams[1]
    prompts = texts.prompts[places]
    different = np.bincount(counts(Grams(ids, prompts), texts.num_prompts).texts, minlength=texts.num_prompts)
    number = np.bincount(prompts, minlength=texts.num_prompts)
    share = divide(different.astype(float), number.astype(float))
    return np.column_stack([np.nan_to_num(share), number > 0])


def columns(setting: Setting) -> list[Metric]:
    passport = Passport(
        title="distinct-2 within a prompt",
        higher_is_better=True,
        aggregation="different 2-grams over all 2-grams of the texts of a prompt; mean over prompts",
        n=setting.n,
        tokenisation="words between whitespace",
        length=setting.equal_length,
    )
    return [Metric("prompt_distinct_2", passport, rows, ratio)]


class PromptDistinct(evaluate.Measurement):
    """compute(predictions=texts, prompts=prompts) -> {"prompt_distinct_2": …}."""

    def _info(self) -> evaluate.MeasurementInfo:
        return info(__doc__, predictions="string", prompts="string")

    def _compute(self, predictions: Sequence[str], prompts: Sequence[str]) -> dict[str, float]:
        return {"prompt_distinct_2": prompt_distinct(predictions, prompts)}
