"""What the page says: short sentences, and links to where one can read more."""

import ast
import importlib
import re
from collections.abc import Iterator
from typing import Any

import pytest

from demo.parts.words import PROSE, TABLES, links_html
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
