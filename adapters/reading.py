"""Reads a stranger's file strictly: CSV, TSV, JSONL, JSON, TXT or Parquet -> records, or a line that says why not.

Values are never changed. A line ends with "\\n", a "\\r" before it belongs to the end, and an empty line holds no row.
"""

import csv
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any, NamedTuple, NoReturn

from adapters.methods import UserError
from adapters.parquet import parquet_rows

MAX_QUOTED = 60  # characters of a stranger's text in a message
HTML = re.compile(r"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|script)[\s>]", re.DOTALL | re.IGNORECASE)
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
UNCLOSED = "unexpected end of data"
CSV_REASONS = {  # part of what Python's csv says -> what to do about it
    UNCLOSED: "a quote is opened and never closed",
    "expected after": "text stands behind a closing quote: double the quotes inside a value",
    "new-line character": "a carriage return stands alone: end lines with a line feed, or put the value in quotes",
}
DISGUISES = {  # how files begin that are sometimes named like text
    "a ZIP archive, or a workbook or document of an office program": rb"PK(\x03\x04|\x05\x06)",
    "an archive": rb"\x1f\x8b|BZh[1-9]1AY&SY|\xfd7zXZ\0|7z\xbc\xaf\x27\x1c|Rar!\x1a\x07|\x28\xb5\x2f\xfd|.{257}ustar",
    "a document of an office program": rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "a PDF": rb"%PDF-",
    "a picture": rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a",
}
SURROGATE = re.compile("[\ud800-\udfff]")


class Record(NamedTuple):
    """One row of a file: where it stands, and its fields in their order, not checked yet."""

    where: str
    fields: list[tuple[str, Any]]


CheckNames = Callable[[list[str], str], None]  # (names of columns, where they stand); raises UserError


def needs(*columns: str, hint: str) -> CheckNames:
    """A check that each of these columns is there exactly once."""

    def check(names: list[str], where: str) -> None:
        if missing := [column for column in columns if names.count(column) != 1]:
            raise UserError(f"{where} must name the column {missing[0]!r} once: {hint}.")

    return check


class Wanted(NamedTuple):
    """What a file must hold and how large it may be."""

    endings: tuple[str, ...]  # such as ".csv"
    check: CheckNames
    example: str  # a line of JSONL
    empty: str  # message about a file without any text
    max_bytes: int
    max_rows: int
    split: Callable[[str], Iterator[Record]] | None = None  # a TXT file into records


def read_records(data: bytes, filename: str, wanted: Wanted) -> Iterator[Record]:
    """Rows of a file, which is read as the ending of its name says. Raises UserError."""
    suffix = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    check_file(data, suffix, wanted)
    for number, record in enumerate(records(data, suffix, wanted)):
        if number == wanted.max_rows:
            raise UserError(f"{record.where}: at most {wanted.max_rows:,} rows can be read: split the file.")
        yield record


def check_file(data: bytes, suffix: str, wanted: Wanted) -> None:
    """Refuse a file with a wrong ending, size or beginning."""
    if suffix not in wanted.endings:
        raise UserError(f"The file name ends with {quoted(suffix)}: give one of {', '.join(wanted.endings)}.")
    if len(data) > wanted.max_bytes:
        raise UserError(f"The file has {len(data):,} bytes, at most {wanted.max_bytes:,} can be read: split it.")
    if not data.strip():
        raise UserError(wanted.empty)
    for what, beginning in DISGUISES.items():
        if re.match(beginning, data, re.DOTALL):
            raise UserError(f"The file is {what}, whatever its name says: upload the text itself as {suffix}.")
    if data.startswith(b"PAR1") and suffix != ".parquet":
        raise UserError("The file is a Parquet file: let its name end with .parquet.")


def records(data: bytes, suffix: str, wanted: Wanted) -> Iterator[Record]:
    if suffix == ".parquet":
        return parquet_records(data, wanted)
    if suffix in (".jsonl", ".json"):
        return json_records(decode(data), wanted, is_one=suffix == ".json")
    if suffix == ".txt" and wanted.split is not None:
        return wanted.split(decode(data))
    return table_records(decode(data), "\t" if suffix == ".tsv" else ",", wanted.check)


