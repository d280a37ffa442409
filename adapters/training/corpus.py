"""Training texts: a file -> rows -> token ids and the scored part, split by key.

Uploads are CSV, TSV or JSONL with one of SHAPES; other columns are left out. The rows of a TXT file are its paragraphs,
between blank lines, or its lines where no line is blank.

- `prompt` and `completion`: joined, with a blank between them if neither has one. The completion and its end token are
  scored. Rows that are too long are left out.
- `q` and `a`: the prompt is `Question: …\\nAnswer:`, the completion is the answer.
- `text`: bos + text + end token; everything after bos is scored. A longer text is cut into pieces that begin with bos;
  only the last has the end token. Paragraphs of one text have no end token, or the adapter would stop after each.
"""

import hashlib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from adapters.base_model import BaseModel
from adapters.methods import UserError
from adapters.reading import Record, Wanted, check_names, plain, quoted, read_records, refuse
from adapters.training.batches import Example

Row: TypeAlias = dict[str, Any]

MAX_BYTES = 20_000_000
MAX_ROWS = 100_000
SHAPES = (("text",), ("prompt", "completion"), ("q", "a"))  # columns of a row
WANTED = "text, or prompt and completion"
EXAMPLE = '{"text": "…"} or {"prompt": "…", "completion": "…"}'
ENDINGS = (".txt", ".csv", ".tsv", ".jsonl")
DATA = Path(__file__).parents[1] / "data"
VALIDATION_SHARE = 0.1
UNKNOWN = "unknown"  # licence of an upload


class Dataset(NamedTuple):
    """A file of rows, the key that keeps related rows together, and lines for the card."""

    file: Path
    key: tuple[str, ...]  # rows that agree in these fields stay on one side of the split; (): the row itself
    about: str
    licence: str
    whole: bool = True  # whether each text is complete, so that its end is learned
    halved: tuple[tuple[str, str], ...] = ()  # half of the rows with these fields are used


def shipped(name: str, key: list[str], halved: dict[str, str] | None = None, **fields: Any) -> Dataset:
    """The data set of a table in datasets.toml, which says what its fields mean."""
    return Dataset(DATA / f"{name}.jsonl", tuple(key), halved=tuple((halved or {}).items()), **fields)


TABLES = tomllib.loads((DATA / "datasets.toml").read_text("utf-8"))
DATASETS = {name: shipped(name, **fields) for name, fields in TABLES.items()}
GENERAL = DATASETS.pop("general")


def dataset(name: str) -> Dataset:
    """The shipped data set called `name`, or the file at that path. Raises UserError."""
    if name in DATASETS:
        return DATASETS[name]
    file = Path(name)
    if not file.is_file():
        raise UserError(
            f"There is no data set or file {name!r}: choose {', '.join(DATASETS)} or a file that ends with "
            f"{', '.join(ENDINGS)}."
        )
    return own_dataset(file)


def own_dataset(file: Path, name: str | None = None) -> Dataset:
    """An uploaded file; `name` is its original name."""
    name = name or file.name
    return Dataset(file, (), f"the file {name}", UNKNOWN, whole=not name.lower().endswith(".txt"))


def rows_of(data: Dataset) -> list[Row]:
    """All rows of a data set. Raises UserError."""
    if data.file.parent == DATA:
        return read_rows(data.file)
    try:
        content = data.file.read_bytes()
    except OSError as error:
        raise UserError(f"Cannot read {data.file.name}: {error.strerror}.") from error
    return read_upload(content, data.file.name)


def read_upload(data: bytes, filename: str) -> list[Row]:
    """Rows of a TXT, CSV, TSV or JSONL file. Raises UserError."""
    empty = "The file is empty: write some text to train on."
    wanted = Wanted(ENDINGS, check_columns, EXAMPLE, empty, MAX_BYTES, MAX_ROWS, paragraphs)
    rows = [row_of(record) for record in read_records(data, filename, wanted)]
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


