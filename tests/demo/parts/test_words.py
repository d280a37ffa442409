"""What the page says: short sentences, and links to where one can read more."""

import ast
import importlib
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from demo.parts.words import PROSE, SAFETY, TABLES, links_html, safety
from leaderboard.store.backup import Backup
from tests.serving import ROOT
from tests.source_tree import sources, tracked

MOST = 20  # words of a sentence
ENDS = re.compile(r"(?<=[.!?:;])\s|\n|<[^>]+>| · ")


def texts(source: str) -> Iterator[str]:
    """The strings of a module that are no docstrings."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


@pytest.mark.parametrize("folder", ["demo", "leaderboard/output"])
def test_no_sentence_is_longer_than_twenty_words(folder: str) -> None:
    sentences = [
        sentence
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in texts(path.read_text(encoding="utf-8"))
        if "=>" not in text  # a script
        for sentence in ENDS.split(text)
    ]
    assert len(sentences) > 50
    assert too_long(sentences) == []


def test_no_sentence_of_the_tables_is_longer_either() -> None:
    sentences = [sentence for text in leaves(TABLES) for sentence in ENDS.split(text)]
    assert len(sentences) > 500
    assert too_long(sentences) == []


def leaves(value: Any) -> Iterator[str]:
    """All strings in nested tables and lists."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    elif isinstance(value, str):
        yield value


def too_long(sentences: list[str]) -> list[str]:
    return [sentence for sentence in sentences if len(re.findall(r"\S*\w\S*", sentence)) > MOST]


def asked(path: str) -> Iterator[tuple[str, str]]:
    """Module and name of all words that a file asks modules of words for."""
    known: dict[str, str] = {}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module.endswith(".words"):
                yield from ((node.module, alias.name) for alias in node.names)
            known |= {a.asname or a.name: f"{node.module}.words" for a in node.names if a.name == "words"}
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in known:
            yield known[node.value.id], node.attr


def test_all_words_that_are_asked_for_are_there_and_all_that_are_there_are_asked_for() -> None:
    paths = [path for path in tracked() if path.endswith(".py")]
    found = {(module, name) for path in paths for module, name in asked(path) if module.startswith("demo.")}
    assert {(module, name) for module, name in found if not hasattr(importlib.import_module(module), name)} == set()
    ours = {(module, name) for path in sources() for module, name in asked(path)}
    modules = {"common": "demo.parts.words"} | {tab: f"demo.{tab}.words" for tab in PROSE if tab != "common"}
    unused = {
        (tab, name)
        for tab, words in PROSE.items()
        for name, text in words.items()
        if isinstance(text, str) and (modules[tab], name) not in ours
    }
    assert unused == set()


def test_a_space_links_to_its_code_and_guide() -> None:
    there = links_html("org/model", "someone/steerboard")
    assert 'href="https://huggingface.co/spaces/someone/steerboard/tree/main"' in there
    assert 'href="https://huggingface.co/org/model"' in there
    assert "Code" not in links_html("org/model", None)


def test_links_are_as_safe_as_it_says(tmp_path: Path) -> None:
    pushed: list[Path] = []
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("CREATE TABLE links (id)")
    backup, said = Backup(tmp_path / "a.db", pushed.append), SAFETY
    assert safety(None, lasts=True) == ""
    assert safety(None, lasts=False) == said["lost"]
    assert safety(backup, lasts=False) == said["never"]
    backup.failed = True
    assert safety(backup, lasts=False) == said["fails"]
    backup.save()
    assert len(pushed) == 1
    assert safety(backup, lasts=False) == "Backed up 1 s ago."
    backup.failed = True
    assert safety(backup, lasts=True) == said["fails"]


def test_no_table_has_a_longer_sentence_either() -> None:
    sentences = [sentence for text in SAFETY.values() for sentence in ENDS.split(text)]
    assert [sentence for sentence in sentences if len(sentence.split()) > MOST] == []
