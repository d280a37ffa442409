"""An uploaded word list."""

from typing import Any

from adapters.pplm.word_list import MAX_BYTES, read_word_list
from demo.parts.actions import uploaded


def read_upload(path: Any) -> tuple[str, ...]:
    """Raises UserError."""
    return read_word_list(*uploaded(path, MAX_BYTES))
