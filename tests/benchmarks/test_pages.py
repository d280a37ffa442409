"""Commands write their part of a page and nothing else."""

from pathlib import Path

import pytest

from adapters.methods import UserError
from benchmarks import pages


def test_a_part_is_replaced_between_its_marks(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("before\n<!-- a -->\nold\n<!-- /a -->\nafter\n<!-- b -->\nkept\n<!-- /b -->\n")
    pages.write_part(file, "a", "new")
    assert file.read_text() == "before\n<!-- a -->\nnew\n<!-- /a -->\nafter\n<!-- b -->\nkept\n<!-- /b -->\n"
    assert pages.part(file.read_text(), "b")[1] == "kept\n"
    with pytest.raises(UserError, match="has no place for c: add <!-- c -->"):
        pages.write_part(file, "c", "new")


def test_a_table_is_markdown() -> None:
    assert pages.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_a_missing_folder_is_reported_before_any_work(tmp_path: Path) -> None:
    pages.check_writable(None, tmp_path / "found.json")
    with pytest.raises(UserError, match="name a file in a folder that exists"):
        pages.check_writable(None, tmp_path / "none" / "found.json")
