"""Scores the texts of a run: log-probabilities under every scorer, and attributes by their judges.

The score of a text under the model that wrote it is stored with the text, so it is not computed here.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from adapters.decoding.engine import Engine
from adapters.methods import BASE, Method, unsteered
from adapters.store.fingerprint import Fingerprints
from adapters.store.weight_cache import sha256
from adapters.training.batches import chunks
from leaderboard.judges import NEUTRAL, TOPICS, judge_of
from leaderboard.records import ATTRIBUTE, GIVEN, Given, Prompt, PromptSet, Run, RunSpec, Sample, Tally, Trace
from leaderboard.store.database import Database
from leaderboard.texts import Finished, match

T = TypeVar("T")
TEXTS_AT_ONCE = 64  # scored before the run can be stopped again
FOREIGN = 4  # tokens of another vocabulary for one of the base's, at most
Pair = tuple[Sequence[int], Sequence[int]]  # ids of a context, ids to score
Score = Callable[[Sequence[Sample]], list[Tally]]


class Scorer(NamedTuple):
    """An LM that scores: an engine with a method without steering."""

    label: str
    hash: str
    engine: Engine
    method: Method
    same_tokens: bool  # whether it has the vocabulary of the base model

    def tallies(self, pairs: Sequence[Pair]) -> list[Tally]:
        """Sum of log-probabilities and number of tokens of each pair."""
        results = self.engine.loglikelihood(pairs, self.method, alone=True)
        return [Tally(result.sum_logprob, result.num_tokens) for result in results]


def scorers(spec: RunSpec, engine: Engine, hashes: Fingerprints, judge: Engine | None) -> list[Scorer]:
    """The models that score the texts of a run; `judge` is the LM that `spec.judge` names."""
    methods = spec.scorers.items()
    found = [Scorer(label, scorer_hash(hashes, one, spec.chat), engine, one, True) for label, one in methods]
    if judge is not None:
        same = judge.base.tokenizer.get_vocab() == engine.base.tokenizer.get_vocab()
        digest = scorer_hash(Fingerprints(judge.base, judge.store), BASE, spec.chat)
        found.append(Scorer(spec.judge_label, digest, judge, BASE, same))
    return found


def scorer_hash(hashes: Fingerprints, method: Method, chat: bool) -> str:
    """Hash of how a method reads a text, without what it does to the logits, and of how it reads a prompt."""
    return sha256(hashes.method(unsteered(method)), str(chat))


def attributes(spec: RunSpec) -> dict[str, str]:
    """The attributes of a run that have a judge: label -> hash of the judge."""
    named = {name for method in spec.methods for name, _ in method.aims}
    names = named | {method.ask.name for method in spec.methods if method.ask and not method.ask.text}
    judges = {name: judge for name in sorted(names) if (judge := judge_of(name)) is not None}
    return {
        f"{ATTRIBUTE}{name}": sha256(judge.description, name, str(TOPICS), str(NEUTRAL))
        for name, judge in judges.items()
    }


def score_texts(database: Database, scorer: Scorer, run: Run, samples: Sequence[Sample]) -> Iterator[int]:
    """Score the samples that the scorer has no tally for; yields their number after each portion."""

    def score(some: Sequence[Sample]) -> list[Tally]:
        traces = database.traces([sample.key for sample in some])
        return scorer.tallies([as_pair(scorer, run, sample, traces[sample.key]) for sample in some])

    return complete(database, scorer.hash, samples, score)


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
            counted = finite(new, scorer.tallies(list(new.values())))
            database.keep_prompt_tallies(run.prompts, kind, scorer.hash, counted)
            yield len(new)


def judge_texts(database: Database, label: str, digest: str, samples: Sequence[Sample]) -> Iterator[int]:
    """Judge an attribute in the samples without a verdict; yields their number after each portion."""
    judge = judge_of(label.removeprefix(ATTRIBUTE))
    if judge is None:
        return iter(())
    sees = judge.sees
    return complete(
        database, digest, samples, lambda some: [Tally(float(shown), 1) for shown in sees([s.text for s in some])]
    )


def complete(database: Database, scorer: str, samples: Sequence[Sample], score: Score) -> Iterator[int]:
    """Store the tallies that a scorer lacks, in portions, so that a run can be stopped between them."""
    known = database.scored([sample.key for sample in samples], scorer)
    new = [sample for sample in samples if sample.key not in known and sample.finish_reason != "diverged"]
    for some in chunks(new, TEXTS_AT_ONCE):
        database.keep_tallies(scorer, finite([sample.key for sample in some], score(some)))
        yield len(some)


def finite(keys: Iterable[T], tallies: Sequence[Tally]) -> dict[T, Tally]:
    """The finite tallies by key: a model that diverges on a text has no score for it."""
    return {key: tally for key, tally in zip(keys, tallies, strict=True) if math.isfinite(tally.total)}


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
    return ids, engine.base.encode_bare(joined(prompt.prompt, prompt.reference, chat))


def joined(prompt: str, text: str, chat: bool) -> str:
    """The text as it follows the prompt: after a blank, unless one of them has it."""
    return text if chat or prompt[-1].isspace() or text[:1].isspace() else f" {text}"


def read_prompt(engine: Engine, prompt: str, chat: bool) -> list[int]:
    """The ids of a prompt for a model, with its chat template if it has one."""
    return engine.base.encode(prompt, chat and bool(engine.base.tokenizer.chat_template))


def taken(
    engine: Engine, hashes: Fingerprints, texts: Sequence[Finished], prompts: PromptSet, samples: int, chat: bool
) -> tuple[Given, ...]:
    """Finished texts as samples of the methods 0, 1, …. Raises UserError if they are not for these prompts.

    A prompt has the tokens that every method reads; its text has tokens of its own, as one that is written after it.
    """
    found, read = [], engine.base.encode_bare
    for method, finished in enumerate(texts):
        for place, (prompt, own) in enumerate(zip(prompts.prompts, match(finished, prompts, samples), strict=True)):
            prompt_ids = tuple(engine.base.encode(prompt.prompt, chat))
            for draw, text in enumerate(own):
                follows = text if finished.is_exact else joined(prompt.prompt, text, chat)
                key, ids = sha256("given", hashes.base, str(chat), prompt.prompt, follows), tuple(read(follows))
                sample = Sample(place, method, draw, key, 0, follows, len(ids), GIVEN)
                found.append((sample, Trace(prompt_ids, ids, ())))
    return tuple(found)
