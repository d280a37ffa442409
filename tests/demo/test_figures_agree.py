"""Pane, leaderboard table, texts view, report and shared comparison show the same figures for the same text."""

import re
from typing import Any

import pytest

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import BASE, Request, Sampling, to_json
from adapters.store.adapter_store import AdapterStore
from demo.compare.record import stored_figures
from demo.compare.run import view
from demo.leaderboard.results.run_texts import texts_for
from leaderboard.output.report import comparison_report, run_report
from leaderboard.records import Tally
from leaderboard.tables.display import number
from leaderboard.tables.table import prompt_figures, tabulate
from tests.leaderboard.made_up import made_up

TEXT = "The stars, the stars! The old stars, the stars and THE stars shone."
PAIRS = 11 / 12  # 13 words; the pair "stars, the" stands there twice
LOGPROBS = (-1.5, -0.25, -2.75, -0.5)
PERPLEXITY = 2.718281828459045**1.25


def pane() -> Any:
    row = Continuation(Request("prompt", BASE, 0), (1,), (2, 3, 4, 5), TEXT, LOGPROBS, "eos", 1.0, None, LOGPROBS)
    return view(row, None).figures


def test_every_place_shows_the_same_figures() -> None:
    data = made_up({BASE: [[TEXT]]}, tallies={"base": {"0 0 0": Tally(sum(LOGPROBS), len(LOGPROBS))}})
    results = tabulate(data)
    (sample,) = prompt_figures(data, 0)
    shown = pane()
    line = texts_for(data, 0)[0][0][0]
    report = " ".join(run_report(data, results).split())
    for name, expected in (("distinct_2", PAIRS), ("perplexity", PERPLEXITY)):
        assert getattr(shown, name) == pytest.approx(expected)
        assert results.cells[name]["base"].value == pytest.approx(expected)
        assert getattr(sample, name) == pytest.approx(expected)
        assert re.search(rf"{name.replace('_', '-')}[^·]* {re.escape(number(expected))} ·", line)
        assert number(expected) in report


def test_a_comparison_stored_by_an_older_release_shows_the_figures_of_today() -> None:
    """It kept distinct-2 of words without case and punctuation: the text is there, so the figure is counted again."""
    old = {"tokens": 4, "tokens_per_second": 9.0, "perplexity": 3.5, "distinct_2": 0.571, "attribute_words": 1}
    stored = {
        "method": to_json(BASE),
        "text": TEXT,
        "token_ids": [2, 3, 4, 5],
        "logprobs": list(LOGPROBS),
        "finish_reason": "eos",
        "figures": old,
    }
    assert stored_figures(stored).distinct_2 == pytest.approx(PAIRS)
    assert stored_figures(stored)._replace(distinct_2=0.571)._asdict() == old
    record = {
        "created": "2026-11-22T03:04:05+00:00",
        "base": "tiny",
        "hashes": {},
        "versions": {},
        "prompt": "prompt",
        "chat": False,
        "seed": 7,
        "sampling": to_json(Sampling()),
        "panes": [stored],
    }
    assert f"distinct-2 (words) {number(PAIRS)}" in comparison_report(record)


def test_a_score_and_a_tally_of_one_text_have_one_perplexity(tiny_llama: BaseModel) -> None:
    engine = Engine(tiny_llama, AdapterStore([], tiny_llama))
    (score,) = engine.loglikelihood([([5, 6, 7], [8, 9, 10])], BASE)
    assert score.perplexity == Tally(score.sum_logprob, score.num_tokens).perplexity
