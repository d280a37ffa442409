"""Figures by hand."""

import math

from demo.parts.numbers import ATTRIBUTE, PROMPT, if_finite, spans, word_pattern


def test_a_figure_without_a_value_is_none() -> None:
    assert [if_finite(figure) for figure in (0.5, math.nan, math.inf)] == [0.5, None, None]


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
