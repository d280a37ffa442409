"""A text in pieces with its marks, and figures that may be missing: None means "no value"."""

import math
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from os.path import commonprefix
from typing import NamedTuple

Span = tuple[str, str | None]  # a piece of text and its mark, None for no mark
PROMPT = "prompt"
TOPICS = ("topic 1", "topic 2", "topic 3")  # words of the first list that steers here, of the second, of all others
DEPARTS = "departs"  # the first word that is not Base's; a word of a list is both: "topic 1, departs"


class Marker(NamedTuple):
    pattern: re.Pattern[str]
    topics: Mapping[str, str]  # word in lower case -> its mark

    def find(self, text: str) -> list[tuple[int, int, str]]:
        """Start, end and mark of each word in the text."""
        found = [(*match.span(), " ".join(match.group().lower().split())) for match in self.pattern.finditer(text)]
        # a letter such as the long s has another lower case than the letter that the pattern takes it for
        return [(start, end, self.topics.get(word, TOPICS[0])) for start, end, word in found]


def if_finite(figure: float) -> float | None:
    """The figure; None for NaN and infinity."""
    return figure if math.isfinite(figure) else None


def marker(lists: Mapping[str, Iterable[str]]) -> Marker | None:
    """Mark the words of these lists, standing alone, in upper or lower case; None if there are no words.

    A word of several lists has the mark of the first. The words of a phrase may stand apart by any blanks.
    """
    topics: dict[str, str] = {}
    for place, words in enumerate(lists.values()):
        for word in filter(str.strip, words):
            topics.setdefault(" ".join(word.lower().split()), TOPICS[min(place, len(TOPICS) - 1)])
    if not topics:
        return None
    longest_first = sorted(topics, key=lambda word: (-len(word), word))
    alternatives = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first)
    return Marker(re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE), topics)


def departure(text: str, base: str) -> tuple[int, int]:
    """Start and end of the first word of `text` that is not in `base`; an empty range at the end for none.

    >>> departure(" is a blue sky", " is a blind man"), departure(" is", " is a blue sky"), departure("one two", "one")
    ((6, 10), (3, 3), (4, 7))
    """
    equal = len(commonprefix([text, base]))
    starts = (word.span() for word in re.finditer(r"\S+", text) if word.end() > equal)
    return next(starts, (len(text), len(text)))


def spans(prompt: str, continuation: str, marked: Marker | None, departs: tuple[int, int] = (0, 0)) -> list[Span]:
    """A text in pieces: the prompt, then the continuation with words of lists and the departing word marked."""
    found = marked.find(continuation) if marked else []
    cuts = {0, len(continuation), *departs, *(place for start, end, _ in found for place in (start, end))}
    pieces: list[Span] = [(prompt, PROMPT)]
    for start, end in pairwise(sorted(cuts)):
        marks = [mark for first, last, mark in found if first <= start < last]
        marks += [DEPARTS] if departs[0] <= start < departs[1] else []
        pieces.append((continuation[start:end], ", ".join(marks) or None))
    return [piece for piece in pieces if piece[0]]
