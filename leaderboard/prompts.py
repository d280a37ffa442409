"""Reads a prompt set from an uploaded file: bytes and a file name -> PromptSet.

Values are never changed: "NA" and "007" stay as they are, blanks and line ends inside quotes too; numbers, true and
false are kept as JSON writes them. An empty `reference` or `id`, and null anywhere, means none.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from adapters.methods import UserError
from adapters.reading import Record, Wanted, check_names, numbered, plain, quoted, read_records, refuse
from leaderboard.records import Prompt, PromptSet

DATA = Path(__file__).parent / "data"
ENDINGS = (".csv", ".tsv", ".jsonl", ".txt", ".parquet")
MAX_NAME = 60  # characters of a set's name


class Limits(NamedTuple):
    max_bytes: int = 2_000_000
    max_prompts: int = 500
    max_characters: int = 4_000  # of each value
    max_columns: int = 50  # of all rows together: each line of JSONL may have its own


LIMITS = Limits()


def shipped_sets() -> dict[str, Path]:
    """Files of the example sets by name."""
    return {file.stem: file for file in sorted(DATA.iterdir()) if file.suffix in ENDINGS}


def read_prompts(data: bytes, filename: str, limits: Limits = LIMITS) -> PromptSet:
    """Prompts of a CSV, TSV, JSONL, TXT or Parquet file. Raises UserError."""
    prompts: list[Prompt] = []
    columns: set[str] = set()
    empty = "The file is empty: write at least one prompt."
    wanted = Wanted(ENDINGS, check_columns, '{"prompt": "…"}', empty, limits.max_bytes, limits.max_prompts, lines)
    for record in read_records(data, filename, wanted):
        columns.update(name for name, _ in record.fields)
        if len(columns) > limits.max_columns:
            raise UserError(f"{record.where}: at most {limits.max_columns} columns can be kept: remove some of them.")
        prompts.append(read_prompt(record, limits))
    if not prompts:
        raise UserError("The file holds no prompt: write at least one below the names of the columns.")
    rows: dict[str, int] = {}
    for row, prompt in enumerate(prompts, start=1):
        if prompt.id is not None and (first := rows.setdefault(prompt.id, row)) != row:
            refuse(f"Row {row}", "id", f"{quoted(prompt.id)} is the id of row {first} too: give it another")
    return PromptSet(set_name(filename), tuple(prompts))


def check_columns(names: list[str], where: str) -> None:
    """Refuse names of columns that cannot be used, or without `prompt` among them."""
    check_names(names, where)
    if "prompt" not in names:
        known = ", ".join(quoted(name) for name in names[:20]) or "none"
        raise UserError(f"{where} has no column 'prompt': the columns are {known}; rename the one to continue.")


def lines(text: str) -> Iterator[Record]:
    for where, line in numbered(text):
        yield Record(where, [("prompt", line)])


def set_name(filename: str) -> str:
    """Short name of a file's set: its stem in letters, digits, blanks and -_. only."""
    stem = PurePosixPath(filename.replace("\\", "/")).stem
    safe = "".join(character if character.isalnum() or character in " -_." else "-" for character in stem)
    return safe.strip()[:MAX_NAME].strip() or "prompts"


def read_values(record: Record, limits: Limits) -> dict[str, str]:
    """The fields of a record that are not null. Raises UserError with row, field and reason."""
    values: dict[str, str] = {}
    for name, value in record.fields:
        text = plain(value, record.where, name)
        if text is None:
            continue
        if len(text) > limits.max_characters:
            most = f"at most {limits.max_characters:,} can be read"
            refuse(record.where, name, f"it has {len(text):,} characters, {most}: shorten it")
        values[name] = text
    return values


def read_prompt(record: Record, limits: Limits) -> Prompt:
    """The prompt of a record. Raises UserError with row, field and reason."""
    values = read_values(record, limits)
    prompt = values.pop("prompt", "")
    if not prompt.strip():
        refuse(record.where, "prompt", "it is empty: write something to continue, or remove the row")
    reference, identity = values.pop("reference", None) or None, values.pop("id", None) or None
    return Prompt(prompt, reference, identity, tuple(values.items()))
