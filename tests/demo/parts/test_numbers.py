"""Figures by hand."""

import math

import pytest

from demo.parts.numbers import ATTRIBUTE, PROMPT, distinct_2, perplexity, spans, word_pattern


def test_perplexity_is_the_inverse_geometric_mean_of_the_probabilities() -> None:
    assert perplexity([math.log(0.5), math.log(0.125)]) == pytest.approx(4.0)


@pytest.mark.parametrize("logprobs", [[], [math.nan], [-1.0, -math.inf]])
def test_a_text_without_usable_probabilities_has_no_perplexity(logprobs: list[float]) -> None:
    assert perplexity(logprobs) is None


def test_distinct_2_counts_pairs_of_words_without_case() -> None:
    assert distinct_2("The cat, the cat: the CAT") == pytest.approx(2 / 5)  # the cat, cat the
    assert distinct_2("one two three") == 1.0


@pytest.mark.parametrize("text", ["", "word", "  ...  "])
def test_fewer_than_two_words_have_no_pairs(text: str) -> None:
    assert distinct_2(text) is None


def test_words_are_marked_alone_in_any_case_and_never_in_the_prompt() -> None:
    pattern = word_pattern({"star", "C++", ""})
    assert spans("A star", " STAR, starry C++ star", pattern) == [
        ("A star", PROMPT),
        (" ", None),
        ("STAR", ATTRIBUTE),
        (", starry ", None),
        ("C++", ATTRIBUTE),
        (" ", None),
        ("star", ATTRIBUTE),
    ]


def test_the_longest_word_is_marked() -> None:
    pieces = spans("", "star system", word_pattern({"star", "star system"}))
    assert pieces == [("star system", ATTRIBUTE)]


def test_a_phrase_is_marked_across_any_blanks() -> None:
    pieces = spans("", "the Black\nhole, blackhole", word_pattern({"black hole", " "}))
    assert pieces == [("the ", None), ("Black\nhole", ATTRIBUTE), (", blackhole", None)]


def test_no_words_mark_nothing() -> None:
    assert word_pattern([]) is None
    assert spans("a", "b\nc", None) == [("a", PROMPT), ("b\nc", None)]
