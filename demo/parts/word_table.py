"""An uploaded word list."""

from pathlib import Path
from typing import Any

from adapters.methods import UserError
from adapters.pplm.word_list import MAX_BYTES, read_word_list
from demo.parts.words import NO_FILE


def read_upload(path: Any) -> tuple[str, ...]:
    """The words of an uploaded file. Raises UserError."""
    if not isinstance(path, str):
        raise UserError(NO_FILE)
    file = Path(path)
    with file.open("rb") as opened:
        return read_word_list(opened.read(MAX_BYTES + 1), file.name)
