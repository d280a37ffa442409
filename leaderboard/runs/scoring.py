"""Scores the texts of a run: log-probabilities under every scorer, and attributes by their judges.

The score of a text under the model that wrote it is stored with the text, so it is not computed here.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from adapters.decoding.engine import Engine
from adapters.decoding.likelihood import LogLikelihood
from adapters.methods import BASE, Method
from adapters.store.digest import sha256
from adapters.store.fingerprint import Fingerprints
from leaderboard.judges import NEUTRAL, TOPICS, describe, judge_of
from leaderboard.records import ATTRIBUTE, Prompt, Run, RunSpec, Sample, Tally, Trace
from leaderboard.store.database import Database

T = TypeVar("T")
TEXTS_AT_ONCE = 64  # scored before the run can be stopped again
FOREIGN = 4  # tokens of another vocabulary for one of the base's, at most
Pair = tuple[Sequence[int], Sequence[int]]  # ids of a context, ids to score


class Scorer(NamedTuple):
    """An LM that scores: an engine with a method without steering."""

    label: str
    hash: str
    engine: Engine
    method: Method
    same_tokens: bool  # whether it has the vocabulary of the base model


def scorers(spec: RunSpec, engine: Engine, hashes: Fingerprints, judge: Engine | None) -> list[Scorer]:
    """The models that score the texts of a run; `judge` is the LM that `spec.judge` names."""
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
    """Hash of a method without its steering and of how it reads a prompt."""
    return sha256(hashes.method(replace(method, steering=None)), str(chat))


def attributes(spec: RunSpec) -> dict[str, str]:
    """The attributes of a run that have a judge: label -> hash of the judge."""
    steered = [method.steering for method in spec.methods if method.steering is not None]
    names = {a.name for steering in steered for a in steering.attributes if not a.words}
    judges = {name: description for name in sorted(names) if (description := describe(name)) is not None}
    return {f"{ATTRIBUTE}{name}": sha256(judges[name], name, str(TOPICS), str(NEUTRAL)) for name in judges}


def score_texts(database: Database, scorer: Scorer, run: Run, samples: Sequence[Sample]) -> Iterator[int]:
    """Score the samples that the scorer has no tally for; yields their number after each portion."""
    for some in portions(unseen(database, scorer.hash, samples)):
        traces = database.traces([sample.key for sample in some])
        pairs = [as_pair(scorer, run, sample, traces[sample.key]) for sample in some]
        results = scorer.engine.loglikelihood(pairs, scorer.method)
        counted = {sample.key: tally for sample, tally in zip(some, map(as_tally, results), strict=True)}
        database.keep_tallies(scorer.hash, finite(counted))
        yield len(some)


def score_prompts(database: Database, scorer: Scorer, run: Run, prompts: range) -> Iterator[int]:
    """Score the prompts and their references; yields their number after each portion."""
    for kind in ("prompt", "reference"):
        known = database.scored_prompts(run.prompts, kind, scorer.hash)
        new = {
            index: pair
            for index in prompts
            if index not in known
            and (pair := prompt_pair(scorer.engine, run.prompts.prompts[index], run.spec.chat, kind)) is not None
        }
        if new:
            results = scorer.engine.loglikelihood(list(new.values()), scorer.method)
            counted = dict(zip(new, map(as_tally, results), strict=True))
            database.keep_prompt_tallies(run.prompts, kind, scorer.hash, finite(counted))
            yield len(new)


def judge_texts(database: Database, label: str, digest: str, samples: Sequence[Sample]) -> Iterator[int]:
    """Judge an attribute in the samples without a verdict; yields their number after each portion."""
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
    """The finite tallies: a model that diverges on a text has no score for it."""
    return {key: tally for key, tally in counted.items() if math.isfinite(tally.total)}


def unseen(database: Database, scorer: str, samples: Sequence[Sample]) -> list[Sample]:
    """The samples that a scorer has no tally for and can score."""
    known = database.scored([sample.key for sample in samples], scorer)
    return [sample for sample in samples if sample.key not in known and sample.finish_reason != "diverged"]


def portions(samples: Sequence[Sample]) -> Iterator[Sequence[Sample]]:
    """Portions of texts, so that a run can be stopped between them."""
    return (samples[start : start + TEXTS_AT_ONCE] for start in range(0, len(samples), TEXTS_AT_ONCE))


def as_pair(scorer: Scorer, run: Run, sample: Sample, trace: Trace) -> Pair:
    """A text as the scorer reads it: the generated ids, or the text encoded in its own vocabulary."""
    if scorer.same_tokens:
        return trace.prompt_ids, trace.token_ids
    prompt = read_prompt(scorer.engine, run.prompts.prompts[sample.prompt].prompt, run.spec.chat)
    return prompt, scorer.engine.base.encode_bare(sample.text)


def prompt_pair(engine: Engine, prompt: Prompt, chat: bool, kind: str) -> Pair | None:
    """The prompt after its first token (BOS if the model has one), or the reference after the prompt."""
    ids = read_prompt(engine, prompt.prompt, chat)
    if kind == "prompt":
        return ids[:1], ids[1:]
    if prompt.reference is None:
        return None
    apart = chat or prompt.prompt[-1].isspace() or prompt.reference[:1].isspace()
    return ids, engine.base.encode_bare(prompt.reference if apart else f" {prompt.reference}")


def read_prompt(engine: Engine, prompt: str, chat: bool) -> list[int]:
    """The ids of a prompt for a model, with its chat template if it has one."""
    return engine.base.encode(prompt, chat and bool(engine.base.tokenizer.chat_template))
