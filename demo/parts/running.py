"""Work that streams: generators that end with their reader, and the verdict of texts that are written again."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple, TypeVar

from adapters.methods import Method
from demo.parts import words as text
from demo.services import Services

T = TypeVar("T")


@contextmanager
def closed_at_end(steps: Iterator[T]) -> Iterator[Iterator[T]]:
    """Closes a generator when its reader ends, however it ends: that cancels the work at once."""
    try:
        yield steps
    finally:
        if isinstance(steps, Generator):
            steps.close()


class Difference(NamedTuple):
    """The first token in which two texts differ: its number from 1, and what each has there."""

    number: int
    mine: str
    other: str


def first_difference(services: Services, mine: Sequence[int], other: Sequence[int]) -> Difference | None:
    """Where two texts part; None where they are the same."""
    if tuple(mine) == tuple(other):
        return None
    number = next((i for i, (one, two) in enumerate(zip(mine, other, strict=False)) if one != two), None)
    place = min(len(mine), len(other)) if number is None else number

    def token(ids: Sequence[int]) -> str:
        return f"“{services.decode(ids[place : place + 1])}”" if place < len(ids) else text.THE_END

    return Difference(place + 1, token(mine), token(other))


def changed(
    services: Services, methods: Sequence[Method], hashes: Mapping[str, str], versions: Mapping[str, str]
) -> list[str]:
    """One sentence for what is no longer what it was: models, adapters, word lists, libraries."""
    now = services.fingerprints.named(methods)
    parts = [name for name, value in hashes.items() if now.get(name) != value]
    libraries = [
        f"{name} {old} → {services.versions.get(name, '–')}"
        for name, old in versions.items()
        if services.versions.get(name) != old
    ]
    return [text.CHANGED_SINCE.format(what=", ".join([*parts, *libraries]))] if parts or libraries else []
