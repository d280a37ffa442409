"""Finished texts from a file: rows of the table, matched with the prompts of a run, or one line that says why not."""

import io
import json
from dataclasses import replace

import pandas as pd
import pytest

from adapters.methods import BASE, UserError
from leaderboard.prompts import LIMITS
from leaderboard.records import AGAIN, Prompt, PromptSet, RunSpec
from leaderboard.texts import Finished, match, only, read_texts, with_texts

ROWS = [{"prompt": "The sea", "text": " is wide"}, {"prompt": " Once ", "text": " upon a time"}]
PROMPTS = PromptSet("set", (Prompt("The sea"), Prompt("Once")))


def as_csv(rows: list[dict[str, str]], delimiter: str = ",") -> bytes:
    return pd.DataFrame(rows).to_csv(index=False, sep=delimiter).encode()


def as_parquet(rows: list[dict[str, str]]) -> bytes:
    sink = io.BytesIO()
    pd.DataFrame(rows).to_parquet(sink)
    return sink.getvalue()


def lines(*rows: dict[str, str]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def texts(*pairs: tuple[str, str]) -> Finished:
    return Finished("ours", pairs)


def refused(data: bytes, filename: str = "a.jsonl", name: str = "") -> str:
    with pytest.raises(UserError) as caught:
        read_texts(data, filename, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("filename", "data"),
    [
        ("people.csv", as_csv(ROWS)),
        ("people.tsv", as_csv(ROWS, "\t")),
        ("people.jsonl", lines(*ROWS)),
        ("people.json", json.dumps(ROWS, indent=1).encode()),
        ("people.parquet", as_parquet(ROWS)),
    ],
)
def test_every_format_gives_the_same_row_called_after_its_file(filename: str, data: bytes) -> None:
    (found,) = read_texts(data, filename)
    assert found == Finished("people", (("The sea", " is wide"), ("Once", " upon a time")))
    assert found.method == replace(BASE, name="people", texts=found.method.texts)
    assert len(str(found.method.texts)) == 64


def test_a_row_is_called_by_its_method_by_a_name_or_by_both() -> None:
    data = lines(*({**row, "method": name} for name in ("GPT-4.1", "people") for row in ROWS))
    assert [each.name for each in read_texts(data, "a.jsonl")] == ["GPT-4.1", "people"]
    assert [each.name for each in read_texts(data, "a.jsonl", "June")] == ["June GPT-4.1", "June people"]
    assert [each.name for each in read_texts(lines(*ROWS), "a.jsonl", " Ours ")] == ["Ours"]


def test_a_prompt_before_every_text_is_no_part_of_it() -> None:
    whole = [{"prompt": row["prompt"], "text": row["prompt"].strip() + row["text"]} for row in ROWS]
    assert read_texts(lines(*whole), "a.jsonl")[0].texts == read_texts(lines(*ROWS), "a.jsonl")[0].texts
    mixed = read_texts(lines(whole[0], ROWS[1]), "a.jsonl")[0]
    assert [text for _, text in mixed.texts] == ["The sea is wide", " upon a time"], "not every one begins so"


def test_bad_files_are_refused_in_a_line() -> None:
    assert "column 'text' once" in refused(b"prompt,method\na,b\n", "a.csv")
    assert refused(lines({"prompt": "a", "text": " "})).startswith("Row 1 (line 1), field 'text': it is empty")
    assert refused(lines({"prompt": "", "text": "b"})).startswith("Row 1 (line 1), field 'prompt': it is empty")
    assert refused(b"prompt,text\n", "a.csv") == "The file holds no text: write at least one row."
    assert refused(b"[]", "a.json").startswith("The file: write an array of objects, ")
    assert refused(b'[{"prompt": "a", "text": "b"}, 5]', "a.json").startswith("Row 2: write an array of objects, ")
    assert refused(b"[", "a.json").startswith("The file is not JSON: ")
    assert "a list or an object" in refused(b'{"prompt": "a", "text": ["b"]}')
    assert "ends with '.txt'" in refused(b"hello", "a.txt")
    long = lines({"prompt": "a", "text": "b" * (LIMITS.max_characters + 1)})
    assert "4,001 characters, at most 4,000 can be read" in refused(long)
    for name in ("base", "lora:poetry", "pplm:science*2"):
        assert refused(lines(*ROWS), name=name) == f"{name!r} is the name of a method: give your texts another name."
    for name in ("x" * 61, "a\tb"):
        assert "is no name for texts" in refused(lines(*ROWS), name=name)


def test_texts_go_to_their_prompts_in_the_order_of_the_file() -> None:
    pairs = (("Once", " c"), ("The sea", " a"), ("The sea", " b"), ("Once", " d"))
    assert match(texts(*pairs), PROMPTS, 2) == [[" a", " b"], [" c", " d"]]
    spaced = PromptSet("set", (Prompt("Once\n"), Prompt(" The sea")))
    assert match(texts(*pairs), spaced, 2) == [[" c", " d"], [" a", " b"]]


def test_a_prompt_that_is_there_twice_takes_the_same_texts_or_its_own() -> None:
    twice = PromptSet("set", (Prompt("Once"), Prompt("Once")))
    assert match(texts(("Once", " a")), twice, 1) == [[" a"], [" a"]]
    assert match(texts(("Once", " a"), ("Once", " b")), twice, 1) == [[" a"], [" b"]]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            [("The sea", " a"), ("Once", " b"), ("Sea", " c"), ("See", " c")],
            "ours: 2 prompts not in the run: correct them, or add them to the prompts; the first is 'Sea'.",
        ),
        (
            [("The sea", " a")],
            "ours: 1 prompt without a text: write them, or choose fewer prompts; the first is 'Once'.",
        ),
        (
            [("The sea", " a"), ("Once", " b"), ("Once", " c")],
            "ours: 'Once' has 2 text(s), and the run has 1 for each prompt: choose 2, or give 1.",
        ),
    ],
)
def test_what_does_not_match_is_said_in_a_line(pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(UserError) as caught:
        match(texts(*pairs), PROMPTS, 1)
    assert str(caught.value) == message


def test_texts_for_all_prompts_serve_a_run_of_some() -> None:
    some, all = PromptSet("some", PROMPTS.prompts[:1]), texts(("The sea", " a"), ("Once", " b"))
    assert only(all, some, PROMPTS).texts == (("The sea", " a"),)
    strange = only(texts(("Strange", " c")), some, PROMPTS)
    assert strange.texts == (("Strange", " c"),), "a run refuses what is in no set"


def test_they_are_rows_after_the_methods_with_a_name_of_their_own() -> None:
    spec, ours = RunSpec((BASE, AGAIN)), texts(("Once", " a"))
    whole = with_texts(spec, [ours])
    assert [method.name for method in whole.methods] == ["base", "base again", "ours"]
    assert whole.written == spec.methods
    assert set(whole.scorers) == {"base"}
    assert with_texts(spec, [texts(("Once", " b"))]) != whole, "other texts are another run"
    with pytest.raises(UserError, match="'base again' is the name of another row"):
        with_texts(spec, [ours._replace(name="base again")])
    with pytest.raises(UserError, match="at most 12 items"):
        with_texts(spec, [ours._replace(name=f"ours {n}") for n in range(11)])
