"""`python -m benchmarks headlines`: Debian's index -> rows to train a summary on, and others to test it on."""

import json
from io import StringIO
from pathlib import Path

import pytest

from benchmarks import headlines
from benchmarks.__main__ import main
from benchmarks.headlines import Description, capital, chosen, descriptions, prompt, words

INDEX = """Package: xdot
Description-md5: 0
Description-en: interactive viewer for Graphviz dot files
 xdot is an interactive viewer for graphs
 written in Graphviz's dot  language.
 .
 It can be used alone.

Package: listed
Description-en: a list and no text
 It has:
  * one thing
  * another

Package: bare
Description-en: nothing but a summary

Package: last
Description-en: ends without an empty line
 The only paragraph.
"""


def text(number: int, opening: str = "") -> str:
    return f"{opening or f'Tool {number} of its own kind'} {'does many things ' * 8}number {number}."


def index(count: int) -> str:
    return "\n\n".join(
        f"Package: tool{n}\nDescription-en: tool number {n} for the job{n} of day{n}\n {text(n)}" for n in range(count)
    )


def test_an_index_is_read_as_summary_and_first_paragraph() -> None:
    assert list(descriptions(INDEX)) == [
        Description(
            "xdot",
            "interactive viewer for Graphviz dot files",
            "xdot is an interactive viewer for graphs written in Graphviz's dot language.",
        ),
        Description("last", "ends without an empty line", "The only paragraph."),
    ]


@pytest.mark.parametrize(
    ("package", "summary", "body"),
    [
        ("libtool", "a tool for many things", text(1)),
        ("tool-dev", "a tool for many things", text(1)),
        ("tool", "tool", text(1)),
        ("tool", "a tool for many things (data files)", text(1)),
        ("tool", "a tool for things - the manual", text(1)),
        ("tool", "a tool for many things", "Too short."),
        ("tool", "a tool for many things", text(1) * 9),
        ("tool", "a tool for many things", text(1, "See https://example.org for it: it")),
        ("tool", "a tool for many things", text(1).rstrip(".") + ":"),
    ],
)
def test_what_sums_up_nothing_is_left_out(package: str, summary: str, body: str) -> None:
    assert chosen([Description("tool", "a tool for many things", text(1))])
    assert chosen([Description(package, summary, body)]) == []


def test_of_a_family_one_is_used_so_that_none_is_on_both_sides() -> None:
    same_opening = [Description("a", f"does {n} odd things each{n}", text(n, "The same four words")) for n in range(5)]
    same_end = [Description("b", f"kind {n} of a dictionary for readers", text(n)) for n in range(5)]
    assert len(chosen(same_opening)) == len(chosen(same_end)) == 1


def test_the_order_is_that_of_hashes_and_not_of_the_index() -> None:
    found = list(descriptions(index(30)))
    assert chosen(found) == chosen(found[::-1]) != found


def test_rows_to_train_on_share_nothing_with_those_to_test_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headlines, "TEST_ROWS", 5)
    monkeypatch.setattr("sys.stdin", StringIO(index(30)))
    assert main(["headlines", str(tmp_path / "rows.jsonl"), str(tmp_path / "test.jsonl")]) == 0
    assert capsys.readouterr().err == "25 rows to train on, 5 to test on\n"
    rows, test = ([json.loads(line) for line in (tmp_path / f"{n}.jsonl").open()] for n in ("rows", "test"))
    assert {tuple(row) for row in rows} == {("prompt", "completion")}
    assert {tuple(row) for row in test} == {("prompt", "reference")}
    assert not {row["prompt"] for row in rows} & {row["prompt"] for row in test}
    assert all(row["completion"].startswith(" Tool number ") for row in rows)
    assert all(row["prompt"].endswith(".\nTL;DR:") for row in rows + test)


def test_too_small_an_index_is_one_line_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(INDEX))
    assert main(["headlines", str(tmp_path / "rows.jsonl"), str(tmp_path / "test.jsonl")]) == 2
    assert "give Debian's whole Translation-en index" in capsys.readouterr().err.split("\n")[0]
    assert list(tmp_path.iterdir()) == []


def test_words_capitals_and_prompts() -> None:
    assert words("Quake-style, it's 3D") == ["quake", "style", "it", "s", "3d"]
    assert (capital("viewer for files"), capital("3d-viewer for files")) == ("Viewer for files", "3d-viewer for files")
    assert prompt("A text.") == "A text.\nTL;DR:"
