"""Rows to examples: what is read, where it is cut, how it is split."""

import json
import math
from pathlib import Path

import pytest

from adapters.base_model import BaseModel
from adapters.methods import UserError
from adapters.training.batches import Example
from adapters.training.corpus import (
    DATASETS,
    GENERAL,
    VALIDATION_SHARE,
    Dataset,
    dataset,
    encode,
    read_rows,
    rows_of,
    split,
)
from adapters.training.making import encoded

BOS, EOS = 256, 257


@pytest.mark.parametrize("name", DATASETS)
def test_the_split_is_by_key_disjoint_and_the_same_every_time(name: str) -> None:
    data = DATASETS[name]
    rows = read_rows(data.file)
    training, validation = split(rows, data)
    keys = [{tuple(row[field] for field in data.key) for row in part} for part in (training, validation)]
    assert not keys[0] & keys[1]
    assert len(keys[1]) == math.ceil(len(keys[0] | keys[1]) / 10)
    reversed_training, reversed_validation = split(rows[::-1], data)
    assert (reversed_training[::-1], reversed_validation[::-1]) == (training, validation)


def test_milton_is_weighted_down_and_nobody_else() -> None:
    data = DATASETS["poetry"]
    rows = read_rows(data.file)
    used = [row["author"] for part in split(rows, data) for row in part]
    assert 0.4 < used.count("Milton") / sum(row["author"] == "Milton" for row in rows) < 0.6
    assert len(used) - used.count("Milton") == sum(row["author"] != "Milton" for row in rows)


def test_without_a_key_the_row_is_the_key(tmp_path: Path) -> None:
    rows = [{"text": f"line {number}"} for number in range(1000)]
    training, validation = split(rows + rows, Dataset(tmp_path, (), "", ""))
    assert len(training) + len(validation) == 2000
    assert len(validation) == 2000 * VALIDATION_SHARE
    assert not {row["text"] for row in training} & {row["text"] for row in validation}


def test_general_text_is_no_training_set() -> None:
    assert GENERAL.file not in [data.file for data in DATASETS.values()]
    assert len(read_rows(GENERAL.file)) == 394


def test_a_text_begins_with_bos_and_ends_with_eos(tiny_llama: BaseModel) -> None:
    (example,) = encode(tiny_llama, [{"text": "ab"}], 8).examples
    assert example.ids == (*tiny_llama.encode("ab"), EOS)
    assert (example.ids[0], example.start, example.ends) == (BOS, 1, True)


def test_long_texts_are_cut_into_pieces_that_begin_with_bos(tiny_llama: BaseModel) -> None:
    body = tiny_llama.encode("abcdefgh")[1:]
    pieces = encode(tiny_llama, [{"text": "abcdefgh"}], 4).examples
    assert [piece.ids for piece in pieces] == [(BOS, *body[:3]), (BOS, *body[3:6]), (BOS, *body[6:], EOS)]
    assert [piece.ends for piece in pieces] == [False, False, True]
    assert {piece.start for piece in pieces} == {1}


def test_paragraphs_of_a_longer_text_do_not_end_with_eos(tiny_llama: BaseModel) -> None:
    (example,) = encode(tiny_llama, [{"text": "ab"}], 8, whole=False).examples
    assert example == Example(tuple(tiny_llama.encode("ab")), 1, False)
    assert [name for name, data in DATASETS.items() if not data.whole] == ["scifi", "austen"]


def test_a_long_question_is_left_out(tiny_llama: BaseModel) -> None:
    rows = [{"q": "How?", "a": "so"}, {"q": "How " * 50, "a": "so"}]
    assert len(encode(tiny_llama, rows, 64).examples) == 1


def test_completions_follow_their_prompts_and_alone_are_scored(tiny_llama: BaseModel) -> None:
    decode = tiny_llama.tokenizer.decode
    rows = [{"prompt": "Hue:", "completion": "red"}, {"prompt": "Hue:\n", "completion": "red"}]
    blank, kept = encode(tiny_llama, rows, 64).examples
    assert decode(list(blank.ids[1:])) == "Hue: red</s>"
    assert [decode([token]) for token in blank.ids[blank.start :]] == [" ", "r", "e", "d", "</s>"]
    assert [decode([token]) for token in kept.ids[kept.start :]] == ["r", "e", "d", "</s>"]
    assert decode(list(kept.ids[1 : kept.start])) == "Hue:\n"
    question = encode(tiny_llama, [{"q": "Hue?", "a": "red"}], 64).examples
    assert question == encode(tiny_llama, [{"prompt": "Question: Hue?\nAnswer:", "completion": "red"}], 64).examples


def test_what_was_too_long_is_said(tiny_llama: BaseModel, tmp_path: Path) -> None:
    rows = [*({"text": text} for text in ("abcdefgh", "ab", "cd", "ef")), {"prompt": "abcdefgh", "completion": "a"}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert encoded(tiny_llama, dataset(str(file)), 4, 0.5).notes == (
        "1 of 5 rows longer than 4 tokens (max_length): cut into pieces of that length.",
        "1 of 5 rows longer than 4 tokens (max_length): left out.",
    )
    assert encoded(tiny_llama, dataset(str(file)), 64, 0.5).notes == ()


def test_an_unknown_data_set_is_refused_and_a_file_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="poetry, scifi, austen, qa_facts"):
        dataset("nothing")
    file = tmp_path / "rows.jsonl"
    file.write_text('{"text": "a", "id": 3}\n{"text": "b"}\n')
    assert rows_of(dataset(str(file))) == [{"text": "a"}, {"text": "b"}]
