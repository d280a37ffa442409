"""Reads labelled texts from CSV or JSONL with the columns `text` and `label`; equal rows count once."""

from collections import Counter
from typing import Any, NamedTuple

from adapters.methods import UserError
from adapters.reading import Wanted, needs, plain, read_records, refuse

MAX_BYTES = 20_000_000
MAX_ROWS = 50_000  # different texts
MAX_CHARACTERS = 20_000  # of a text
MIN_ROWS = 10  # of a class
COLUMNS = ("text", "label")


class Labelled(NamedTuple):
    text: str
    label: str


WANTED_LABELLED = Wanted(
    endings=(".csv", ".jsonl"),
    check=needs(*COLUMNS, hint="the columns needed are text, label"),
    example='{"text": "…", "label": "…"}',
    empty="The file holds no row: write a text and its label in each.",
    max_bytes=MAX_BYTES,
    max_rows=MAX_BYTES,  # equal rows count once, so different texts are counted below
)


def read_labelled(data: bytes, filename: str) -> list[Labelled]:
    """Rows of a CSV or JSONL file. Raises UserError with the row."""
    labels: dict[str, str] = {}
    for where, pairs in read_records(data, filename, WANTED_LABELLED):
        fields = dict(pairs)
        text, label = (value(fields[column], where, column) for column in COLUMNS)
        if labels.setdefault(text, label) != label:
            raise UserError(f"{where} labels a text {label!r} that an earlier row labels {labels[text]!r}: keep one.")
        if len(labels) > MAX_ROWS:
            raise UserError(f"{where}: at most {MAX_ROWS:,} texts can be read: shorten the file.")
    if not labels:
        raise UserError(WANTED_LABELLED.empty)
    counts = Counter(labels.values())
    if len(counts) < 2:
        raise UserError(f"All rows have the label {next(iter(counts))!r}: a discriminator needs two classes or more.")
    small, number = min(counts.items(), key=lambda item: item[1])
    if number < MIN_ROWS:
        raise UserError(f"The class {small!r} has {number} different texts: give each class at least {MIN_ROWS}.")
    return [Labelled(text, label) for text, label in labels.items()]


def value(found: Any, where: str, column: str) -> str:
    """A field as text without blanks around it; refuse an empty or a long one."""
    text = (plain(found, where, column) or "").strip()
    if not text:
        refuse(where, column, f"the {column} is missing")
    if len(text) > MAX_CHARACTERS:
        refuse(where, column, f"it has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read")
    return text
