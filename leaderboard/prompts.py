"""Reads a prompt set from an uploaded file: bytes and a file name -> PromptSet, or one line that says what is wrong.

Knows what a prompt set is; knows nothing of models, databases or pages. A value is never changed: "NA" and "007" stay
as they are, blanks and line ends inside quotes too; numbers, true and false are kept as JSON writes them. An empty
`reference` or `id`, and null anywhere, is none.
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from adapters.methods import UserError
from adapters.reading import NotJson, Record, check_disguise, check_text, quoted, refuse
from leaderboard.prompt_formats import FORMATS, LIMITS, Limits
from leaderboard.records import Prompt, PromptSet

DATA = Path(__file__).parent / "data"
MAX_NAME = 60  # characters of a set's name


def shipped_sets() -> dict[str, Path]:
    """The files of the example sets by name."""
    return {file.stem: file for file in sorted(DATA.iterdir()) if file.suffix in FORMATS}


def read_prompts(data: bytes, filename: str, limits: Limits = LIMITS) -> PromptSet:
    """The prompts of a CSV, TSV, JSONL, TXT or Parquet file, chosen by the ending of its name. Raises UserError."""
    suffix = PurePosixPath(filename.replace("\\", "/")).suffix.lower()
    check_file(data, suffix, limits)
    prompts: list[Prompt] = []
    columns: set[str] = set()
    for record in FORMATS[suffix](data, limits):
        if len(prompts) == limits.max_prompts:
            most = f"at most {limits.max_prompts:,} prompts can be run at once"
            raise UserError(f"{record.where}: {most}: split the file.")
        columns.update(name for name, _ in record.fields)
        if len(columns) > limits.max_columns:
            raise UserError(f"{record.where}: at most {limits.max_columns} columns can be kept: remove some of them.")
        prompts.append(read_prompt(record, limits))
    if not prompts:
        raise UserError("The file holds no prompt: write at least one below the names of the columns.")
    refuse_equal_ids(prompts)
    return PromptSet(set_name(filename), tuple(prompts))


def check_file(data: bytes, suffix: str, limits: Limits) -> None:
    """Refuses a file whose ending, size or beginning shows that it is no prompt set."""
    if suffix not in FORMATS:
        raise UserError(f"The file name ends with {quoted(suffix)}: upload one of {', '.join(FORMATS)}.")
    if len(data) > limits.max_bytes:
        raise UserError(f"The file has {len(data):,} bytes, at most {limits.max_bytes:,} can be read: split it.")
    if not data.strip():
        raise UserError("The file is empty: write at least one prompt.")
    check_disguise(data, suffix)
    if data.startswith(b"PAR1") and suffix != ".parquet":
        raise UserError("The file is a Parquet file: let its name end with .parquet.")


def set_name(filename: str) -> str:
    """The file's name without folders and ending, in letters, digits, blanks and -_. only, and short."""
    stem = PurePosixPath(filename.replace("\\", "/")).stem
    safe = "".join(character if character.isalnum() or character in " -_." else "-" for character in stem)
    return safe.strip()[:MAX_NAME].strip() or "prompts"


# Records -> prompts, checked


def read_prompt(record: Record, limits: Limits) -> Prompt:
    """The prompt of a record. Raises UserError naming row, field and reason."""
    values: dict[str, str] = {}
    for name, value in record.fields:
        text = as_text(value, record.where, name)
        if text is None:
            continue
        check_text(text, record.where, name)
        if len(text) > limits.max_characters:
            most = f"at most {limits.max_characters:,} can be read"
            refuse(record.where, name, f"it has {len(text):,} characters, {most}: shorten it")
        values[name] = text
    prompt = values.pop("prompt", "")
    if not prompt.strip():
        refuse(record.where, "prompt", "it is empty: write something to continue, or remove the row")
    reference, identity = values.pop("reference", None) or None, values.pop("id", None) or None
    return Prompt(prompt, reference, identity, tuple(values.items()))


def as_text(value: Any, where: str, name: str) -> str | None:
    """The value as text, None for null; refused where it is no plain value."""
    if isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, NotJson):
        refuse(where, name, f"{value} is not a value: write text, a number or null")
    if value is None or isinstance(value, str):
        return value
    return refuse(where, name, "it holds a list or an object: write plain text")


def refuse_equal_ids(prompts: list[Prompt]) -> None:
    """Refuses an id that two prompts share."""
    rows: dict[str, int] = {}
    for row, prompt in enumerate(prompts, start=1):
        if prompt.id is not None and prompt.id in rows:
            refuse(f"Row {row}", "id", f"{quoted(prompt.id)} is the id of row {rows[prompt.id]} too: give it another")
        if prompt.id is not None:
            rows[prompt.id] = row
