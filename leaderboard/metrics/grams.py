"""N-grams of words or characters as numbers: equal n-grams have equal numbers; linear time.

Letters: N texts, T items of all texts, G n-grams, U pairs of an n-gram and a text that has it.
"""

from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

IntArray = npt.NDArray[np.int64]
Sequences = Sequence[Sequence[Hashable]]


class Grams(NamedTuple):
    """Every n-gram of N texts, one entry per occurrence."""

    ids: IntArray  # (G,)
    texts: IntArray  # (G,) its text


class Counts(NamedTuple):
    """Count of each n-gram in each text that has it."""

    ids: IntArray  # (U,) from 0, without gaps
    texts: IntArray  # (U,)
    counts: IntArray  # (U,)


def grams(sequences: Sequences, orders: int) -> list[Grams]:
    """The 1-grams, 2-grams, … of the sequences."""
    items = pd.factorize(np.array([item for one in sequences for item in one], dtype=object))[0].astype(
        np.int64
    )  # (T,)
    texts = np.repeat(np.arange(len(sequences)), [len(one) for one in sequences])  # (T,)
    found = [Grams(items, texts)]
    kinds = int(items.max(initial=0)) + 1
    ids, size = items, kinds
    for n in range(2, orders + 1):
        if size * kinds * len(sequences) > 2**62:  # n-gram and text must fit into one number
            ids = np.unique(ids, return_inverse=True)[1]
            size = len(ids)
        ids, size = ids[:-1] * kinds + items[n - 1 :], size * kinds  # (T - n + 1,)
        inside = texts[: len(ids)] == texts[n - 1 :]
        found.append(Grams(ids[inside], texts[: len(ids)][inside]))
    return found


def counts(found: Grams, num_texts: int) -> Counts:
    pairs, times = np.unique(found.ids * num_texts + found.texts, return_counts=True)
    ids, texts = np.divmod(pairs, max(num_texts, 1))
    return Counts(np.cumsum(np.diff(ids, prepend=ids[:1]) > 0), texts, times)


def overlap(
    hypotheses: Sequence[Sequence[Hashable]], references: Sequence[Sequence[Hashable]], orders: int
) -> IntArray:
    """Numbers of n-grams of 1 to `orders` items: of each hypothesis, its reference, and clipped matches: (3, N, n)."""
    num = len(hypotheses)
    columns = []
    for ids, texts in grams([*hypotheses, *references], orders):
        pairs = ids * num + texts % max(num, 1)
        ours, our_times = np.unique(pairs[texts < num], return_counts=True)
        theirs, their_times = np.unique(pairs[texts >= num], return_counts=True)
        _, here, there = np.intersect1d(ours, theirs, assume_unique=True, return_indices=True)
        matches = np.minimum(our_times[here], their_times[there])
        sums = [(ours, our_times), (theirs, their_times), (ours[here], matches)]
        columns.append([np.bincount(of % max(num, 1), times, num) for of, times in sums])
    return np.array(columns).astype(np.int64).transpose(1, 2, 0)  # from (n, 3, N)
