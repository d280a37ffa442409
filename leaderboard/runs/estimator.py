"""Checks and estimates of a run before it starts; results for the same content are reused."""

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import NamedTuple

from adapters.decoding.engine import Engine
from adapters.methods import BASE, Request, Sampling, UserError
from adapters.store.fingerprint import Fingerprints
from leaderboard.records import Given, PromptSet, RunSpec
from leaderboard.runs.plan import Plan
from leaderboard.runs.scoring import FOREIGN, Scorer, prompt_pair, taken
from leaderboard.store.database import Database


class Estimate(NamedTuple):
    num_texts: int
    num_known: int  # stored already
    num_tokens: int  # at most, of the new texts
    seconds: float


class Estimator:
    def __init__(self, engine: Engine, database: Database, hashes: Fingerprints, rows: int) -> None:
        self._engine, self._database, self._hashes = engine, database, hashes
        self.seconds_a_token: float | None = None  # of one plain row alone; None: not measured yet
        self._plan = lru_cache(maxsize=2)(lambda spec, prompts, _: Plan(spec, prompts, hashes, rows))
        self._longest = lru_cache(maxsize=8)(self._check_prompts)
        self._lengths = lru_cache(maxsize=8)(lengths)
        self.taken = lru_cache(maxsize=4)(partial(taken, engine, hashes))

    def plan(self, spec: RunSpec, prompts: PromptSet) -> Plan:
        """The batches of a run. Raises UserError for an unknown adapter."""
        return self._plan(spec, prompts, tuple(self._hashes.named(spec.methods).items()))

    def estimate(self, spec: RunSpec, prompts: PromptSet) -> Estimate:
        """Work and time of a checked run."""
        plan = self.plan(spec, prompts)
        keys = plan.keys
        known = self._database.known(keys)
        missing = sum(key not in known for key in keys)
        seconds = self._speed() * sum(map(plan.cost, plan.missing(known)))
        return Estimate(len(keys), len(keys) - missing, missing * spec.sampling.max_new_tokens, seconds)

    def check(self, spec: RunSpec, prompts: PromptSet, scorers: Sequence[Scorer], finished: Sequence[Given]) -> None:
        """Raises UserError if a method, a prompt or a length cannot be used."""
        longest = self._longest(prompts, spec.chat, spec.sampling.max_new_tokens)
        requests = [Request(prompts.prompts[longest].prompt, method, 0, spec.chat) for method in spec.written]
        with named(longest):
            self._engine.cost(requests, spec.sampling)
        longest_text = Counter[int]()  # of each prompt, in tokens
        for sample, _ in finished:
            longest_text[sample.prompt] = max(longest_text[sample.prompt], sample.num_tokens)
        for scorer in scorers:
            self._check_lengths(scorer, spec, prompts, longest_text)

    def _check_prompts(self, prompts: PromptSet, chat: bool, max_new_tokens: int) -> int:
        """Index of the longest prompt. Raises UserError if the base model cannot continue one of them."""
        found = []
        for index, prompt in enumerate(prompts.prompts):
            with named(index):
                found.append(len(self._engine.check(Request(prompt.prompt, BASE, 0, chat), max_new_tokens)))
        return found.index(max(found))

    def _check_lengths(self, scorer: Scorer, spec: RunSpec, prompts: PromptSet, texts: Counter[int]) -> None:
        """Raises UserError if a text or a reference may not fit into the scorer's context."""
        room = scorer.engine.base.context_length
        if scorer.method.prefix is not None:
            room -= scorer.engine.store.find(scorer.method.prefix, "prefix").size
        written, factor = (0, 1) if scorer.same_tokens else (FOREIGN * spec.sampling.max_new_tokens, FOREIGN)
        for index, (prompt, reference) in enumerate(self._lengths(scorer.engine, prompts, spec.chat)):
            longest = prompt + max(reference, written, factor * texts[index])
            if longest > room:
                need = f"with its reference or text it may need {longest} tokens"
                raise UserError(f"Prompt {index + 1}: {need}, and {scorer.label} has room for {room}: shorten it.")

    def _speed(self) -> float:
        """Seconds per token of one plain row here; measured once."""
        if self.seconds_a_token is None:
            started = time.perf_counter()
            sampling = Sampling(temperature=0, max_new_tokens=8)
            *_, (row,) = self._engine.generate([Request("The", BASE)], sampling)
            self.seconds_a_token = (time.perf_counter() - started) / max(1, len(row.token_ids))
        return self.seconds_a_token


def lengths(engine: Engine, prompts: PromptSet, chat: bool) -> list[tuple[int, int]]:
    """Token counts of every prompt and of its reference."""
    found = []
    for prompt in prompts.prompts:
        pairs = [prompt_pair(engine, prompt, chat, kind) for kind in ("prompt", "reference")]
        own, reference = (0 if pair is None else len(pair[0]) + len(pair[1]) for pair in pairs)
        found.append((own, max(0, reference - own)))
    return found


@contextmanager
def named(index: int) -> Iterator[None]:
    """Begin the message of a UserError with the number of the prompt."""
    try:
        yield
    except UserError as error:
        raise UserError(f"Prompt {index + 1}: {error}") from error
