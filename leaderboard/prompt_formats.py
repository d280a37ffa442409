"""The files that a prompt set may be: CSV, TSV, JSONL, plain text with a prompt a line, and Parquet.

Knows the formats and that a prompt must be there; what a line or a cell may hold is in adapters.reading.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from adapters.methods import UserError
from adapters.parquet import parquet_rows
from adapters.reading import Record, check_names, decode, json_records, parse_json, quoted, table_records


class Limits(NamedTuple):
    """How large an upload may be."""

    max_bytes: int = 2_000_000
    max_prompts: int = 500
    max_characters: int = 4_000  # of each value
    max_columns: int = 50  # of all rows together, each of which may have its own in JSONL


LIMITS = Limits()


def check_columns(names: list[str], where: str) -> None:
    """Refuses names of columns that cannot be used, or without a prompt among them."""
    check_names(names, where)
    if "prompt" not in names:
        known = ", ".join(quoted(name) for name in names[:20]) or "none"
        raise UserError(f"{where} has no column 'prompt': the columns are {known}; rename the one to continue.")


def text_records(data: bytes) -> Iterator[Record]:
    """One prompt a line."""
    row = 0
    for number, line in enumerate(decode(data).split("\n"), start=1):
        if prompt := line.removesuffix("\r"):
            row += 1
            yield Record(f"Row {row} (line {number})", [("prompt", prompt)])


def parquet_records(data: bytes, limits: Limits) -> Iterator[Record]:
    """The rows of a Parquet file."""
    try:
        names, rows = parse_json(parquet_rows(data, limits.max_prompts, limits.max_bytes))
    except ValueError as error:
        raise UserError(str(error)) from error
    check_columns(names, "The header")
    for number, row in enumerate(rows, start=1):
        yield Record(f"Row {number}", list(zip(names, row, strict=True)))


FORMATS: dict[str, Callable[[bytes, Limits], Iterable[Record]]] = {
    ".csv": lambda data, limits: table_records(data, ",", check_columns),
    ".tsv": lambda data, limits: table_records(data, "\t", check_columns),
    ".jsonl": lambda data, limits: json_records(data, check_columns, '{"prompt": "…"}'),
    ".txt": lambda data, limits: text_records(data),
    ".parquet": parquet_records,
}
