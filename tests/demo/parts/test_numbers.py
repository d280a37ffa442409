"""Figures by hand."""

import math

from demo.parts.numbers import DEPARTS, PROMPT, TOPICS, departure, if_finite, marker, spans

FIRST, SECOND, _ = TOPICS


def test_a_figure_without_a_value_is_none() -> None:
    assert [if_finite(figure) for figure in (0.5, math.nan, math.inf)] == [0.5, None, None]


def test_words_are_marked_alone_in_any_case_and_never_in_the_prompt() -> None:
    pattern = marker({"sky": {"star", "C++", ""}})
    assert spans("A star", " STAR, starry C++ star", pattern) == [
        ("A star", PROMPT),
        (" ", None),
        ("STAR", FIRST),
        (", starry ", None),
        ("C++", FIRST),
        (" ", None),
        ("star", FIRST),
    ]


def test_the_longest_word_is_marked() -> None:
    pieces = spans("", "star system", marker({"sky": {"star", "star system"}}))
    assert pieces == [("star system", FIRST)]


def test_a_phrase_is_marked_across_any_blanks() -> None:
    pieces = spans("", "the Black\nhole, blackhole", marker({"sky": {"black hole", " "}}))
    assert pieces == [("the ", None), ("Black\nhole", FIRST), (", blackhole", None)]


def test_no_words_mark_nothing() -> None:
    assert marker({}) is None
    assert marker({"empty": [" "]}) is None
    assert spans("a", "b\nc", None) == [("a", PROMPT), ("b\nc", None)]


def test_each_list_has_its_mark_and_a_shared_word_that_of_the_first() -> None:
    pieces = spans("", "atom, Moon, star", marker({"science": {"atom", "star"}, "space": {"moon", "star"}}))
    assert [mark for _, mark in pieces] == [FIRST, None, SECOND, None, FIRST]


def test_a_letter_with_another_lower_case_is_marked() -> None:
    assert spans("", "\u017ftar", marker({"sky": {"star"}})) == [("\u017ftar", FIRST)]


def test_the_departing_word_is_marked_with_the_mark_of_its_list() -> None:
    sky = marker({"sky": {"star"}})
    assert spans("A", " star fell", sky, departure(" star fell", " stone fell")) == [
        ("A", PROMPT),
        (" ", None),
        ("star", f"{FIRST}, {DEPARTS}"),
        (" fell", None),
    ]
    assert spans("", "one two", None, departure("one two", "one ten"))[1:] == [("two", DEPARTS)]
    assert departure("same", "same") == (4, 4)
