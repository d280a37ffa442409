"""Files to train on: what is a row, and what is refused in one line."""

import pytest

from adapters.methods import UserError
from adapters.training.corpus import MAX_BYTES, read_upload


def test_a_text_is_read_by_paragraphs_or_by_lines() -> None:
    text = "\n\nOne\nline two.\n  \n\n  Two.\r\n\r\nThree.\n"
    assert [row["text"] for row in read_upload(text.encode(), "a.TXT")] == ["One\nline two.", "Two.", "Three."]
    assert [row["text"] for row in read_upload("\ufeffone\ntwo\u2028three\n".encode(), "a.txt")] == [
        "one",
        "two\u2028three",
    ]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('id,prompt,completion\n1,"a, b",NA\n2,c,007\n', "a.csv"),
        ("prompt\tcompletion\na, b\tNA\nc\t007\n", "a.tsv"),
        (
            '{"prompt": "a, b", "completion": "NA"}\n\n{"completion": 007, "prompt": "c"}'.replace("007", '"007"'),
            "a.jsonl",
        ),
    ],
)
def test_tables_and_json_lines_hold_prompts_with_completions(text: str, name: str) -> None:
    rows = [{"prompt": "a, b", "completion": "NA"}, {"prompt": "c", "completion": "007"}]
    assert read_upload(text.encode(), name) == rows


BAD = {
    "empty": (b"", "a.txt", "The file is empty"),
    "blank": (b" \n\n", "a.csv", "The file is empty"),
    "other ending": (b"text", "a.docx", "ends with '.docx': give one of .txt, .csv, .tsv, .jsonl"),
    "archive": (b"PK\x03\x04....", "a.txt", "The file is a ZIP archive"),
    "binary": (bytes(range(256)), "a.txt", "save the file as UTF-8"),
    "NUL": (b"one\0\n\ntwo", "a.txt", "NUL character"),
    "one row": (b"One paragraph.", "a.txt", "The file holds 1 row: give at least 2"),
    "header alone": (b"text\n", "a.csv", "The file holds no row"),
    "no completion": (
        b"prompt\na\nb\n",
        "a.csv",
        "no column text, or prompt and completion: the columns are 'prompt'",
    ),
    "empty completion": (b"prompt,completion\na,b\nc,\n", "a.csv", "Row 2 (line 3), field 'completion': it is empty"),
    "null": (b'{"text": "a"}\n{"text": null}', "a.jsonl", "Row 2 (line 2), field 'text': it is empty"),
    "list": (b'{"text": "a"}\n{"text": ["b"]}', "a.jsonl", "it holds a list or an object"),
    "NaN": (b'{"text": "a"}\n{"text": NaN}', "a.jsonl", "NaN is not a value"),
    "surrogate": (b'{"text": "a"}\n{"text": "\\ud800"}', "a.jsonl", "half a surrogate pair"),
    "both kinds": (b"text,prompt,completion\na,b,c\n", "a.csv", "the columns of text and prompt/completion at once"),
    "ragged": (b"text\na,b\n", "a.csv", "there is no such column"),
    "twice": (b'{"text": "a", "text": "b"}', "a.jsonl", "it is there twice"),
    "not JSON": (b"[1]\n", "a.jsonl", "write one object a line"),
    "too large": (b"x" * (MAX_BYTES + 1), "a.txt", "at most 20,000,000 can be read"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_wrong_is_said_in_one_line(case: str) -> None:
    data, name, message = BAD[case]
    with pytest.raises(UserError) as caught:
        read_upload(data, name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
