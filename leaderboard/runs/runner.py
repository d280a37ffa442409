"""Runs: checked, written, scored, tabulated and replayed; new and resumed runs are the same work."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from itertools import zip_longest
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from adapters.adapter_files import WEIGHTS_FILE
from adapters.base_model import load_base_model
from adapters.decoding.engine import Engine
from adapters.methods import Method, Sampling, UserError, from_json, to_json
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from adapters.store.fingerprint import DECODING, Fingerprints
from leaderboard.records import GIVEN, AdapterCost, Given, PromptSet, Run, RunData, RunSpec
from leaderboard.runs.estimator import Estimate, Estimator
from leaderboard.runs.plan import ROWS, Batch, Clock, Plan, Position, Progress
from leaderboard.runs.scoring import Scorer, attributes, judge_texts, score_prompts, score_texts, scorer_hash, scorers
from leaderboard.runs.writing import write
from leaderboard.store.database import Database
from leaderboard.store.schema import new_id
from leaderboard.tables.results import Results
from leaderboard.tables.table import measured_by, tabulate
from leaderboard.texts import Finished, with_texts

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "numpy")
MAX_UNFINISHED = 5  # runs of one visitor
GONE = "There is no such run: it was deleted, or its link is incomplete."


class Difference(NamedTuple):
    method: str
    prompt: int  # index
    draw: int
    token: int  # number of the first token that differs, from 1


class Replay(NamedTuple):
    """How far a replay is, and the differences so far."""

    done: int  # texts
    total: int
    differences: tuple[Difference, ...]


class Runner:
    """The runs of one engine; safe to use from several threads."""

    def __init__(
        self,
        engine: Engine,
        database: Database,
        judges: Mapping[str, Callable[[], Engine]] | None = None,
        rows: int = ROWS,
        max_minutes: int = 120,
    ) -> None:
        """`judges` maps the LMs that a run may name to their loaders; `max_minutes` caps the estimates of visitors."""
        self.engine, self.database, self.judges, self.rows = engine, database, judges or {}, rows
        self.max_minutes = max_minutes
        self.hashes = Fingerprints(engine.base, engine.store)
        self._estimator = Estimator(engine, database, self.hashes, rows)
        self._busy: set[str] = set()
        self._lock = Lock()
        self._judge = cache(lambda name: self.judges[name]())

    def estimate(
        self, spec: RunSpec, prompts: PromptSet, visitor: bool = False, texts: Sequence[Finished] = ()
    ) -> Estimate:
        """Work and time of a run, after the checks of `add`. Raises UserError, also if it is too long for a visitor."""
        self._check(spec, prompts, texts)
        estimate = self._estimator.estimate(spec, prompts)
        if visitor and estimate.seconds > 60 * self.max_minutes:
            allowed = f"at most {self.max_minutes} are allowed: use fewer prompts, texts or methods."
            raise UserError(f"About {estimate.seconds / 60:,.0f} minutes, {allowed}")
        return estimate

    def add(self, spec: RunSpec, prompts: PromptSet, owner: str | None, texts: Sequence[Finished] = ()) -> Run:
        """Check and store a new run, with finished texts as further rows.

        Raises UserError, also beyond the limits of a visitor (`owner` is not None).
        """
        if owner is None:
            self._check(spec, prompts, texts)
        else:
            if self.database.num_unfinished(owner) >= MAX_UNFINISHED:
                raise UserError(f"You have {MAX_UNFINISHED} unfinished runs: resume or delete one first.")
            self.estimate(spec, prompts, visitor=True, texts=texts)
        first, spec = len(spec.methods), with_texts(spec, texts)
        base, hashes, versions = self.engine.base.id, self.hashes.named(spec.methods), self.versions()
        run = Run(new_id(), datetime.now(UTC), spec, prompts, base, hashes, versions, "stopped", owner)
        labels = {scorer.label: scorer.hash for scorer in self._scorers(spec)} | attributes(spec)
        taken = self._taken(spec, prompts, texts)
        finished = [(sample._replace(method=first + sample.method), trace) for sample, trace in taken]
        self.database.add_run(run, [self._cost(method) for method in spec.methods], labels, finished)
        return run

    def run(self, run_id: str) -> Iterator[Progress]:
        """Write and score what a run lacks; yields after each step. Closing it stops the run and keeps what is done.

        Raises UserError for an unknown run, a busy one, and one whose model or adapters have changed.
        """
        run = self.database.run(run_id)
        if run is None:
            raise UserError(GONE)
        self._check_unchanged(run)
        with self._alone(run_id):
            self.database.set_status(run_id, "running")
            status = "failed"
            try:
                yield from self._work(run)
                status = "done"
            except (GeneratorExit, KeyboardInterrupt):
                status = "stopped"
                raise
            finally:
                self.database.set_status(run_id, status)
            self.results(run_id)  # stored now, so that the run opens at once

    def results(self, run_id: str) -> Results:
        """The table of a run as far as it is; that of a finished one is stored until a metric is added. UserError."""
        kept = self.database.results(run_id)
        if kept is not None and "detectable" in kept and tuple(kept.get("measured", ())) == measured_by():
            return from_json(Results, kept)
        data = self.data(run_id)
        results = tabulate(data)
        if data.run.status == "done":
            self.database.update_run(run_id, results=to_json(results))
        return results

    def data(self, run_id: str) -> RunData:
        """Everything stored of a run. Raises UserError."""
        data = self.database.data(run_id)
        if data is None:
            raise UserError(GONE)
        return data

    def delete(self, run_id: str, owner: str | None) -> bool:
        """Delete a run of this owner; False if there is none. Raises UserError while it is running."""
        if run_id in self._busy:
            raise UserError("This run is running: stop it first.")
        return self.database.delete_run(run_id, owner)

    def replay(self, run_id: str) -> Iterator[Replay]:
        """Write the texts of a run again and compare their tokens, batch by batch; not finished ones. UserError."""
        data = self.data(run_id)
        run, stored = data.run, {(s.prompt, s.method, s.draw): s.key for s in data.samples if s.finish_reason != GIVEN}
        replay = Replay(0, len(stored), ())
        yield replay
        for part in Plan(run.spec, run.prompts, self.hashes, self.rows).parts:
            for batch in part:
                old = {position: stored[position] for position in batch.requests if position in stored}
                if old:
                    found = self._differences(batch, old, run.spec.sampling)
                    replay = Replay(replay.done + len(old), len(stored), (*replay.differences, *found))
                    yield replay

    def versions(self) -> dict[str, str]:
        """What texts depend on beside their settings, the model and the adapters."""
        model = self.engine.base.model
        return {name: version(name) for name in LIBRARIES} | {
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "device": self.engine.base.device.type,
            "dtype": str(model.dtype).removeprefix("torch."),
            "decoding": str(DECODING),
        }

    def _work(self, run: Run) -> Iterator[Progress]:
        """Part by part: the texts of every method, then their scores."""
        plan = self._estimator.plan(run.spec, run.prompts)
        clock = Clock(plan, self.database.known(plan.keys), self._estimator.seconds_a_token)
        models, judges = self._scorers(run.spec), attributes(run.spec)
        for part in plan.parts:
            for batch in part:
                self._check_unchanged(run)  # adapters come and go while the app runs
                own = scorer_hash(self.hashes, batch.method, run.spec.chat)
                for piece in write(self.engine, self.database, run.id, batch, run.spec.sampling, own):
                    new = tuple(text.sample for text in piece.written)
                    yield clock.progress("generating", batch, piece.num_tokens, new)
                clock.finish(batch)
            self._check_unchanged(run)
            for _ in self._score(run, part[0].prompts, models, judges):
                yield clock.progress("scoring")
        yield clock.progress("done")

    def _score(self, run: Run, prompts: range, models: list[Scorer], judges: Mapping[str, str]) -> Iterator[int]:
        samples = self.database.samples(run.id, prompts)
        for model in models:
            yield from score_texts(self.database, model, run, samples)
            yield from score_prompts(self.database, model, run, prompts)
        for label, digest in judges.items():
            yield from judge_texts(self.database, label, digest, samples)

    def _differences(self, batch: Batch, old: Mapping[Position, str], sampling: Sampling) -> Iterator[Difference]:
        """Write a batch again; yields the texts with other tokens than the stored ones."""
        traces = self.database.traces(list(old.values()))
        *_, last = self.engine.generate(list(batch.requests.values()), sampling, alone=True)
        rows = dict(zip(batch.requests, last, strict=True))
        for position, key in old.items():
            stored, mine = traces[key].token_ids, rows[position].token_ids
            pairs = enumerate(zip_longest(stored, mine), start=1)
            if token := next((number for number, (one, other) in pairs if one != other), None):
                yield Difference(batch.method.name, position[0], position[2], token)

    @contextmanager
    def _alone(self, run_id: str) -> Iterator[None]:
        """Hold a run. Raises UserError if somebody else does."""
        with self._lock:
            if run_id in self._busy:
                raise UserError("This run is running already, perhaps in another tab.")
            self._busy.add(run_id)
        try:
            yield
        finally:
            self._busy.discard(run_id)

    def _check(self, spec: RunSpec, prompts: PromptSet, texts: Sequence[Finished]) -> None:
        if spec.judge is not None and spec.judge not in self.judges:
            known = ", ".join(["the base model", *self.judges])
            raise UserError(f"The judge {spec.judge!r} is not allowed here: choose one of {known}.")
        with_texts(spec, texts)
        self._estimator.check(spec, prompts, self._scorers(spec), self._taken(spec, prompts, texts))

    def _taken(self, spec: RunSpec, prompts: PromptSet, texts: Sequence[Finished]) -> Sequence[Given]:
        return self._estimator.taken(tuple(texts), prompts, spec.samples, spec.chat)

    def _check_unchanged(self, run: Run) -> None:
        """Raises UserError if the model or an adapter of the run has changed or gone."""
        hashes = self.hashes.named(run.spec.methods)
        if changed := [name for name, digest in run.hashes.items() if hashes.get(name) != digest]:
            raise UserError(f"This run cannot go on, because {', '.join(changed)} changed since: start a new one.")

    def _cost(self, method: Method) -> AdapterCost:
        """Parameters and bytes of the adapters, discriminators and vectors of a method."""
        store, experts = self.engine.store, method.experts
        names = {attribute.name.partition(":")[0] for attribute in method.attributes if attribute.is_discriminator}
        pair = (experts.expert, experts.against) if experts else ()
        used = [store.find(name) for name in {method.lora, method.prefix, *pair} if name is not None]
        heads, pushes = [store.discriminator(n) for n in names], [store.vector(v.name).push for v in method.vectors]
        parameters = [a.num_parameters for a in used] + [head.weight.numel() + head.bias.numel() for head in heads]
        parameters += [push.numel() for push in pushes]
        files = {
            store.folder(name.partition(":")[0]) / WEIGHTS_FILE for name in (*names, *(v.name for v in method.vectors))
        }
        sizes = [a.num_bytes for a in used] + [file.stat().st_size for file in files]
        return AdapterCost(sum(parameters), sum(sizes))

    def _scorers(self, spec: RunSpec) -> list[Scorer]:
        return scorers(spec, self.engine, self.hashes, None if spec.judge is None else self._judge(spec.judge))


def load_engine(model: str | None, home: Path) -> Engine:
    """The engine of a base model with the shipped adapters and those in the home folder. Raises UserError."""
    base = load_base_model(model, home)
    return Engine(base, AdapterStore([WEIGHTS, home / "adapters"], base))


def load_judge(name: str, home: Path) -> Engine:
    """The engine of a judge, on the CPU: the GPU's memory is the base model's. Raises UserError."""
    base = load_base_model(name, home, permit_gpu=False)
    return Engine(base, AdapterStore([], base))
