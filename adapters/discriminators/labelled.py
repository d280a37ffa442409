"""Reads texts with labels: the bytes of a CSV or JSONL file -> rows, or one line that says what is wrong.

Knows rows; knows nothing of models. A CSV has the columns `text` and `label`, a line of JSONL the same fields; others
are left aside. Equal rows count once.
"""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from adapters.methods import UserError

MAX_BYTES = 20_000_000
MAX_ROWS = 50_000
MAX_CHARACTERS = 20_000  # of a text
MIN_ROWS = 10  # of a class
COLUMNS = ("text", "label")


class Labelled(NamedTuple):
    """A text and the name of its class."""

    text: str
    label: str


def read_labelled(data: bytes, filename: str) -> list[Labelled]:
    """The rows of a file whose name ends with .csv or .jsonl. Raises UserError naming the row."""
    text = decoded(data, MAX_BYTES)
    readers = {"csv": csv_rows, "jsonl": json_rows}
    ending = filename.rpartition(".")[2].lower()
    if ending not in readers:
        raise UserError(f"The file name ends with {ending[:20]!r}: give a .csv or .jsonl file.")
    return checked(readers[ending](text))


def decoded(data: bytes, most: int) -> str:
    """The text of a file of at most so many bytes. Raises UserError."""
    if len(data) > most:
        raise UserError(f"The file has {len(data):,} bytes, at most {most:,} can be read: shorten it.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"The file is not UTF-8 text (byte {error.start + 1:,}): save it as UTF-8.") from error


def csv_rows(text: str, needed: Sequence[str] = COLUMNS) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, and its fields, those of the columns `needed` among them. Raises UserError."""
    lines = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(lines, [])
        if missing := [column for column in needed if header.count(column) != 1]:
            begin = ",".join(needed)
            raise UserError(f"The first line must name the column {missing[0]!r} once: begin the file with {begin}.")
        for cells in lines:
            where = f"Line {lines.line_num}"
            if cells and len(cells) != len(header):
                raise UserError(
                    f"{where} has {len(cells)} columns, the first line {len(header)}: put text with commas in quotes."
                )
            if cells:
                yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"Line {lines.line_num} is not CSV: {error}.") from error


def json_rows(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Where each row stands, and its fields."""
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"Line {number} is not JSON: {str(error)[:100]}.") from error
        if not isinstance(row, dict):
            raise UserError(f'Line {number}: write one object a line, {{"text": "…", "label": "…"}}.')
        yield f"Line {number}", row


def checked(records: Iterable[tuple[str, dict[str, Any]]]) -> list[Labelled]:
    """The rows, all of them sound and in classes that are large enough."""
    labels: dict[str, str] = {}
    for where, fields in records:
        text, label = (value(where, fields, column) for column in COLUMNS)
        if labels.setdefault(text, label) != label:
            raise UserError(f"{where} calls a text {label!r} that an earlier one calls {labels[text]!r}: keep one.")
        if len(labels) > MAX_ROWS:
            raise UserError(f"{where}: at most {MAX_ROWS:,} texts can be read: shorten the file.")
    if not labels:
        raise UserError("The file holds no row: write a text and its label in each.")
    counts = Counter(labels.values())
    if len(counts) < 2:
        raise UserError(f"All rows have the label {next(iter(counts))!r}: a discriminator needs two classes or more.")
    small, number = min(counts.items(), key=lambda item: item[1])
    if number < MIN_ROWS:
        raise UserError(f"The class {small!r} has {number} different texts: give each class at least {MIN_ROWS}.")
    return [Labelled(text, label) for text, label in labels.items()]


def value(where: str, fields: dict[str, Any], column: str) -> str:
    """A field as text; a label may be a number, true or false too. Raises UserError where there is none."""
    found = fields.get(column)
    if column == "label" and isinstance(found, int):
        found = str(found).lower()
    if not isinstance(found, str) or not found.strip():
        raise UserError(f"{where}: the {column} is missing.")
    if len(found) > MAX_CHARACTERS:
        raise UserError(f"{where}: the {column} has {len(found):,} characters, at most {MAX_CHARACTERS:,} are read.")
    if "\0" in found or any("\ud800" <= c <= "\udfff" for c in found):
        raise UserError(f"{where}: the {column} holds a character that is not text: remove it.")
    return found.strip()
