"""Costs of a steered token, in tokens of transformers' `generate` and of the published code.

"The paper's" is the paper's algorithm with three iterations and 50 words about science.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import PPLM, Attribute, Method, Request, as_in_paper
from adapters.pplm.bags import split_words, word_lists
from benchmarks.costs import published
from benchmarks.costs.timing import Timeline, decode, generate, measure, prompt_ids, ratio_rows, summarise, timed

PROMPT = "The potato is a plant that"
WORDS = word_lists()["science"][:50]
PAPER = as_in_paper(PPLM((Attribute("science", words=WORDS),), step_size=0.02, num_iterations=3))
DEFAULT = replace(PPLM((Attribute("science"),)), num_iterations=1)
ITERATIONS = (1, 2, 5, 10)
TOGETHER = (8, 16, 32)  # rows in a batch
LENGTHS = (100, 200, 400)
SHORT, FEW = 50, 10  # tokens; slow runs take few


def measure_pplm(base: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """All rows of the table. Steering is slow: half of the rounds, a third for long texts."""
    ids = prompt_ids(base, PROMPT)
    words = [split.token_ids[0] for split in split_words(base.tokenizer, WORDS) if len(split.token_ids) == 1]

    def run(steering: PPLM, num_tokens: int, rows: int = 1) -> Callable[[], Timeline]:
        return lambda: decode(engine, [Request(PROMPT, Method("pplm", steering=steering))] * rows, num_tokens)

    runs = {
        "generate": lambda: generate(base, PROMPT, SHORT),
        "paper": run(PAPER, SHORT),
        "published": lambda: timed(published.tokens(base.model, ids, words, PAPER), SHORT),
        "default": run(DEFAULT, SHORT),
        **{f"m = {m}": run(replace(PAPER, num_iterations=m), FEW) for m in ITERATIONS},
        **{f"{rows} rows": run(PAPER, FEW, rows) for rows in TOGETHER},
    }
    longest = max(LENGTHS)
    long_runs = {"generate": lambda: generate(base, PROMPT, longest), "paper": run(PAPER, longest)}
    generate(base, PROMPT, FEW)  # warms up
    return ratio_rows("pplm", measure(runs, (rounds + 1) // 2)) + growth(measure(long_runs, (rounds + 2) // 3))


def growth(rounds: list[dict[str, Timeline]]) -> list[dict[str, Any]]:
    """The price of a steered token, in tokens of `generate`, for longer texts."""

    def price(timelines: dict[str, Timeline], length: int) -> float:
        return timelines["paper"][length].wall / timelines["generate"][length].wall

    return [
        summarise(
            f"the paper's, price of a token at {length} tokens / at {SHORT}",
            [price(timelines, length) / price(timelines, SHORT) for timelines in rounds],
            1.05,
        )
        for length in LENGTHS
    ]
