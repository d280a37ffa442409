"""Reads a stranger's Parquet file in a process of its own: bytes -> names of the columns and rows, as JSON.

A small file can unfold to many gigabytes, and about one in 2,500 damaged files makes pyarrow 26 abort its process. So
the child has little memory (on Linux) and little time. It runs this file as a script and imports nothing of the app.
"""

import json
import logging
import subprocess
import sys
from io import BytesIO
from typing import Any

TOO_MUCH = "The Parquet file unfolds to more than can be read: save it as CSV or JSONL."
EXPANSION = 10  # a file may unfold to so many times the largest upload
OVERHEAD = 8  # bytes of a value beside its text
MEMORY = 1_000_000_000  # bytes that the child may add to what it has once pyarrow is there
REFUSED = 3  # exit code; the reason stands in stdout


def parquet_rows(data: bytes, max_rows: int, max_bytes: int) -> bytes:
    """JSON `[names, rows]`, a row being a list of plain values. Raises ValueError in one line."""
    command = [sys.executable, "-P", __file__, str(max_rows), str(max_bytes)]
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired as error:
        raise ValueError("The Parquet file takes too long to read: save it as CSV or JSONL.") from error
    if child.returncode == REFUSED:
        raise ValueError(child.stdout.decode())
    if child.returncode:
        logging.getLogger(__name__).warning("reading a Parquet file: %s", child.stderr.decode(errors="replace"))
        raise ValueError("The Parquet file breaks its reader: save it as CSV or JSONL.")
    return child.stdout


def read_table(data: bytes, max_rows: int, max_bytes: int) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns, and rows. Raises ValueError in one line."""
    from pyarrow import ArrowException, ArrowMemoryError
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(BytesIO(data), pre_buffer=False) as file:
            check_size(file.metadata, max_rows, max_bytes)
            check_types(file.schema_arrow)
            table = file.read(use_threads=False)
        table.validate()
        names = table.column_names
    except ArrowMemoryError:  # a MemoryError, which is told in other words
        raise
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ValueError(f"The Parquet file cannot be read: {reason[:200]}.") from error
    if table.num_rows > max_rows:
        raise ValueError("The Parquet file holds more rows than it says: save it as CSV or JSONL.")
    columns = [values(name, column) for name, column in zip(names, table.columns, strict=True)]
    if sum(len(str(value)) + OVERHEAD for column in columns for value in column) > EXPANSION * max_bytes:
        raise ValueError(TOO_MUCH)
    return names, [list(row) for row in zip(*columns, strict=True)]


def values(name: str, column: Any) -> list[Any]:
    """Values of a column as Python objects. Raises ValueError with the row."""
    found: list[Any] = []
    try:
        for value in column:
            found.append(value.as_py())
    except UnicodeDecodeError as error:
        place, byte = f"Row {len(found) + 1}, field {name[:60]!r}", error.object[error.start]
        raise ValueError(f"{place}: byte 0x{byte:02X} is not UTF-8: write the text as UTF-8.") from error
    return found


def check_size(metadata: Any, max_rows: int, max_bytes: int) -> None:
    """Refuse a file that is too large by its own account."""
    if metadata.num_rows > max_rows:
        raise ValueError(f"The file has {metadata.num_rows:,} rows, at most {max_rows:,} can be read: split the file.")
    groups = map(metadata.row_group, range(metadata.num_row_groups))
    columns = (group.column(index) for group in groups for index in range(group.num_columns))
    size = sum(max(column.total_uncompressed_size, 0) for column in columns)
    if size > EXPANSION * max_bytes:
        raise ValueError(
            f"The file unfolds to {size:,} bytes, at most {EXPANSION * max_bytes:,} can be read: split the file."
        )


def check_types(schema: Any) -> None:
    """Refuse columns of anything but text, numbers and truth values."""
    from pyarrow import types

    for field in schema:
        kind = field.type.value_type if types.is_dictionary(field.type) else field.type
        plain = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer)
        if not any(is_kind(kind) for is_kind in (*plain, types.is_floating, types.is_boolean, types.is_null)):
            raise ValueError(
                f"Column {field.name[:60]!r} holds values of the type {str(kind)[:60]}: write them as text."
            )


def limit_memory() -> None:
    """Let this process add at most MEMORY bytes; only Linux enforces such a limit."""
    if sys.platform == "linux":
        import resource
        from pathlib import Path

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Child process: read a file on stdin, write JSON or the reason to stdout."""
    import pyarrow.parquet  # noqa: F401  (before the limit)

    limit_memory()
    max_rows, max_bytes = map(int, sys.argv[1:])
    try:
        sys.stdout.buffer.write(json.dumps(read_table(sys.stdin.buffer.read(), max_rows, max_bytes)).encode())
    except (MemoryError, ValueError) as error:
        reason = TOO_MUCH if isinstance(error, MemoryError) else str(error)
        sys.stdout.buffer.write(reason.encode(errors="backslashreplace"))
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
