"""Addresses, secrets, and which tab a link opens."""

from typing import Any

import pytest

from demo.page import keep_secret, open_tab
from demo.parts.links import COMPARE, RUN, Link, address, is_id, new_secret, owner_of, read_link
from demo.parts.words import NOTHING_HERE, missing_html
from demo.services import Services

BAD_IDS = ["", "abc", "0" * 31, "0" * 33, "G" * 32, "A" * 32, "../../etc/passwd", "0" * 32 + "\n", "' OR 1=1 --"]


@pytest.fixture(scope="module")
def id(lasting: Services) -> str:
    """The id of a comparison without panes."""
    record = {"version": 1, "created": "2026-11-22T14:03:00+00:00", "base": "b", "hashes": {}, "versions": {}}
    return lasting.database.add_comparison(record | {"prompt": "Hi", "panes": [], "sampling": {}}, "me")


def test_an_address_is_read_back() -> None:
    for kind in (COMPARE, RUN):
        id = new_secret()
        key, _, value = address(kind, id).removeprefix("?").partition("=")
        assert read_link({"__theme": "dark", key: value}) == Link(kind, id)
    assert read_link({"__theme": "dark"}) is None


def test_an_id_is_128_random_bits_in_hex() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(is_id(secret) and len(bytes.fromhex(secret)) == 16 for secret in secrets)


@pytest.mark.parametrize("value", [*BAD_IDS, None, 7, ["0" * 32], {"id": 1}])
def test_nothing_else_is_an_id_or_an_owner(value: Any) -> None:
    assert not is_id(value)
    assert owner_of(value) is None


def test_the_owner_is_the_hash_of_the_secret() -> None:
    secret = "0" * 32
    assert owner_of(secret) == "84e0c0eafaa95a34c293f278ac52e45ce537bab5e752a00e6959a13ae103b65a"  # sha256sum says so
    assert secret not in str(owner_of(secret))


def test_a_browser_keeps_its_secret_and_gets_one_where_it_has_none() -> None:
    mine = new_secret()
    assert not is_id(keep_secret(mine)), "nothing is sent: it stays"
    assert is_id(keep_secret(None))
    assert is_id(keep_secret("forged"))


def test_a_plain_address_changes_nothing(lasting: Services) -> None:
    tabs, missing = open_tab(lasting, None)
    assert "selected" not in tabs
    assert "visible" not in missing


@pytest.mark.parametrize("kind", [COMPARE, RUN])
@pytest.mark.parametrize("bad", [*BAD_IDS, "0" * 32])
def test_a_link_that_leads_nowhere_is_always_the_same_page(lasting: Services, kind: str, bad: str) -> None:
    tabs, missing = open_tab(lasting, Link(kind, bad))
    assert tabs["visible"] is False
    assert missing == {"__type__": "update", "value": missing_html(Exception(NOTHING_HERE)), "visible": True}


def test_a_link_opens_its_tab(lasting: Services, id: str) -> None:
    tabs, missing = open_tab(lasting, Link(COMPARE, id))
    assert tabs.selected == "Compare"
    assert "visible" not in missing


def test_a_link_of_a_newer_release_says_to_update(lasting: Services, id: str) -> None:
    record = lasting.database.comparison(id)
    assert record is not None
    newer = lasting.database.add_comparison(record | {"version": 2}, "me")
    _, missing = open_tab(lasting, Link(COMPARE, newer))
    assert "newer release" in missing["value"]
