"""What the page says: short sentences, and links to where one can read more."""

import ast
import re
from collections.abc import Iterator

import pytest

from demo.parts.words import links_html
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
