"""The shipped word lists, under the tokenizer of the embedded model."""

import os
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from adapters.base_model import EMBEDDED_ID
from adapters.pplm.bags import split_words, word_lists

CURATED = ("science", "space", "military", "politics", "religion", "legal", "computers", "positive", "negative")


def test_the_curated_lists_come_first() -> None:
    assert tuple(word_lists())[: len(CURATED)] == CURATED
    assert all("/" in name for name in tuple(word_lists())[len(CURATED) :])


@pytest.mark.parametrize("name", CURATED)
def test_a_curated_list_holds_each_word_once(name: str) -> None:
    words = word_lists()[name]
    assert 40 <= len(words) <= 200
    assert len(set(words)) == len(words)
    assert all(word.isalpha() for word in words)


def test_positive_and_negative_share_no_word() -> None:
    assert not set(word_lists()["positive"]) & set(word_lists()["negative"])


@pytest.mark.parametrize("name", CURATED)
def test_most_words_of_a_curated_list_are_one_token(name: str) -> None:
    folder = Path(os.environ.get("STEERBOARD_HOME", ".steerboard")) / EMBEDDED_ID
    if not folder.is_dir():
        assert os.environ.get("CI") != "true", "the embedded model is missing: run make model"
        pytest.skip("the embedded model is missing: run make model")
    splits = split_words(AutoTokenizer.from_pretrained(folder), word_lists()[name])
    assert sum(split.counts == (True,) for split in splits) >= 35
