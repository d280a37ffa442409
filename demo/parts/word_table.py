"""A list of words that a person brought, and the table of how the tokenizer splits each.

Knows files, words and splits; knows nothing of Gradio or of the tokenizer.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from adapters.methods import UserError
from adapters.pplm.bags import Split
from adapters.pplm.word_list import MAX_BYTES, as_text, read_word_list
from demo.parts import words as text
from demo.services import Services

LEADING_BLANK = "·"


def read_upload(path: Any) -> tuple[str, ...]:
    """The words of an uploaded file; raises UserError."""
    if not isinstance(path, str):
        raise UserError(text.NO_FILE)
    file = Path(path)
    with file.open("rb") as opened:
        return read_word_list(opened.read(MAX_BYTES + 1), file.name)


def list_text(services: Services, name: Any) -> str:
    """A shipped list as a person could have typed it. Raises UserError for an unknown one."""
    if not isinstance(name, str) or name not in services.attributes:
        raise UserError(text.NO_SUCH_LIST)
    return as_text(services.attributes[name])


def table(splits: Sequence[Split]) -> list[list[str]]:
    """A row a word: the word, whether it is used, its tokens, its weight, and why it is not used."""
    return [[split.word, used(split), tokens(split.pieces), f"{split.weight:g}", split.problem] for split in splits]


def tokens(pieces: Sequence[str]) -> str:
    """The tokens of a word; a blank within a phrase is shown as a point."""
    return " | ".join(
        piece.replace(" ", LEADING_BLANK) if place else piece.strip() for place, piece in enumerate(pieces)
    )


def used(split: Split) -> str:
    """Whether a word is used from its beginning on, only once it has been begun, or never."""
    if any(split.counts[:1]):
        return text.USED
    return text.USED_LATER if any(split.counts) else text.NOT_USED


def summary(splits: Sequence[Split]) -> str:
    """How many words of a list are used. Raises UserError where none can be begun, for then nothing is steered."""
    kinds = [used(split) for split in splits]
    whole, later = kinds.count(text.USED), kinds.count(text.USED_LATER)
    if not whole:
        raise UserError(text.NO_USABLE_WORD)
    return text.list_line(len(kinds), whole, later)
