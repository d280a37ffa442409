"""Reads a list of words that a person typed or uploaded.

Commas, semicolons or line breaks separate words, so "black hole" is one entry; blanks separate where there are none.
"""

import re
from collections.abc import Sequence

from adapters.methods import Attribute, UserError, from_json, weighted_word
from adapters.reading import Record, Wanted, check_text, needs, read_records, refuse

MAX_BYTES = 2_000_000  # of a file, or characters of a box: enough to count the words of a list that is far too long
SEPARATOR = re.compile(r"[,;\n]")
NAME = "own words"
NO_WORDS = "The list of own words is empty: write at least one common word, such as ocean."


def parse_words(text: str) -> tuple[str, ...]:
    """Different words of a text, each perhaps with a weight behind it ("laser:2"). Raises UserError.

    >>> parse_words("laser:2, black hole"), parse_words("laser moon")
    (('laser:2', 'black hole'), ('laser', 'moon'))
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"The list has {len(text):,} characters, at most {MAX_BYTES:,} can be read: shorten it.")
    return checked(SEPARATOR.split(text) if SEPARATOR.search(text) else text.split())


def read_word_list(data: bytes, filename: str) -> tuple[str, ...]:
    """Words of a TXT file, as in `parse_words`, or of a CSV file with `word`, perhaps `weight`. Raises UserError."""
    records = read_records(data, filename, WANTED_WORDS)
    if filename.lower().endswith(".txt"):
        return parse_words(next(records).fields[0][1])
    return checked([weighted(record) for record in records])


def weighted(record: Record) -> str:
    """A row's word with its weight behind a colon. Raises UserError."""
    fields = dict(record.fields)
    word, weight = fields["word"].strip(), fields.get("weight", "").strip()
    if SEPARATOR.search(word):
        refuse(record.where, "word", "it holds a comma, semicolon or line break: put each word on its own line")
    found = f"{word}:{weight}" if word and weight else word
    if weight and weighted_word(found)[0] != word:
        refuse(record.where, "weight", f"{weight[:20]!r} is not a number")
    return found


WANTED_WORDS = Wanted(
    endings=(".txt", ".csv"),
    check=needs("word", hint="begin the file with word, or word,weight"),
    example="",
    empty=NO_WORDS,
    max_bytes=MAX_BYTES,
    max_rows=MAX_BYTES,
    split=lambda text: iter([Record("The file", [("words", text)])]),
)


def as_text(words: Sequence[str]) -> str:
    """The list as a person could type it; `parse_words` reads it back."""
    return ", ".join(words) + ("," if len(words) == 1 else "")


def checked(parts: Sequence[str]) -> tuple[str, ...]:
    """Different words among the parts. Raises UserError for none, for too many, and for broken characters."""
    words = tuple(dict.fromkeys(word for part in parts if (word := " ".join(part.split()))))
    if not words:
        raise UserError(NO_WORDS)
    for word in words:
        check_text(word, "The list", word)
    from_json(Attribute, {"name": NAME, "words": words})  # says so where there are too many
    for word in words:
        weighted_word(word)
    return words
