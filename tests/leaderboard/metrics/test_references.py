"""What is compared with references: by hand, and against sacrebleu and rouge-score."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from leaderboard.metrics import bleu as bleu_file
from leaderboard.metrics import chrf as chrf_file
from leaderboard.metrics import rouge_l as rouge_file
from leaderboard.metrics.metric import figure, plain
from tests.leaderboard.made_up import SETTING
from tests.leaderboard.metrics.by_hand import bleu_of, chrf_of, rouge_l_of
from tests.leaderboard.metrics.test_diversity import natural

PROSE = natural(40, words=30)
TEXTS = [*PROSE[:20], "Paris.", "", "the cat, the cat!", "naïve café"]
REFERENCES = [*(" ".join(text.split()[5:]) for text in PROSE[10:30]), "Paris", "Rome", "The cat sat.", "a naïve café"]
LINE = st.text(st.sampled_from("ab ,.é\u2028"), max_size=12)
PAIRS = st.lists(st.tuples(LINE, LINE), min_size=1, max_size=5)


def test_by_hand() -> None:
    """ "the cat sat" against "the cat sat on it": all n-grams match, brevity e^(1 - 5/3), no 4-gram: three orders."""
    assert bleu_of(["the cat sat"], ["the cat sat on it"]) == pytest.approx(100 * math.exp(1 - 5 / 3))
    assert rouge_l_of(["the cat is on it"], ["the cat sat on"]) == pytest.approx(2 * 3 / (5 + 4))
    precision, recall = (1 + 1 / 1) / 2, (2 / 3 + 1 / 2) / 2  # "ab" and "abc" have orders 1 and 2 in common
    assert chrf_of(["ab"], ["abc"]) == pytest.approx(100 * 5 * precision * recall / (4 * precision + recall))


def test_nothing_to_compare_with_is_missing_and_nothing_in_common_is_zero() -> None:
    for metric in (bleu_of, rouge_l_of, chrf_of):
        assert math.isnan(metric([], []))
        assert math.isnan(metric(["a"], [""]))
        assert metric(["aaaa"], ["bbbb"]) == 0
        assert metric([""], ["bbbb"]) == 0


def test_they_equal_the_libraries_on_prose() -> None:
    assert bleu_of(TEXTS, REFERENCES) == pytest.approx(
        BLEU(effective_order=True).corpus_score(TEXTS, [REFERENCES]).score, abs=1e-9
    )
    assert chrf_of(TEXTS, REFERENCES) == pytest.approx(CHRF().corpus_score(TEXTS, [REFERENCES]).score, abs=1e-9)
    scorer = RougeScorer(["rougeL"])
    scores = [scorer.score(r, t)["rougeL"].fmeasure for t, r in zip(TEXTS, REFERENCES, strict=True)]
    assert rouge_l_of(TEXTS, REFERENCES) == pytest.approx(sum(scores) / len(scores), abs=1e-9)


@settings(deadline=None)
@given(PAIRS)
def test_they_equal_sacrebleu_on_odd_texts(pairs: list[tuple[str, str]]) -> None:
    texts, references = [text for text, _ in pairs], [reference for _, reference in pairs]
    ours = bleu_of(texts, references), chrf_of(texts, references)
    theirs = BLEU(effective_order=True).corpus_score(texts, [references]), CHRF().corpus_score(texts, [references])
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other.score, abs=1e-9) or (math.isnan(one) and other.score == 0)


def test_a_text_is_compared_by_as_many_lines_as_its_reference_has_and_only_where_there_is_one() -> None:
    written = ["\n Paris\nQuestion: and Rome?", "a\nb\nc", "whatever"]
    texts = replace(plain(written, [0, 1, 1]), references=["Paris", "a\nb\n", None])
    places, lines, references = texts.compared
    assert (places.tolist(), lines, references) == ([0, 1], ["Paris", "a\nb"], ["Paris", "a\nb"])
    for file, best in ((bleu_file, 100), (rouge_file, 1), (chrf_file, 100)):
        (metric,) = file.columns(SETTING)
        rows = metric.rows(texts)
        assert len(rows) == 2
        assert figure(metric.value, rows) == pytest.approx(best), metric.name
        none = metric.rows(plain(written))
        assert np.isnan(figure(metric.value, none)), metric.name
