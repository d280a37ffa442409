"""`python -m benchmarks.strength`: what settings of PPLM do to texts, the trials behind its default strength.

One text for each opener and setting, in one batch. A row says how perplexing the texts are to the base model, how many
words of the list they use, and how often one word stands in a row at the most (a collapse shows there first).
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from adapters.attributes import word_lists
from adapters.base_model import load_base_model
from adapters.engine import Continuation, Engine, LogLikelihood
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, as_in_paper
from adapters.store import AdapterStore

OPENERS = [
    ("The potato", "science"),
    ("The issue focused on", "science"),
    ("The movie was", "positive"),
    ("The service at the hotel was", "negative"),
    ("In a distant galaxy", "space"),
    ("The president of the country", "religion"),
    ("My neighbour and I", "military"),
]
ANY = PPLM((Attribute("any"),))  # each opener brings its own list
AFRESH = replace(as_in_paper(ANY), carry=False)
SETTINGS = {
    "the paper's, step .02": replace(as_in_paper(ANY), step_size=0.02),
    "afresh, step .06": replace(AFRESH, step_size=0.06),
    "afresh, step .12": replace(AFRESH, step_size=0.12),
    "afresh, step .08, budget .3": replace(AFRESH, step_size=0.08, kl_budget=0.3),
    "budget .5, rest": replace(ANY, kl_budget=0.5),
    "the default": ANY,
    "budget 1, rest": replace(ANY, kl_budget=1.0),
    "budget 1, rest, step .2": replace(ANY, kl_budget=1.0, step_size=0.2),
    "budget 1, rest, carried on": replace(ANY, kl_budget=1.0, carry=True),
}


def methods(steering: PPLM | None) -> list[Method]:
    """One method for each opener, steered to its list."""
    if steering is None:
        return [BASE] * len(OPENERS)
    return [Method("pplm", steering=replace(steering, attributes=(Attribute(name),))) for _, name in OPENERS]


def row(name: str, texts: Sequence[Continuation]) -> str:
    """A row of the table for the texts of one setting."""
    lists = word_lists()
    words = [re.findall(r"[a-z]+", text.text.lower()) for text in texts]
    used = sum(word in lists[bag] for (_, bag), found in zip(OPENERS, words, strict=True) for word in found)
    longest = max((len(list(run)) for found in words for _, run in groupby(found)), default=0)
    perplexity = LogLikelihood(tuple(logprob for text in texts for logprob in text.logprobs)).perplexity
    return f"| {name} | {perplexity:.1f} | {used} | {longest} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.strength", description=__doc__)
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="where the embedded model lies")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--texts", action="store_true", help="print the texts too")
    args = parser.parse_args()
    base = load_base_model(None, args.home)
    cases: dict[str, PPLM | None] = {"unsteered": None, **SETTINGS}
    requests = [
        Request(prompt, method, args.seed)
        for steering in cases.values()
        for (prompt, _), method in zip(OPENERS, methods(steering), strict=True)
    ]
    *_, texts = Engine(base, AdapterStore([], base)).generate(requests, Sampling(max_new_tokens=45))
    print("| setting | perplexity | words of the lists | one word in a row |", "|---|---|---|---|", sep="\n")
    for place, name in enumerate(cases):
        mine = texts[place * len(OPENERS) : (place + 1) * len(OPENERS)]
        print(row(name, mine))
        if args.texts:
            print(*(f"    {text.request.prompt}{text.text!r}" for text in mine), sep="\n")


if __name__ == "__main__":
    main()