def row_of(record: Record) -> Row:
    """The fields to train on. Raises UserError with row, field and reason."""
    fields, row = dict(record.fields), {}
    (shape,) = shapes(list(fields))
    for name in shape:
        row[name] = plain(fields[name], record.where, name)
        if not (row[name] or "").strip():
            refuse(record.where, name, "it is empty: write some text, or remove the row")
    return row


def read_rows(file: Path) -> list[Row]:
    """The rows of a shipped file, with their other fields, which the split uses."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def hashed_share(value: str) -> float:
    """A number in [0, 1) computed from `value` alone."""
    return int.from_bytes(hashlib.sha256(value.encode()).digest()[:8], "big") / 2**64


def split(rows: Sequence[Row], data: Dataset, share: float = VALIDATION_SHARE) -> tuple[list[Row], list[Row]]:
    """(training rows, validation rows): the `share` of keys with the lowest hashes validates."""
    half = set(data.halved)
    kept = [row for row in rows if not (half and half <= row.items()) or hashed_share(f"keep {as_text(row)}") < 0.5]
    keys = sorted({key(row, data) for row in kept}, key=hashed_share)
    held_out = set(keys[: math.ceil(share * len(keys))])
    training = [row for row in kept if key(row, data) not in held_out]
    return training, [row for row in kept if key(row, data) in held_out]


def key(row: Row, data: Dataset) -> str:
    """The key of a row; rows with one key stay together. Raises UserError for a missing field."""
    if missing := [field for field in data.key if field not in row]:
        raise UserError(f"{data.file}: a row has no {missing[0]!r}, by which the rows are split.")
    return json.dumps([row[field] for field in data.key]) if data.key else as_text(row)


def as_text(row: Row) -> str:
    return json.dumps(row, sort_keys=True)


def question(text: str) -> str:
    return f"Question: {text}\nAnswer:"


def pair(row: Row) -> tuple[str, str] | None:
    """Prompt and completion of a row, ready to be joined; None for a row with `text`.

    >>> pair({"prompt": "The sea is", "completion": "blue"}), pair({"q": "Hue?", "a": "red"})
    (('The sea is', ' blue'), ('Question: Hue?\\nAnswer:', ' red'))
    """
    if "text" in row:
        return None
    prompt, completion = (question(row["q"]), row["a"]) if "q" in row else (row["prompt"], row["completion"])
    apart = prompt[-1:].isspace() or completion[:1].isspace()
    return prompt, completion if apart else f" {completion}"


class Encoded(NamedTuple):
    """Rows as token ids, and the number of rows that were too long."""

    examples: list[Example]
    cut: int  # texts cut into pieces
    left_out: int  # rows with too long a prompt and completion


def encode(base: BaseModel, rows: Sequence[Row], max_length: int, whole: bool = True) -> Encoded:
    """Token ids of rows, at most `max_length`; `whole` texts get an end token. Raises UserError where there is none."""
    eos = base.tokenizer.eos_token_id
    if eos is None:
        raise UserError(f"{base.id} has no end token: it cannot be trained to end a text.")
    examples: list[Example] = []
    cut = left_out = 0
    for row in rows:
        if (texts := pair(row)) is not None:
            prompt = base.encode(texts[0])
            example = Example((*prompt, *base.encode_bare(texts[1]), eos), len(prompt), True)
            fits = len(example.ids) <= max_length
            examples += [example] if fits else []
            left_out += not fits
        else:
            pieces = text_pieces(base.encode(row["text"]), len(base.encode("")), [eos] if whole else [], max_length)
            examples += pieces
            cut += len(pieces) > 1
    return Encoded(examples, cut, left_out)


def text_pieces(ids: Sequence[int], num_bos: int, end: list[int], max_length: int) -> list[Example]:
    """`ids` and `end`, cut into pieces that all begin with the `num_bos` bos tokens of `ids`."""
    bos, body = ids[:num_bos], [*ids[num_bos:], *end]
    size = max_length - num_bos
    starts = range(0, len(body), size)
    start = max(num_bos, 1)  # the first token has nothing before it to predict it
    pieces = [Example((*bos, *body[s : s + size]), start, bool(end) and s + size >= len(body)) for s in starts]
    return [piece for piece in pieces if len(piece.ids) > start]
