"""An uploaded word list, and the table of how the tokenizer splits each word."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.methods import UserError
from adapters.pplm.bags import WordSplit
from adapters.pplm.word_list import MAX_BYTES, as_text, read_word_list
from demo.parts import words
from demo.services import Services

LEADING_BLANK = "·"


def read_upload(path: Any) -> tuple[str, ...]:
    """The words of an uploaded file; raises UserError."""
    if not isinstance(path, str):
        raise UserError(words.NO_FILE)
    file = Path(path)
    with file.open("rb") as opened:
        return read_word_list(opened.read(MAX_BYTES + 1), file.name)


def list_text(services: Services, name: Any) -> str:
    """A shipped list as text to edit. Raises UserError for an unknown one."""
    if not isinstance(name, str) or name not in services.attributes:
        raise UserError(words.NO_SUCH_LIST)
    return as_text(services.attributes[name])


def table(splits: Sequence[WordSplit]) -> list[list[str]]:
    """One row per word: the word, whether it is used, its tokens, its weight, and why it is not used."""
    return [[split.word, used(split), tokens(split.pieces), f"{split.weight:g}", split.problem] for split in splits]


def tokens(pieces: Sequence[str]) -> str:
    """The tokens of a word; a blank within a phrase becomes a dot."""
    return " | ".join(
        piece.replace(" ", LEADING_BLANK) if place else piece.strip() for place, piece in enumerate(pieces)
    )


def used(split: WordSplit) -> str:
    """Whether a word steers at once, is only completed, or is not used."""
    if any(split.counts[:1]):
        return words.USED
    return words.USED_LATER if any(split.counts) else words.NOT_USED


def summary(splits: Sequence[WordSplit]) -> str:
    """How many words of a list are used. Raises UserError if none steers at once, because then nothing is steered."""
    kinds = [used(split) for split in splits]
    whole, later = kinds.count(words.USED), kinds.count(words.USED_LATER)
    if not whole:
        raise UserError(words.NO_USABLE_WORD)
    return words.list_line(len(kinds), whole, later)
