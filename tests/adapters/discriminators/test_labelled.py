"""Files of texts with labels: what is read exactly, and what is refused in one line."""

import json

import pytest

from adapters.discriminators.labelled import Labelled, by_words, read_labelled
from adapters.methods import UserError

ROWS = [Labelled(f"text {i}, with a comma", "ab"[i % 2]) for i in range(24)]
CSV = "\n".join(["text,label", *(f'"{row.text}",{row.label}' for row in ROWS)])
JSONL = "\n".join(json.dumps(row._asdict()) for row in ROWS)


def test_csv_and_jsonl_hold_the_same_rows() -> None:
    assert read_labelled(CSV.encode(), "a.csv") == read_labelled(JSONL.encode(), "a.JSONL") == ROWS
    windows = "\ufeff" + CSV.replace("\n", "\r\n") + "\r\n\r\n"
    assert read_labelled(windows.encode(), "a.csv") == ROWS
    other_order = "id,label,text\n" + "\n".join(f'7,{row.label},"{row.text}"' for row in ROWS)
    assert read_labelled(other_order.encode(), "a.csv") == ROWS
    assert read_labelled((" \n" + JSONL + "\n  ").encode(), "a.jsonl") == ROWS
    assert read_labelled(f"{CSV}\n{CSV[11:]}".encode(), "a.csv") == ROWS, "equal rows count once"


def test_texts_without_labels_are_labelled_by_word_lists() -> None:
    texts = "\n".join(
        json.dumps({"text": f"{word} {i}"}) for word in ("waves", "Cloud, waves, cloud", "no") for i in range(10)
    )
    rows = read_labelled(texts.encode(), "a.jsonl", by_words({"sea": ["waves"], "sky": ["cloud"]}))
    assert [row.label for row in rows] == ["sea"] * 10 + ["sky"] * 10 + ["other"] * 10
    with pytest.raises(UserError, match="must name the column 'text'"):
        read_labelled(b"words\nx", "a.csv", by_words({"sea": ["waves"]}))
    with pytest.raises(UserError, match="All rows have the label 'other'"):
        read_labelled(texts.encode(), "a.jsonl", by_words({"sea": ["ship"]}))


def test_labels_may_be_numbers_and_are_never_changed() -> None:
    rows = [{"text": f"{i}", "label": i % 2} for i in range(20)] + [{"text": f"t{i}", "label": True} for i in range(10)]
    assert {r.label for r in read_labelled("\n".join(map(json.dumps, rows)).encode(), "a.jsonl")} == {"0", "1", "true"}
    odd = "text,label\n" + "\n".join(f"{i},{'NA' if i % 2 else 'null'}" for i in range(20))
    assert {row.label for row in read_labelled(odd.encode(), "a.csv")} == {"NA", "null"}


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        ("", "a.csv", "The file holds no row"),
        ("text,label\n", "a.csv", "holds no row"),
        ("", "a.jsonl", "holds no row"),
        (CSV, "a.xlsx", "ends with '.xlsx': give one of .csv, .jsonl"),
        (CSV.replace("label", "class", 1), "a.csv", "The header must name the column 'label' once"),
        (CSV.replace("text", "label", 1), "a.csv", "name the column 'text' once"),
        (CSV + "\nmore,", "a.csv", "Row 25 (line 26), field 'label': the label is missing"),
        (CSV + "\n ,a", "a.csv", "Row 25 (line 26), field 'text': the text is missing"),
        (CSV + "\nmore,  ", "a.csv", "Row 25 (line 26), field 'label': the label is missing"),
        (CSV + "\none,two,three", "a.csv", "Row 25 (line 26), field 3: there is no such column"),
        (CSV + '\n"open,a', "a.csv", "Row 25 (line 26), field 'text': a quote is opened and never closed"),
        (JSONL + '\n{"text": "more"}', "a.jsonl", "Row 25 (line 25) must name the column 'label' once"),
        (JSONL + '\n{"text": ["more"], "label": "a"}', "a.jsonl", "Row 25 (line 25), field 'text': it holds a list"),
        (JSONL + "\n[1]", "a.jsonl", "Row 25 (line 25): write one object a line"),
        (JSONL + "\n{", "a.jsonl", "Row 25 (line 25) is not JSON"),
        (JSONL + '\n{"text": "\\ud800", "label": "a"}', "a.jsonl", "half a surrogate pair"),
        (CSV.replace(",b", ",a"), "a.csv", "All rows have the label 'a'"),
        (CSV + "\nmore,c", "a.csv", "The class 'c' has 1 different texts: give each class at least 10"),
        (CSV + f'\n"{ROWS[0].text}",b', "a.csv", "Row 25 (line 26) labels a text 'b' that an earlier row labels 'a'"),
        (CSV + f"\n{'x' * 20_001},a", "a.csv", "field 'text': it has 20,001 characters"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(data: str, name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        read_labelled(data.encode(), name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_text_are_refused() -> None:
    assert read_labelled(CSV.encode("utf-16"), "a.csv") == ROWS
    with pytest.raises(UserError, match="is not UTF-8: save the file as UTF-8"):
        read_labelled(CSV.encode("utf-16-le") + b"\xff", "a.csv")
    with pytest.raises(UserError, match="at most 20,000,000 can be read"):
        read_labelled(b"x" * 20_000_001, "a.csv")
