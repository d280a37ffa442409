"""Distinct-n, distinct-2 within a prompt, and repetition: shares of n-grams.

    distinct-n = different n-grams in all texts / n-grams in all texts    (Li et al., NAACL 2016)
    distinct-2 within a prompt = mean over prompts of (different 2-grams in its texts / 2-grams in its texts)
    repetition = sum over texts of (4-grams - different 4-grams) / sum over texts of 4-grams (Welleck et al., ICLR 2020)

An n-gram is n words in a row; words stand between whitespace, case and punctuation kept. Distinct-n falls with the
number and length of texts, so methods are compared on equally many texts of equal length. A text that collapses into
"love love love" has a good perplexity and a bad repetition.

Distinct-n is no sum over prompts. To resample prompts, each n-gram has a credit of 1: of its prompt if no other has it,
else of all prompts in equal parts. Credits sum to the number of different n-grams, and differ by what is lost without a
prompt (jackknife; Efron and Stein 1981). Drawing the texts themselves would draw some twice and make every method look
repetitive.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np

from leaderboard.metrics import metric
from leaderboard.metrics.grams import Grams, counts
from leaderboard.metrics.metric import Metric, Setting, Texts, figure, plain, ratio
from leaderboard.metrics.passport import Array, Passport

ORDERS = (1, 2, 3)
WORDS = "words between whitespace, case and punctuation kept"


def distinct(texts: Sequence[str], n: int) -> float:
    """Distinct-n of texts; NaN if no text has n words."""
    return figure(ratio, distinct_rows(plain(texts), n))


def repetition(texts: Sequence[str]) -> float:
    """Share of repeated 4-grams, 0 to 1; NaN if no text has four words."""
    return figure(ratio, repetition_rows(plain(texts)))


def distinct_rows(texts: Texts, n: int) -> Array:
    """(P, 2): credits for different n-grams, number of n-grams."""
    ids, owners = texts.grams[n - 1]
    prompts = texts.prompts[owners]
    shared = counts(Grams(ids, prompts), texts.num_prompts)
    holders = np.bincount(shared.ids)  # by n-gram: how many prompts have it
    number = np.bincount(prompts, minlength=texts.num_prompts)
    own = np.bincount(shared.texts[holders[shared.ids] == 1], minlength=texts.num_prompts)
    common = (len(holders) - own.sum()) / max(1, np.count_nonzero(number))
    return np.column_stack([np.where(number > 0, own + common, 0), number])


def prompt_rows(texts: Texts) -> Array:
    """(P, 2): distinct-2 of the prompt's texts, 1; zeros for a prompt without a 2-gram."""
    ids, owners = texts.grams[1]
    prompts = texts.prompts[owners]
    different = np.bincount(counts(Grams(ids, prompts), texts.num_prompts).texts, minlength=texts.num_prompts)
    number = np.bincount(prompts, minlength=texts.num_prompts)
    share = metric.divide(different.astype(float), number.astype(float))
    return np.column_stack([np.nan_to_num(share), number > 0])


def repetition_rows(texts: Texts) -> Array:
    """(P, 2): repeated 4-grams, 4-grams."""
    found = texts.grams[3]
    number = np.bincount(found.texts, minlength=len(texts.texts))
    different = np.bincount(counts(found, len(texts.texts)).texts, minlength=len(texts.texts))
    return texts.by_prompt(number - different, number)


def columns(setting: Setting) -> list[Metric]:
    of = partial(Passport, n=setting.n, tokenisation=WORDS, length=setting.equal_length)
    interval = f"{Passport.interval}; a prompt counts by the n-grams that no other prompt has"
    whole = {
        n: of(f"distinct-{n}", True, f"different {n}-grams / all {n}-grams, over all texts", interval=interval)
        for n in ORDERS
    }
    of_prompt = "different 2-grams / all 2-grams in the texts of a prompt; mean over prompts"
    within = of("distinct-2 within a prompt", True, of_prompt)
    repeated = of("repetition", False, "4-grams that occurred before in the same text / all 4-grams, over all texts")
    return [
        *(Metric(f"distinct_{n}", passport, partial(distinct_rows, n=n), ratio) for n, passport in whole.items()),
        Metric("prompt_distinct_2", within, prompt_rows, ratio),
        Metric("repetition", repeated, repetition_rows, ratio),
    ]


FIGURES: metric.Figures = {
    **{f"distinct_{n}": (ratio, lambda texts, _, n=n: distinct_rows(plain(texts), n)) for n in ORDERS},
    "prompt_distinct_2": (ratio, lambda *columns: prompt_rows(plain(*columns))),
    "repetition": (ratio, lambda texts, _: repetition_rows(plain(texts))),
}
Measurement = metric.measurement(__doc__, FIGURES, predictions="string", prompts="string")
