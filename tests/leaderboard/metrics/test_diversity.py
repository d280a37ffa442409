"""Diversity by hand, against a slow count and nltk, under changes that must not matter, and in linear time."""

import json
import math
import random
import time
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from leaderboard.metrics import self_bleu as self_bleu_file
from leaderboard.metrics.compression import rows as compression_rows
from leaderboard.metrics.distinct import (
    distinct,
    distinct_rows,
    prompt_rows,
    repetition,
    repetition_rows,
)
from leaderboard.metrics.grams import counts, grams
from leaderboard.metrics.metric import Texts, plain
from leaderboard.metrics.passport import Array
from tests.leaderboard.metrics.by_hand import compression_of, prompt_distinct_of, self_bleu_of

TEXTS = ("the cat saw the cat", "the dog saw a cat", "rain", "")
CORPUS = Path(__file__).parents[3] / "adapters" / "data" / "general.jsonl"
SOME_TEXTS = st.lists(st.lists(st.sampled_from("abcd"), max_size=9).map(" ".join), max_size=7)


@lru_cache
def prose() -> list[str]:
    """Words of real prose, one after the other."""
    return " ".join(json.loads(line)["text"] for line in CORPUS.read_text(encoding="utf-8").splitlines()).split()


def natural(number: int, words: int = 50, seed: int = 0) -> list[str]:
    """Texts of `words` words each, cut out of real prose."""
    starts = random.Random(seed)
    return [" ".join(prose()[(at := starts.randrange(len(prose()) - words)) : at + words]) for _ in range(number)]


def slow_distinct(texts: Sequence[str], n: int) -> float:
    found = [gram for text in texts for gram in zip(*(text.split()[i:] for i in range(n)), strict=False)]
    return len(set(found)) / len(found) if found else math.nan


def slow_self_bleu(texts: Sequence[str]) -> float:
    words = [text.split() for text in texts if text.split()]
    if len(words) < 2:
        return math.nan
    smooth = SmoothingFunction().method1
    scores = [
        sentence_bleu([*words[:place], *words[place + 1 :]], one, smoothing_function=smooth)
        for place, one in enumerate(words)
    ]
    return sum(scores) / len(scores)


def test_distinct_by_hand() -> None:
    """11 words: the cat saw dog a rain; 8 pairs: the-cat twice, cat-saw saw-the the-dog dog-saw saw-a a-cat."""
    assert distinct(TEXTS, 1) == pytest.approx(6 / 11)
    assert distinct(TEXTS, 2) == pytest.approx(7 / 8)
    assert distinct(TEXTS, 3) == pytest.approx(6 / 6)
    assert math.isnan(distinct(["rain", ""], 2))
    assert math.isnan(distinct([], 1))


def test_distinct_within_a_prompt_by_hand() -> None:
    """Two texts of a prompt with 3 of 4 pairs different, one with 1 of 2, one without a pair, which has no share."""
    texts = ["a b c", "a b d", "x x x", "rain"]
    assert prompt_distinct_of(texts, ["p", "p", "q", "r"]) == pytest.approx((3 / 4 + 1 / 2) / 2)
    assert math.isnan(prompt_distinct_of(["rain"], ["p"]))


def test_repetition_by_hand() -> None:
    """ "a b c d a b c d": five 4-grams, the last is the first again; another text's 4-grams do not count."""
    assert repetition(["a b c d a b c d", "a b c d"]) == pytest.approx(1 / 6)
    assert repetition(["love " * 10]) == pytest.approx(6 / 7)
    assert math.isnan(repetition(["too short now"]))


def test_compression_by_hand() -> None:
    texts = ["one two three", "  one two   three ", "four", "", ""]
    packed = [zlib.compress(block, 9) for block in (b"one two three\none two three", b"four")]
    bare = [data[2:-4] for data in packed]  # a header of two bytes, a checksum of four
    assert compression_of(texts, [0, 0, 1, 2, 0]) == pytest.approx((27 + 4) / sum(map(len, bare)))
    assert compression_of(["love " * 50], [0]) > 5 > 2 > compression_of(natural(1), [0])
    assert math.isnan(compression_of([""], [0]))


