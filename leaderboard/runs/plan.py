"""What a run has to do, in which order, and about how long it takes.

Knows prompts, methods and places; knows nothing of models, texts or databases. The prompts are cut into parts; each is
written by one method after the other, all its texts in one batch, and then scored. So whatever a run has when it is
stopped can be compared, and a batch consists of the same rows whoever computes it, and when.
"""

from collections.abc import Sequence, Set
from typing import NamedTuple

from adapters.methods import Method, Request
from adapters.store.fingerprint import Fingerprints
from leaderboard.records import PromptSet, RunSpec

ROWS = 64  # texts in a batch
TOKENS = 8192  # new tokens in a batch: long texts go in smaller ones
SCORING_COST = 0.07  # of reading a token, in tokens of a plain row alone
Place = tuple[int, int, int]  # prompt, method, draw


class Batch(NamedTuple):
    """Every draw of some prompts under one method."""

    number: int  # place of the method
    method: Method
    requests: dict[Place, Request]
    keys: dict[Place, str]  # sha256 of everything that determines each text

    @property
    def first_prompt(self) -> int:
        return min(self.requests)[0]


class Plan:
    """The batches of a run, one list for each part of the prompts."""

    def __init__(self, spec: RunSpec, prompts: PromptSet, hashes: Fingerprints, rows: int = ROWS) -> None:
        """At most `rows` texts in a batch, but at least all draws of a prompt. UserError for an unknown adapter."""
        self.spec, self.prompts = spec, prompts
        candidates = max(method.steering.best_of if method.steering else 1 for method in spec.methods)
        rows = min(rows, max(1, TOKENS // spec.sampling.max_new_tokens)) // candidates
        parts = evenly(len(prompts.prompts), max(1, rows // spec.samples))
        self.parts = [[self._batch(number, part, hashes) for number in range(len(spec.methods))] for part in parts]

    @property
    def keys(self) -> list[str]:
        """Of every text, in the order of the work."""
        return [key for part in self.parts for batch in part for key in batch.keys.values()]

    @staticmethod
    def places(part: Sequence[Batch]) -> range:
        """Of the prompts of a part."""
        places = [place[0] for place in part[0].requests]
        return range(min(places), max(places) + 1)

    def cost(self, batch: Batch) -> float:
        """About what writing and scoring a batch costs, in tokens of a plain row alone."""
        texts = len(batch.requests)
        rows = texts * (batch.method.steering.best_of if batch.method.steering else 1)
        scoring = SCORING_COST * (len(self.spec.scorers) - 1 + (self.spec.judge is not None))
        return self.spec.sampling.max_new_tokens * (rows * row_cost(batch.method, rows) + texts * scoring)

    def missing(self, known: Set[str]) -> list[Batch]:
        """The batches of which a text is not known."""
        return [batch for part in self.parts for batch in part if not known >= set(batch.keys.values())]

    def _batch(self, number: int, part: range, hashes: Fingerprints) -> Batch:
        method, requests = self.spec.methods[number], {}
        for place in part:
            prompt = self.prompts.prompts[place].prompt
            for draw in range(self.spec.samples):
                seed = self.spec.sample_seed(prompt, draw)
                requests[place, number, draw] = Request(prompt, method, seed, self.spec.chat)
        keys = {place: hashes.request(request, self.spec.sampling) for place, request in requests.items()}
        return Batch(number, method, requests, keys)


def evenly(count: int, most: int) -> list[range]:
    """Cuts `count` prompts into as few parts of at most `most` as can be, about equally long: a row of few costs more.

    >>> evenly(100, 64)
    [range(0, 50), range(50, 100)]
    """
    number = -(-count // most)
    borders = [count * part // number for part in range(number + 1)]
    return [range(start, end) for start, end in zip(borders, borders[1:], strict=False)]


def row_cost(method: Method, rows: int) -> float:
    """About what a token of one row costs in a batch of `rows`, in tokens of a plain row alone.

    A plain pass has a price, reading the weights, that its rows share; a steered token takes a forward and a backward
    pass for each iteration. The figures are fitted to batches of 1 to 64 rows of the embedded model on a CPU.
    """
    plain = 0.08 + 0.92 / rows
    return plain if method.steering is None else plain + method.steering.num_iterations * (0.19 + 2 / rows)
