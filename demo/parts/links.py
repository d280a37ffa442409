"""Permanent addresses: what a query asks for, and who may delete what it leads to.

Knows ids and secrets; knows nothing of what they stand for. Whoever knows an id can see, whoever knows the secret of
the one who made it can delete; the database knows only the secret's hash.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

COMPARE, RUN = "compare", "run"
RANDOM_128_BITS = re.compile(r"[0-9a-f]{32}")


class Link(NamedTuple):
    """What an address asks for; nothing is certain about the id."""

    kind: str
    id: str


def read_link(query: Mapping[str, str]) -> Link | None:
    """What the query of an address asks for; None for a plain address."""
    return next((Link(kind, query[kind]) for kind in (COMPARE, RUN) if kind in query), None)


def address(kind: str, id: str) -> str:
    """The address of a comparison or a run, relative to the page."""
    return f"?{kind}={id}"


def is_id(value: Any) -> bool:
    """Whether a value can be an id or a secret: 128 bits in hex."""
    return isinstance(value, str) and RANDOM_128_BITS.fullmatch(value) is not None


def new_secret() -> str:
    """What a browser keeps, to know later what is its own."""
    return secrets.token_hex(16)


def owner_of(secret: Any) -> str | None:
    """The owner who has this secret, as the database knows it; None for what cannot be a secret."""
    return hashlib.sha256(secret.encode()).hexdigest() if is_id(secret) else None


def is_own(owner: str | None, secret: Any) -> bool:
    """Whether something is this browser's own."""
    return owner is not None and owner == owner_of(secret)
