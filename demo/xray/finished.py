"""A finished text, which can be looked into."""

from typing import NamedTuple

from adapters.methods import Request


class Text(NamedTuple):
    """A finished text, of this page or of a kept comparison."""

    request: Request
    token_ids: tuple[int, ...]
    diverged: bool
