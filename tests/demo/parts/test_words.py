"""What the page says: short sentences, and links to where one can read more."""

import ast
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from demo.parts.words import SAFETY, links_html, safety
from leaderboard.store.backup import Backup
from tests.serving import ROOT

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
    assert len(sentences) > 100
    assert [sentence for sentence in sentences if len(re.findall(r"\S*\w\S*", sentence)) > MOST] == []


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
