"""A list of words that a person typed or uploaded -> its words, or one line that says what is wrong.

Knows text and files; knows nothing of tokens. Words are separated by commas, semicolons or line breaks, so that a
phrase such as "black hole" is one entry; where there are none of these, blanks separate.
"""

import re
from collections.abc import Sequence

from adapters.discriminators.labelled import csv_rows, decoded
from adapters.methods import Attribute, UserError, from_json, weighted_word

MAX_BYTES = 2_000_000  # of a file, or characters of a box: enough to count the words of a list that is far too long
SEPARATOR = re.compile(r"[,;\n]")
NAME = "own words"
NO_WORDS = "The list of own words is empty: write at least one common word, such as ocean."


def parse_words(text: str) -> tuple[str, ...]:
    """The different words of a text, each perhaps with a weight behind it ("laser:2"). Raises UserError.

    >>> parse_words("laser:2, black hole"), parse_words("laser moon")
    (('laser:2', 'black hole'), ('laser', 'moon'))
    """
    if len(text) > MAX_BYTES:
        raise UserError(f"The list has {len(text):,} characters, at most {MAX_BYTES:,} can be read: shorten it.")
    parts = SEPARATOR.split(text) if SEPARATOR.search(text) else text.split()
    return checked(parts)


def read_word_list(data: bytes, filename: str) -> tuple[str, ...]:
    """The words of a .txt file, as `parse_words` reads them, or of a .csv file with the column `word`, perhaps with
    `weight`. Raises UserError."""
    text = decoded(data, MAX_BYTES)
    ending = filename.rpartition(".")[2].lower()
    if ending == "txt":
        return parse_words(text)
    if ending != "csv":
        raise UserError(f"The file name ends with {ending[:20]!r}: give a .txt or .csv file.")
    words = []
    for where, fields in csv_rows(text, ("word",)):
        word, weight = fields["word"].strip(), fields.get("weight", "").strip()
        if SEPARATOR.search(word):
            raise UserError(f"{where}: a word holds no comma, semicolon or line break: put each word on its own line.")
        words.append(f"{word}:{weight}" if word and weight else word)
        if weight and weighted_word(words[-1])[0] != word:
            raise UserError(f"{where}: the weight {weight[:20]!r} is not a number.")
    return checked(words)


def as_text(words: Sequence[str]) -> str:
    """The list as a person could have typed it; `parse_words` reads it back."""
    return ", ".join(words) + ("," if len(words) == 1 else "")


def checked(parts: Sequence[str]) -> tuple[str, ...]:
    """The different words among some parts. Raises UserError where there is none, too many, or one that is no text."""
    words = tuple(dict.fromkeys(word for part in parts if (word := " ".join(part.split()))))
    if not words:
        raise UserError(NO_WORDS)
    for word in words:
        if "\0" in word or any("\ud800" <= character <= "\udfff" for character in word):
            raise UserError(
                "The list of own words holds a character that is not text (NUL or half a surrogate pair): remove it."
            )
    from_json(Attribute, {"name": NAME, "words": words})  # says so where there are too many
    for word in words:
        weighted_word(word)
    return words
