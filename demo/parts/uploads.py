"""Uploaded files: their content up to a limit, and the words of a list."""

from pathlib import Path
from typing import Any

from adapters.methods import UserError
from adapters.pplm.word_list import MAX_BYTES, read_word_list
from demo.parts.words import NO_FILE


def uploaded(path: Any, most: int) -> tuple[bytes, str]:
    """Content and name of an uploaded file; of one larger than `most` bytes one byte more. Raises UserError."""
    if not isinstance(path, str):
        raise UserError(NO_FILE)
    with Path(path).open("rb") as opened:
        return opened.read(most + 1), Path(path).name


def read_upload(path: Any) -> tuple[str, ...]:
    """The words of an uploaded list. Raises UserError."""
    return read_word_list(*uploaded(path, MAX_BYTES))
