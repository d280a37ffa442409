"""Permanent addresses: the query of a link, and the owner's secret.

Anyone with the id can see; only the browser with the secret can delete. The database knows only the secret's hash.
"""

import hashlib
import re
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

COMPARE, RUN = "compare", "run"
RANDOM_128_BITS = re.compile(r"[0-9a-f]{32}")


class Link(NamedTuple):
    """The target of an address; the id is not checked yet."""

    kind: str
    id: str


def read_link(query: Mapping[str, str]) -> Link | None:
    """The link in the query of an address; None for a plain address."""
    return next((Link(kind, query[kind]) for kind in (COMPARE, RUN) if kind in query), None)


def address(kind: str, id: str) -> str:
    """The address of a comparison or a run, relative to the page."""
    return f"?{kind}={id}"


def is_id(value: Any) -> bool:
    """Whether a value can be an id or a secret: 128 bits in hex."""
    return isinstance(value, str) and RANDOM_128_BITS.fullmatch(value) is not None


def new_secret() -> str:
    return secrets.token_hex(16)


def owner_of(secret: Any) -> str | None:
    """The hash of a secret, as the database keeps it; None for a malformed one."""
    return hashlib.sha256(secret.encode()).hexdigest() if is_id(secret) else None


def is_own(owner: str | None, secret: Any) -> bool:
    return owner is not None and owner == owner_of(secret)