def test_self_bleu_by_hand() -> None:
    """Of "a b c d e" the other text has a b and c d e: of words 5/5, pairs 3/4, triples 1/3, fours 0, so .1, of 2."""
    expected = math.prod([5 / 5, 3 / 4, 1 / 3, 0.1 / 2]) ** 0.25
    assert self_bleu_of(["a b c d e", "c d e a b"]) == pytest.approx(expected)  # the same the other way round
    assert self_bleu_of(["a b c d e", "c d e a b", ""]) == pytest.approx(expected)
    assert self_bleu_of(["a b", "c d"]) == 0
    assert self_bleu_of(["a b c d"] * 3) == pytest.approx(1)
    assert math.isnan(self_bleu_of(["a b c d", ""]))


def test_self_bleu_equals_nltk_on_prose() -> None:
    lengths = random.Random(1)
    texts = [" ".join(text.split()[: lengths.randrange(1, 50)]) for text in natural(60)]
    texts += [*texts[:5], "the " * 30, "the the", "Congress", ""]
    assert self_bleu_of(texts) == pytest.approx(slow_self_bleu(texts), abs=1e-9)


@settings(deadline=None)
@given(SOME_TEXTS)
def test_all_equal_the_slow_count(texts: list[str]) -> None:
    for n in (1, 2, 3):
        assert distinct(texts, n) == pytest.approx(slow_distinct(texts, n), nan_ok=True, abs=1e-12)
    assert self_bleu_of(texts) == pytest.approx(slow_self_bleu(texts), nan_ok=True, abs=1e-9)


def test_numbers_of_grams_are_equal_where_the_grams_are() -> None:
    """Also with so many kinds of words that four of them and a text do not fit into one number unpacked."""
    many = [[f"{number}" for number in range(start, start + 40_000)] for start in (0, 20_000, 40_000)]
    for n, found in enumerate(grams(many, 4), start=1):
        each = counts(found, 3)
        assert np.bincount(each.texts).tolist() == [40_001 - n] * 3
        ids = [set(each.ids[each.texts == text].tolist()) for text in range(3)]
        assert [len(ids[0] & ids[1]), len(ids[1] & ids[2]), len(ids[0] & ids[2])] == [20_001 - n] * 2 + [0]


def of_prompts(texts: Sequence[str], prompts: Sequence[int]) -> dict[str, Array]:
    """The rows of every diversity metric."""
    seen: Texts = plain(texts, prompts)
    return {
        **{f"distinct_{n}": distinct_rows(seen, n) for n in (1, 2, 3)},
        "prompt_distinct": prompt_rows(seen),
        "self_bleu": self_bleu_file.rows(seen),
        "repetition": repetition_rows(seen),
        "compression": compression_rows(seen),
    }


def test_rows_are_of_their_prompts_whatever_the_order() -> None:
    texts, prompts = natural(30, words=20), [place // 3 for place in range(30)]
    order = sorted(range(30), key=lambda place: (-prompts[place], place))  # the last prompt first
    forward = of_prompts(texts, prompts)
    backward = of_prompts([texts[place] for place in order], [prompts[place] for place in order])
    for name, rows in forward.items():
        np.testing.assert_allclose(backward[name][::-1], rows, err_msg=name)


def test_a_prompt_that_stands_twice_halves_what_is_different_and_leaves_what_is_in_a_text() -> None:
    texts, prompts = natural(30, words=20), [place // 3 for place in range(30)]
    once, twice = of_prompts(texts, prompts), of_prompts(texts * 2, [*prompts, *(10 + p for p in prompts)])
    for name, rows in once.items():
        before, after = (of.sum(0)[0] / of.sum(0)[1] for of in (rows, twice[name]))
        expected = before / 2 if name in ("distinct_1", "distinct_2", "distinct_3") else before
        assert after == pytest.approx(1 if name == "self_bleu" else expected), name


def test_credits_sum_to_the_number_of_different_grams() -> None:
    texts = natural(40)
    for n in (1, 2, 3):
        credits, number = distinct_rows(plain(texts, [place % 7 for place in range(40)]), n).sum(0)
        assert credits / number == pytest.approx(slow_distinct(texts, n), abs=1e-12)


def seconds(work: Callable[[], object]) -> float:
    """CPU time."""
    started = time.process_time()
    work()
    return time.process_time() - started


@pytest.mark.timed
def test_a_thousand_texts_take_under_a_second_and_four_times_as_many_about_four_times_as_long() -> None:
    """By the best of some rounds, each of both: a busy machine adds to a time and never takes away."""
    few, many = natural(1_000), natural(4_000, seed=1)
    rounds = [
        (seconds(lambda: of_prompts(few, range(1_000))), seconds(lambda: of_prompts(many, range(4_000))))
        for _ in range(5)
    ]
    assert min(short for short, _ in rounds) < 1
    assert min(long / short for short, long in rounds) < 6
