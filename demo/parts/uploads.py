"""What visitors send, checked: files, the words of a list, prompts, and names of adapters."""

from pathlib import Path
from typing import Any

from adapters.ask.instructions import instructions
from adapters.methods import BASE, UserError
from adapters.pplm.word_list import MAX_BYTES, read_word_list
from adapters.store.adapter_store import Adapter
from demo.parts.words import BAD_METHODS, FILE_GONE, NO_FILE, NO_PROMPT, NO_SUCH_ADAPTER, PROMPT_TOO_LONG
from demo.services import Services

MAX_PROMPT = 20_000  # characters; longer than any context here, short enough to tokenise at once


def uploaded(path: Any, most: int) -> tuple[bytes, str]:
    """Content and name of an uploaded file; of one larger than `most` bytes one byte more. Raises UserError."""
    if not isinstance(path, str):
        raise UserError(NO_FILE)
    if not Path(path).is_file():  # swept since
        raise UserError(FILE_GONE)
    with Path(path).open("rb") as opened:
        return opened.read(most + 1), Path(path).name


def read_upload(path: Any) -> tuple[str, ...]:
    """The words of an uploaded list. Raises UserError."""
    return read_word_list(*uploaded(path, MAX_BYTES))


def read_prompt(value: Any, most: int = MAX_PROMPT, empty: str = NO_PROMPT) -> str:
    """A prompt that can be continued. Raises UserError for an empty one, or one of more than `most` characters."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(empty)
    if len(value) > most:
        raise UserError(PROMPT_TOO_LONG.format(length=len(value), most=most))
    return value


def read_names(methods: Any, most: int, refused: str = BAD_METHODS) -> list[str]:
    """Short names of methods, at most so many. Raises UserError, in the words of `refused`."""
    known = isinstance(methods, list) and all(isinstance(name, str) for name in methods)
    if not known or not 1 <= len(methods) <= most:
        raise UserError(refused.format(most=most))
    return list(methods)


def known_methods(services: Services) -> list[str]:
    """Short names of every method that consists of one part."""
    kinds = {kind: services.names(kind) for kind in ("lora", "prefix")}
    kinds |= {kind: services.attribute_names() for kind in ("pplm", "best")}
    kinds |= {"vector": services.vector_names(), "push": list(services.attributes), "ask": list(instructions())}
    kinds |= {"experts": [*kinds["lora"], *kinds["prefix"]]}
    return [BASE.name, *(f"{kind}:{name}" for kind, names in kinds.items() for name in names)]


def find_adapter(services: Services, name: Any) -> Adapter:
    """Raises UserError where there is no such adapter."""
    adapter = services.adapter(name) if isinstance(name, str) else None
    if adapter is None:
        raise UserError(NO_SUCH_ADAPTER)
    return adapter
