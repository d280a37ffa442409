"""A text in pieces with its attribute words marked, and figures that may have no value.

Knows texts and numbers; knows nothing of Gradio or of the engine. None means "no value".
"""

import math
import re
from collections.abc import Iterable

Span = tuple[str, str | None]  # a piece of text and its mark: PROMPT, ATTRIBUTE, or None for the continuation
PROMPT = "prompt"
ATTRIBUTE = "attribute word"


def if_finite(figure: float) -> float | None:
    """The figure; None for NaN and infinity."""
    return figure if math.isfinite(figure) else None


def word_pattern(words: Iterable[str]) -> re.Pattern[str] | None:
    """A pattern of these words, standing alone, in upper or lower case; None if there are none.

    The words of a phrase may stand apart by any blanks, ends of lines too.
    """
    longest_first = sorted({word for word in words if word.strip()}, key=lambda word: (-len(word), word))
    if not longest_first:
        return None
    alternatives = "|".join(r"\s+".join(map(re.escape, word.split())) for word in longest_first)
    return re.compile(rf"(?<!\w)(?:{alternatives})(?!\w)", re.IGNORECASE)


def spans(prompt: str, continuation: str, pattern: re.Pattern[str] | None) -> list[Span]:
    """A text in pieces: the prompt, then the continuation with the words of the pattern marked."""
    pieces: list[Span] = [(prompt, PROMPT)]
    start = 0
    for match in pattern.finditer(continuation) if pattern else ():
        pieces += [(continuation[start : match.start()], None), (match.group(), ATTRIBUTE)]
        start = match.end()
    pieces.append((continuation[start:], None))
    return [piece for piece in pieces if piece[0]]
