"""Bytes of a file -> records: where each row stands, and its fields; CSV, TSV and JSONL.

Knows the formats, and of columns only their names; knows nothing of what the rows are for. A line ends with "\\n", a
"\\r" before it belongs to the end; a line without any character holds no row. Whatever cannot be read exactly is
refused in one line.
"""

import csv
import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, NoReturn

from adapters.methods import UserError

MAX_QUOTED = 60  # characters of somebody's text in a message
HTML = re.compile(r"\s*(<!--.*?-->\s*)?<(!doctype html|html|head|body|script)[\s>]", re.DOTALL | re.IGNORECASE)
BOMS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
UNCLOSED = "unexpected end of data"
CSV_REASONS = {  # what Python's csv says, by a part of it, and what to do about it
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
    """One row of a file before it is checked: where it stands, and its fields in their order."""

    where: str
    fields: list[tuple[str, Any]]


CheckNames = Callable[[list[str], str], None]  # (names of columns, where they stand); raises UserError


class Pairs(list[tuple[str, Any]]):
    """A JSON object with its duplicate keys."""


class NotJson(str):
    """NaN or an infinity, which Python reads although JSON has no such thing."""


def table_records(data: bytes, delimiter: str, check: CheckNames) -> Iterator[Record]:
    """The rows of CSV with this delimiter; `check` refuses names of columns."""
    lines = decode(data).split("\n")
    reader = csv.reader((line + "\n" for line in lines), delimiter=delimiter, strict=True)
    header: list[str] = []
    row, start = 0, 1
    while True:
        where = f"Row {row} (line {start})" if header else "The header"
        try:
            cells = next(reader, None)
        except csv.Error as error:
            record = "\n".join(lines[start - 1 : reader.line_num])
            place = broken_field(record, delimiter, str(error))
            refuse(where, header[place] if place < len(header) else place + 1, csv_reason(error))
        start = reader.line_num + 1
        if cells is None:
            return
        if header and cells:
            yield Record(where, even(header, cells, where))
        elif cells:
            header = cells
            check(header, where)
        row += bool(cells)


def even(header: list[str], cells: list[str], where: str) -> list[tuple[str, str]]:
    """The cells with their names; refused where there are more or fewer."""
    counts = f"columns in the header: {len(header)}, in the row: {len(cells)}"
    if len(cells) < len(header):
        refuse(where, header[len(cells)], f"it is missing: {counts}")
    if len(cells) > len(header):
        refuse(where, len(header) + 1, f"there is no such column: {counts}; put text with delimiters in quotes")
    return list(zip(header, cells, strict=True))


def broken_field(record: str, delimiter: str, reason: str) -> int:
    """Place of the field at which the csv module gave up: the last one in the shortest beginning that it refuses."""

    def refused(length: int) -> bool:
        try:
            list(csv.reader([record[:length]], delimiter=delimiter, strict=True))
        except csv.Error as error:
            return str(error) == reason
        return False

    length = len(record) if reason == UNCLOSED else bisect_left(range(len(record)), True, key=refused)
    cells = next(csv.reader([record[: length - 1]], delimiter=delimiter), [])
    return max(len(cells), 1) - 1


def csv_reason(error: csv.Error) -> str:
    """What is wrong, for somebody who does not know Python."""
    return next((reason for part, reason in CSV_REASONS.items() if part in str(error)), str(error))


def json_records(data: bytes, check: CheckNames, example: str) -> Iterator[Record]:
    """One JSON object a line, such as `example`."""
    row = 0
    for number, line in enumerate(decode(data).split("\n"), start=1):
        if not line.removesuffix("\r"):
            continue
        row += 1
        where = f"Row {row} (line {number})"
        try:
            fields = parse_json(line)
        except RecursionError as error:
            raise UserError(f"{where}: it is nested too deeply: write plain values.") from error
        except json.JSONDecodeError as error:
            raise UserError(f"{where} is not JSON: {error.msg} (character {error.pos + 1:,}).") from error
        if not isinstance(fields, Pairs):
            raise UserError(f"{where}: write one object a line, {example}.")
        check([name for name, _ in fields], where)
        yield Record(where, fields)


def parse_json(text: str | bytes) -> Any:
    """JSON with numbers as they are written, and objects as pairs."""
    return json.loads(text, object_pairs_hook=Pairs, parse_int=str, parse_float=str, parse_constant=NotJson)


def check_disguise(data: bytes, suffix: str) -> None:
    """Refuses what begins as another kind of file than its name says."""
    for what, beginning in DISGUISES.items():
        if re.match(beginning, data, re.DOTALL):
            raise UserError(f"The file is {what}, whatever its name says: upload the text itself as {suffix}.")


def decode(data: bytes) -> str:
    """The text of a file in UTF-8, or in UTF-16 with a byte order mark; refused otherwise, naming the byte."""
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
    """Refuses names of columns of which one is empty or there twice."""
    for place, name in enumerate(names):
        if not name:
            refuse(where, place + 1, "it has no name: name the column or remove it")
        check_text(name, where, name)
    seen: set[str] = set()
    for name in names:
        if name in seen:
            refuse(where, name, "it is there twice: rename one of them")
        seen.add(name)


def check_text(text: str, where: str, name: str) -> None:
    """Refuses text that no database and no other file could hold."""
    if "\0" in text:
        refuse(where, name, "it holds a NUL character: remove it, or save the file as UTF-8")
    if SURROGATE.search(text):
        refuse(where, name, "it holds half a surrogate pair: remove it")


def refuse(where: str, field: str | int, reason: str) -> NoReturn:
    """Raises UserError in one line; `field` is a name, or the place of a column from 1."""
    raise UserError(f"{where}, field {field if isinstance(field, int) else quoted(field)}: {reason}.")


def quoted(text: str) -> str:
    """Somebody's text as one short line."""
    return repr(text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…")
