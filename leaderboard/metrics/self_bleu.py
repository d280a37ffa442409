"""Self-BLEU: similarity of each text to the others (Zhu et al., SIGIR 2018, "Texygen").

    BLEU(i) = brevity * exp( 1/4 sum for n = 1…4 of log( matches_n / max(1, n-grams of text i) ) )
    matches_n = sum over n-grams g of text i of min( count in i, largest count in any other text )
    brevity = 1 where text i is longer than the other text closest in length (the shorter of two), of r words;
              else exp(1 - r / length of i)
    self-BLEU = mean over texts of BLEU(i) against all other texts of the method

No match counts as 0.1 matches (method 1 of Chen and Cherry, WMT 2014), and BLEU is 0 without a matching word: equal to
nltk's `sentence_bleu`. Time is linear in the number of texts: the largest and second largest count of each n-gram give
the largest count among the others.

To resample prompts, a text's distance from the mean counts twice: once for its own BLEU, once for what it changes in
that of the others (Hoeffding 1948).
"""

import numpy as np

from leaderboard.metrics.grams import Counts, IntArray, counts
from leaderboard.metrics.metric import Metric, Setting, Texts, measurement, plain, ratio
from leaderboard.metrics.passport import Array, Passport

EPSILON = 0.1  # matches for no match


def rows(texts: Texts) -> Array:
    """(P, 2): the texts' part in the sum of all BLEU, number of texts with words."""
    lengths = np.array([len(words) for words in texts.words], dtype=np.int64)
    there = lengths > 0
    if there.sum() < 2:
        return np.zeros((texts.num_prompts, 2))
    found = np.where(there, scores(texts, lengths), 0)
    return texts.by_prompt(np.where(there, 2 * found - found.sum() / there.sum(), 0), there)


def scores(texts: Texts, lengths: IntArray) -> Array:
    """BLEU of each text against all others: (N,); undefined for texts without words."""
    found = [counts(grams, len(lengths)) for grams in texts.grams]
    matches = np.stack([np.bincount(of.texts, np.minimum(of.counts, most_elsewhere(of)), len(lengths)) for of in found])
    possible = np.maximum(lengths - np.arange(len(found))[:, None], 1)  # (n, N)
    precision = np.where(matches > 0, matches, EPSILON) / possible
    brevity = np.exp(np.minimum(0, 1 - closest_length(lengths) / np.maximum(lengths, 1)))
    return np.where(matches[0] > 0, brevity * np.exp(np.log(precision).mean(0)), 0)


def most_elsewhere(each: Counts) -> IntArray:
    """The largest count of each n-gram in any other text: (U,)."""
    num = int(each.ids.max(initial=-1)) + 1
    largest, second = np.zeros(num, dtype=np.int64), np.zeros(num, dtype=np.int64)
    np.maximum.at(largest, each.ids, each.counts)
    top = each.counts == largest[each.ids]
    np.maximum.at(second, each.ids[~top], each.counts[~top])
    alone = np.bincount(each.ids[top], minlength=num)[each.ids] == 1
    return np.where(top & alone, second[each.ids], largest[each.ids])


def closest_length(lengths: IntArray) -> IntArray:
    """The length of the other text closest in length to each text, the shorter of two: (N,)."""
    there, times = np.unique(lengths[lengths > 0], return_counts=True)
    index = np.searchsorted(there, lengths)
    far = np.iinfo(np.int64).max // 4
    below = np.concatenate([[-far], there])[index]
    above = np.concatenate([there[1:], [far]])[np.minimum(index, len(there) - 1)]
    neighbour = np.where(lengths - below <= above - lengths, below, above)
    shared = times[np.minimum(index, len(there) - 1)] > 1
    return np.where(shared, lengths, neighbour)


def columns(setting: Setting) -> list[Metric]:
    how = "BLEU-4 of each text against all others of the method, no match counts as 0.1; mean over texts"
    units = "words between whitespace"
    interval = f"{Passport.interval}; the distance of a text from the mean counts twice, as it changes the others' too"
    made = Passport(
        "self-BLEU", False, how, setting.n, tokenisation=units, length=setting.equal_length, interval=interval
    )
    return [Metric("self_bleu", made, rows, ratio)]


Measurement = measurement(__doc__, {"self_bleu": (ratio, lambda texts: rows(plain(texts)))}, predictions="string")
