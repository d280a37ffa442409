"""Reads a file to train on: bytes and a file name -> rows.

CSV, TSV and JSONL hold `text`, or `prompt` and `completion` (or `q` and `a`); other columns are left out. The rows of a
TXT file are its paragraphs, between blank lines, or its lines where no line is blank. They are parts of one running
text, so no end token is learned after them.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from adapters.methods import UserError
from adapters.reading import Record, Wanted, check_names, plain, quoted, read_records, refuse

Row: TypeAlias = dict[str, Any]

MAX_BYTES = 20_000_000
MAX_ROWS = 100_000
SHAPES = (("text",), ("prompt", "completion"), ("q", "a"))  # columns of a row
WANTED = "text, or prompt and completion"
EXAMPLE = '{"text": "…"} or {"prompt": "…", "completion": "…"}'
ENDINGS = (".txt", ".csv", ".tsv", ".jsonl")


def read_upload(data: bytes, filename: str) -> list[Row]:
    """Rows of a TXT, CSV, TSV or JSONL file. Raises UserError."""
    empty = "The file is empty: write some text to train on."
    wanted = Wanted(ENDINGS, check_columns, EXAMPLE, empty, MAX_BYTES, MAX_ROWS, paragraphs)
    rows = [row(record) for record in read_records(data, filename, wanted)]
    if len(rows) < 2:
        found = "1 row" if rows else "no row"
        raise UserError(f"The file holds {found}: give at least 2, one to train and one to validate on.")
    return rows


def paragraphs(text: str) -> Iterator[Record]:
    """Paragraphs between blank lines, or all lines where none is blank."""
    text = text.replace("\r\n", "\n").strip("\n")
    parts = re.split(r"\n[ \t]*\n\s*", text)
    parts = text.split("\n") if len(parts) == 1 else parts
    for number, part in enumerate((part for part in parts if part.strip()), start=1):
        yield Record(f"Paragraph {number}", [("text", part.strip("\n"))])


def check_columns(names: list[str], where: str) -> None:
    """Refuse columns without exactly one of the shapes."""
    check_names(names, where)
    found = shapes(names)
    if len(found) > 1:
        told = " and ".join("/".join(shape) for shape in found)
        raise UserError(f"{where} has the columns of {told} at once: keep one kind.")
    if not found:
        known = ", ".join(quoted(name) for name in names[:20]) or "none"
        raise UserError(f"{where} has no column {WANTED}: the columns are {known}; rename them.")


def shapes(names: list[str]) -> list[tuple[str, ...]]:
    """Shapes of a row that these columns can make."""
    return [shape for shape in SHAPES if set(shape) <= set(names)]


def row(record: Record) -> Row:
    """The fields to train on. Raises UserError with row, field and reason."""
    fields = dict(record.fields)
    (shape,) = shapes(list(fields))
    return {name: value(fields[name], record.where, name) for name in shape}


def value(found: Any, where: str, name: str) -> str:
    """A field as text; refuse an empty one."""
    text = plain(found, where, name)
    if not text or not text.strip():
        refuse(where, name, "it is empty: write some text, or remove the row")
    return text
