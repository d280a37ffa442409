"""Reads a file to train on: bytes and a file name -> rows, or one line that says what is wrong.

Knows rows; knows nothing of tokens or models. CSV, TSV and JSONL hold `text`, or `prompt` and `completion` (or `q` and
`a`); other columns are left aside. The rows of a TXT file are its paragraphs: what stands between blank lines, or each
line where there is no blank one. They are parts of one running text, so that no end is learned after them.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from adapters.methods import UserError
from adapters.reading import (
    NotJson,
    Record,
    check_disguise,
    check_names,
    check_text,
    decode,
    json_records,
    quoted,
    refuse,
    table_records,
)

Row: TypeAlias = dict[str, Any]

MAX_BYTES = 20_000_000
MAX_ROWS = 100_000
SHAPES = (("text",), ("prompt", "completion"), ("q", "a"))  # the columns that a row is made of
WANTED = "text, or prompt and completion"
EXAMPLE = '{"text": "…"} or {"prompt": "…", "completion": "…"}'


def read_upload(data: bytes, filename: str) -> list[Row]:
    """The rows of a TXT, CSV, TSV or JSONL file, chosen by the ending of its name. Raises UserError."""
    suffix = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    if suffix not in READERS:
        raise UserError(f"The file name ends with {quoted(suffix)}: give one of {', '.join(READERS)}.")
    if len(data) > MAX_BYTES:
        raise UserError(f"The file has {len(data):,} bytes, at most {MAX_BYTES:,} can be read: shorten it.")
    if not data.strip():
        raise UserError("The file is empty: write some text to train on.")
    check_disguise(data, suffix)
    rows: list[Row] = []
    for record in READERS[suffix](data):
        if len(rows) == MAX_ROWS:
            raise UserError(f"{record.where}: at most {MAX_ROWS:,} rows can be read: shorten the file.")
        rows.append(row(record))
    if len(rows) < 2:
        found = "1 row" if rows else "no row"
        raise UserError(f"The file holds {found}: give at least 2, one to train and one to validate on.")
    return rows


def paragraphs(data: bytes) -> Iterator[Record]:
    """What stands between blank lines, or every line where there is no blank one."""
    text = decode(data).replace("\r\n", "\n").strip("\n")
    parts = re.split(r"\n[ \t]*\n\s*", text)
    parts = text.split("\n") if len(parts) == 1 else parts
    for number, part in enumerate((part for part in parts if part.strip()), start=1):
        yield Record(f"Paragraph {number}", [("text", part.strip("\n"))])


def check_columns(names: list[str], where: str) -> None:
    """Refuses columns that are not exactly one of the shapes, other columns aside."""
    check_names(names, where)
    found = shapes(names)
    if len(found) > 1:
        told = " and ".join("/".join(shape) for shape in found)
        raise UserError(f"{where} has the columns of {told} at once: keep one kind.")
    if not found:
        known = ", ".join(quoted(name) for name in names[:20]) or "none"
        raise UserError(f"{where} has no column {WANTED}: the columns are {known}; rename them.")


def shapes(names: list[str]) -> list[tuple[str, ...]]:
    return [shape for shape in SHAPES if set(shape) <= set(names)]


def row(record: Record) -> Row:
    """The fields to train on. Raises UserError naming row, field and reason."""
    fields = dict(record.fields)
    (shape,) = shapes(list(fields))
    return {name: value(fields[name], record.where, name) for name in shape}


def value(found: Any, where: str, name: str) -> str:
    """A field as text, refused where it is none or empty."""
    if isinstance(found, bool):
        return json.dumps(found)
    if isinstance(found, NotJson) or not (found is None or isinstance(found, str)):
        refuse(where, name, "it is no plain text: write text or a number")
    if not found or not found.strip():
        refuse(where, name, "it is empty: write some text, or remove the row")
    check_text(found, where, name)
    return str(found)


READERS: dict[str, Callable[[bytes], Iterator[Record]]] = {
    ".txt": paragraphs,
    ".csv": lambda data: table_records(data, ",", check_columns),
    ".tsv": lambda data: table_records(data, "\t", check_columns),
    ".jsonl": lambda data: json_records(data, check_columns, EXAMPLE),
}
ENDINGS = tuple(READERS)
