"""The shipped word lists, under the tokenizer of the embedded model."""

import pytest
from transformers import PreTrainedTokenizerBase

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
def test_most_words_of_a_curated_list_are_one_token(embedded_tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    splits = split_words(embedded_tokenizer, word_lists()[name])
    assert sum(split.counts == (True,) for split in splits) >= 35
