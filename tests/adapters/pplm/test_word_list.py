"""Lists of words: what is read exactly, and what is refused in one line."""

import pytest

from adapters.methods import MAX_WORDS, UserError
from adapters.pplm.word_list import as_text, parse_words, read_word_list


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ocean", ("ocean",)),
        ("ocean wave  salt", ("ocean", "wave", "salt")),
        ("black hole, star", ("black hole", "star")),
        ("black hole;star", ("black hole", "star")),
        ("black  hole\r\nstar\n", ("black hole", "star")),
        ("black hole,", ("black hole",)),
        ("laser:2, laser:2,, sea", ("laser:2", "sea")),
        ("10:30 pm, sea", ("10:30 pm", "sea")),
    ],
)
def test_commas_or_lines_separate_and_blanks_only_where_there_are_none(text: str, words: tuple[str, ...]) -> None:
    assert parse_words(text) == words
    assert parse_words(as_text(words)) == words, "what is written into a box is read back"


def test_files_hold_the_same_words() -> None:
    words = ("laser:2", "black hole", "sea")
    assert read_word_list(b"laser:2\nblack hole\nsea\n", "a.TXT") == words
    assert read_word_list(b"\xef\xbb\xbfword,weight\r\nlaser,2\r\nblack hole,\r\nsea,\r\n", "a.csv") == words
    assert read_word_list(b"weight,note,word\n2,x,laser\n,,black hole\n,,sea\n", "a.csv") == words
    assert read_word_list(b"word\nlaser:2\nblack hole\nsea", "a.csv") == words


MANY = "\n".join(f"w{place}" for place in range(100_000)).encode()


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.txt", "own words is empty"),
        (b" ,\n;", "a.txt", "own words is empty"),
        (b"word\n", "a.csv", "own words is empty"),
        (b"", "a.csv", "own words is empty"),
        (b"ocean\nsea", "a.csv", "name the column 'word'"),
        (b"word,weight\nsea,heavy", "a.csv", "Row 1 (line 2), field 'weight': 'heavy' is not a number"),
        (b"word,weight\nsea,nan", "a.csv", "must be above 0 and at most 100"),
        (b"word,weight\nsea,-1", "a.csv", "must be above 0 and at most 100"),
        (b"word\nsea,ocean", "a.csv", "Row 1 (line 2), field 2: there is no such column"),
        (b'word\n"sea,ocean"', "a.csv", "Row 1 (line 2), field 'word': it holds a comma"),
        (b"oc\0ean", "a.txt", "NUL character"),
        (b"\xff\xfeo", "a.txt", "save the file as UTF-8"),
        (b"sea", "a.docx", "ends with '.docx': give one of .txt, .csv"),
        (MANY, "a.txt", "A list has 100,000 words, at most 5,000 can be used: shorten it."),
        (b"word\n" + MANY, "a.csv", "A list has 100,000 words, at most 5,000 can be used: shorten it."),
        (b"x" * 2_000_001, "a.txt", "at most 2,000,000 can be read"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_what_is_wrong_is_said_in_one_line(data: bytes, name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_word_list(data, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_longest_list_is_read() -> None:
    assert len(parse_words(" ".join(f"w{place}" for place in range(MAX_WORDS)))) == MAX_WORDS
    with pytest.raises(UserError, match="at most 2,000,000 can be read"):
        parse_words("x" * 2_000_001)
