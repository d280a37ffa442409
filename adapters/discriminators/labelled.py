"""Reads labelled texts from CSV or JSONL with the columns `text` and `label`; equal rows count once.

Texts without a label can be labelled by word lists instead, whose words occur in them.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from adapters.methods import UserError
from adapters.reading import Wanted, needs, plain, read_records, refuse

MAX_BYTES = 20_000_000
MAX_ROWS = 50_000  # different texts
MAX_CHARACTERS = 20_000  # of a text
MIN_ROWS = 10  # of a class
COLUMNS = ("text", "label")
OTHER = "other"  # the label of texts without a word of the lists


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


WANTED_TEXTS = WANTED_LABELLED._replace(check=needs("text", hint="the column needed is text"), example='{"text": "…"}')


def by_words(lists: Mapping[str, Sequence[str]]) -> Callable[[str], str]:
    """Labels a text with the name of the list of which most words occur in it, as OTHER without any.

    >>> label = by_words({"sea": ["wave", "deep water"], "sky": ["cloud"]})
    >>> label("A Wave came."), label("They waved at deep waters."), label("Cloud on cloud, in deep water")
    ('sea', 'other', 'sky')
    """
    found = {
        name: re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)
        for name, words in lists.items()
    }

    def label(text: str) -> str:
        counts = {name: len(pattern.findall(text)) for name, pattern in found.items()}
        return max(counts, key=counts.__getitem__) if any(counts.values()) else OTHER

    return label


def read_labelled(data: bytes, filename: str, label_of: Callable[[str], str] | None = None) -> list[Labelled]:
    """Rows of a CSV or JSONL file; `label_of` labels texts that have no label. Raises UserError with the row."""
    labels: dict[str, str] = {}
    for where, pairs in read_records(data, filename, WANTED_TEXTS if label_of else WANTED_LABELLED):
        fields = dict(pairs)
        text = value(fields["text"], where, "text")
        label = label_of(text) if label_of else value(fields["label"], where, "label")
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