def parquet_records(data: bytes, wanted: Wanted) -> Iterator[Record]:
    try:
        names, rows = parse_json(parquet_rows(data, wanted.max_rows, wanted.max_bytes))
    except ValueError as error:
        raise UserError(str(error)) from error
    wanted.check(names, "The header")
    for number, row in enumerate(rows, start=1):
        yield Record(f"Row {number}", list(zip(names, row, strict=True)))


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicate keys."""


class NotJson(str):
    """NaN or an infinity, which Python reads although JSON has no such thing."""


def table_records(text: str, delimiter: str, check: CheckNames) -> Iterator[Record]:
    """Rows of CSV with this delimiter; `check` refuses names of columns."""
    lines = text.split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    row, start = 0, 1
    while True:
        where = f"Row {row} (line {start})" if header else "The header"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            record = "\n".join(lines[start - 1 : reader.line_num])
            index = broken_field(record, delimiter, str(error))
            reason = next((told for part, told in CSV_REASONS.items() if part in str(error)), str(error))
            refuse(where, header[index] if index < len(header) else index + 1, reason)
        start = reader.line_num + 1
        if cells is None:
            return
        if not cells:
            continue
        row += 1
        if not header:
            header = cells
            check(header, where)
            continue
        counts = f"columns in the header: {len(header)}, in the row: {len(cells)}"
        if len(cells) < len(header):
            refuse(where, header[len(cells)], f"it is missing: {counts}")
        if len(cells) > len(header):
            refuse(where, len(header) + 1, f"there is no such column: {counts}; put text with delimiters in quotes")
        yield Record(where, list(zip(header, cells, strict=True)))


def broken_field(record: str, delimiter: str, reason: str) -> int:
    """Index of the field where the csv module gave up: the last in the shortest beginning that it refuses."""

    def refused(length: int) -> bool:
        try:
            list(csv.reader([record[:length]], delimiter=delimiter, strict=True))
        except csv.Error as error:
            return str(error) == reason
        return False

    length = len(record) if reason == UNCLOSED else bisect_left(range(len(record)), True, key=refused)
    cells = next(csv.reader([record[: length - 1]], delimiter=delimiter), [])
    return max(len(cells), 1) - 1


def json_records(text: str, wanted: Wanted, is_one: bool) -> Iterator[Record]:
    """The objects of a text: one a line, or all in one array (`is_one`)."""
    for where, line in [("The file", text)] if is_one else numbered(text):
        if not line.strip():
            continue
        try:
            found = parse_json(line)
        except RecursionError as error:
            raise UserError(f"{where}: it is nested too deeply: write plain values.") from error
        except json.JSONDecodeError as error:
            raise UserError(f"{where} is not JSON: {error.msg} (character {error.pos + 1:,}).") from error
        rows = enumerate(found, start=1) if is_one and type(found) is list else ()
        for place, fields in [(f"Row {number}", row) for number, row in rows] or [(where, found)]:
            if not isinstance(fields, Pairs):
                what = "an array of objects" if is_one else "one object a line"
                raise UserError(f"{place}: write {what}, {wanted.example}.")
            wanted.check([name for name, _ in fields], place)
            yield Record(place, fields)


def numbered(text: str) -> Iterator[tuple[str, str]]:
    """Lines that hold a row, each with where it stands."""
    row = 0
    for number, line in enumerate(text.split("\n"), start=1):
        if line := line.removesuffix("\r"):
            row += 1
            yield f"Row {row} (line {number})", line


def parse_json(text: str | bytes) -> Any:
    """Parse JSON; numbers stay as they are written, objects become pairs."""
    return json.loads(text, object_pairs_hook=Pairs, parse_int=str, parse_float=str, parse_constant=NotJson)


def decode(data: bytes) -> str:
    """Text of a file in UTF-8, or in UTF-16 with a byte order mark; refuse any other and name the byte."""
    bom = next((bom for bom in BOMS if data.startswith(bom)), b"")
    encoding = BOMS.get(bom, "utf-8")
    try:
        text = data[len(bom) :].decode(encoding)
    except UnicodeDecodeError as error:
        place = len(bom) + error.start
        line = 1 + data[len(bom) : place].decode(encoding, errors="replace").count("\n")
        raise UserError(
            f"Line {line}: byte {place + 1:,} of the file (0x{data[place]:02X}) is not {encoding.upper()}: "
            "save the file as UTF-8."
        ) from error
    if HTML.match(text):
        raise UserError("The file is an HTML page, whatever its name says: upload the text itself.")
    return text


def check_names(names: list[str], where: str) -> None:
    """Refuse an empty name of a column, and a name that is there twice."""
    seen: set[str] = set()
    for number, name in enumerate(names, start=1):
        if not name:
            refuse(where, number, "it has no name: name the column or remove it")
        check_text(name, where, name)
        if name in seen:
            refuse(where, name, "it is there twice: rename one of them")
        seen.add(name)


def check_text(text: str, where: str, name: str) -> None:
    """Refuse text that no database could hold."""
    if "\0" in text:
        refuse(where, name, "it holds a NUL character: remove it, or save the file as UTF-8")
    if SURROGATE.search(text):
        refuse(where, name, "it holds half a surrogate pair: remove it")


def refuse(where: str, field: str | int, reason: str) -> NoReturn:
    """Raise UserError in one line; `field` is a name, or the number of a column from 1."""
    raise UserError(f"{where}, field {field if isinstance(field, int) else quoted(field)}: {reason}.")


def plain(value: Any, where: str, name: str) -> str | None:
    """A value as text, None for null; refuse lists, objects, NaN and broken characters."""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, NotJson):
        refuse(where, name, f"{value} is not a value: write text, a number or null")
    if value is not None and not isinstance(value, str):
        refuse(where, name, "it holds a list or an object: write plain text")
    check_text(value or "", where, name)
    return value


def quoted(text: str) -> str:
    """A stranger's text as one short line."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")
