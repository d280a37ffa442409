"""Counts what is in the texts of a run: log-probabilities under every scorer, and attributes that a judge sees.

Knows which texts a scorer still lacks and how it reads them; knows nothing of how texts are written or of metrics. What
generation already knew (a text under the model that wrote it) is in the database before scoring begins.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from adapters.decoding.engine import Engine
from adapters.decoding.likelihood import LogLikelihood
from adapters.methods import BASE, Method
from adapters.store.fingerprint import Fingerprints, sha256
from leaderboard.judges import NEUTRAL, TOPICS, describe, judge_of
from leaderboard.metrics.attribute import PREFIX as ATTRIBUTE
from leaderboard.records import Prompt, Run, RunSpec, Sample, Tally, Trace
from leaderboard.store.database import Database

T = TypeVar("T")
TEXTS_AT_ONCE = 64  # that are scored between two looks at whether to stop
FOREIGN = 4  # tokens that another vocabulary may need for one of the base's
Pair = tuple[Sequence[int], Sequence[int]]  # ids of a context, ids to score


class Scorer(NamedTuple):
    """A language model that scores: an engine, and the unsteered method under which it reads."""

    label: str
    hash: str
    engine: Engine
    method: Method
    same_tokens: bool  # whether it reads the ids that were generated


def scorers(spec: RunSpec, engine: Engine, hashes: Fingerprints, judge: Engine | None) -> list[Scorer]:
    """Every model that scores the texts of a run; `judge` is the language model that `spec.judge` names."""
    found = [
        Scorer(label, scorer_hash(hashes, method, spec.chat), engine, method, True)
        for label, method in spec.scorers.items()
    ]
    if judge is not None:
        same = judge.base.tokenizer.get_vocab() == engine.base.tokenizer.get_vocab()
        digest = scorer_hash(Fingerprints(judge.base, judge.store), BASE, spec.chat)
        found.append(Scorer(spec.judge_label, digest, judge, BASE, same))
    return found


def scorer_hash(hashes: Fingerprints, method: Method, chat: bool) -> str:
    """Of a method without its steering, and of how it reads a prompt."""
    return sha256(hashes.method(replace(method, steering=None)), str(chat))


def attributes(spec: RunSpec) -> dict[str, str]:
    """What some method steers by and has a judge of its own, lists and discriminators: label -> hash of the judge."""
    steered = [method.steering for method in spec.methods if method.steering is not None]
    names = {a.name for steering in steered for a in steering.attributes if not a.words}
    judges = {name: description for name in sorted(names) if (description := describe(name)) is not None}
    return {f"{ATTRIBUTE}{name}": sha256(judges[name], name, str(TOPICS), str(NEUTRAL)) for name in judges}


def score_texts(database: Database, scorer: Scorer, run: Run, samples: Sequence[Sample]) -> Iterator[int]:
    """Scores those of the samples that the scorer has not seen; yields how many at a time."""
    for some in portions(unseen(database, scorer.hash, samples)):
        traces = database.traces([sample.key for sample in some])
        pairs = [as_pair(scorer, run, sample, traces[sample.key]) for sample in some]
        results = scorer.engine.loglikelihood(pairs, scorer.method)
        counted = {sample.key: tally for sample, tally in zip(some, map(as_tally, results), strict=True)}
        database.keep_tallies(scorer.hash, finite(counted))
        yield len(some)


def score_prompts(database: Database, scorer: Scorer, run: Run, places: range) -> Iterator[int]:
    """Scores prompts themselves, and their references; yields how many at a time."""
    for kind in ("prompt", "reference"):
        known = database.scored_prompts(run.prompts, kind, scorer.hash)
        new = {
            place: pair
            for place in places
            if place not in known
            and (pair := prompt_pair(scorer.engine, run.prompts.prompts[place], run.spec.chat, kind)) is not None
        }
        if new:
            results = scorer.engine.loglikelihood(list(new.values()), scorer.method)
            counted = dict(zip(new, map(as_tally, results), strict=True))
            database.keep_prompt_tallies(run.prompts, kind, scorer.hash, finite(counted))
            yield len(new)


def judge_texts(database: Database, label: str, digest: str, samples: Sequence[Sample]) -> Iterator[int]:
    """Asks an attribute's own judge about those of the samples that it has not seen; yields how many at a time."""
    judge = judge_of(label.removeprefix(ATTRIBUTE))
    if judge is None:
        return
    for some in portions(unseen(database, digest, samples)):
        verdicts = judge([sample.text for sample in some])
        database.keep_tallies(digest, {s.key: Tally(float(v), 1) for s, v in zip(some, verdicts, strict=True)})
        yield len(some)


def as_tally(result: LogLikelihood) -> Tally:
    return Tally(result.sum_logprob, result.num_tokens)


def finite(counted: Mapping[T, Tally]) -> dict[T, Tally]:
    """What a scorer could count: a model that diverges on a text has no score for it."""
    return {place: tally for place, tally in counted.items() if math.isfinite(tally.total)}


def unseen(database: Database, scorer: str, samples: Sequence[Sample]) -> list[Sample]:
    """Those of the samples that a scorer, by its hash, has not counted and can count."""
    known = database.scored([sample.key for sample in samples], scorer)
    return [sample for sample in samples if sample.key not in known and sample.finish_reason != "diverged"]


def portions(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Some texts at a time, so that a run can be stopped in between."""
    return (samples[start : start + TEXTS_AT_ONCE] for start in range(0, len(samples), TEXTS_AT_ONCE))


def as_pair(scorer: Scorer, run: Run, sample: Sample, trace: Trace) -> Pair:
    """A text as the scorer reads it: the generated ids, or the text encoded anew where its tokens are others."""
    if scorer.same_tokens:
        return trace.prompt_ids, trace.token_ids
    prompt = read_prompt(scorer.engine, run.prompts.prompts[sample.prompt].prompt, run.spec.chat)
    return prompt, scorer.engine.base.encode_bare(sample.text)


def prompt_pair(engine: Engine, prompt: Prompt, chat: bool, kind: str) -> Pair | None:
    """The prompt after its first token (bos, where the model has one), or the reference after the prompt."""
    ids = read_prompt(engine, prompt.prompt, chat)
    if kind == "prompt":
        return ids[:1], ids[1:]
    if prompt.reference is None:
        return None
    apart = chat or prompt.prompt[-1].isspace() or prompt.reference[:1].isspace()
    return ids, engine.base.encode_bare(prompt.reference if apart else f" {prompt.reference}")


def read_prompt(engine: Engine, prompt: str, chat: bool) -> list[int]:
    """The ids of a prompt for a model, which may have no chat template of its own."""
    return engine.base.encode(prompt, chat and bool(engine.base.tokenizer.chat_template))
