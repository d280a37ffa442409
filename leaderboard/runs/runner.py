"""Runs: checked, written, scored, tabulated, repeated; the same work whether it is begun, resumed or done before.

Knows the order of the work; knows nothing of metrics' formulas, of SQL or of screens.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from adapters.base_model import load_base_model
from adapters.decoding.engine import Engine
from adapters.methods import BASE, Method, Request, Sampling, UserError, from_json, to_json
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from adapters.store.fingerprint import DECODING, Fingerprints
from leaderboard.records import AdapterCost, PromptSet, Run, RunData, RunSpec, Sample
from leaderboard.runs.plan import ROWS, Batch, Place, Plan
from leaderboard.runs.scoring import (
    Scorer,
    attributes,
    check_lengths,
    judge_texts,
    score_prompts,
    score_texts,
    scorer_hash,
    scorers,
)
from leaderboard.runs.writing import Piece, steps, write
from leaderboard.store.database import Database, new_id
from leaderboard.tables.table import Results, tabulate

LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "numpy")
CALIBRATION = 8  # tokens that are written to find out how fast this machine is
GONE = "There is no such run: it was deleted, or its link is incomplete."


class Estimate(NamedTuple):
    """What a run would take here."""

    num_texts: int
    num_known: int  # texts that are stored already
    num_tokens: int  # at most, of the texts that are not
    seconds: float


class Progress(NamedTuple):
    """Where a run stands."""

    phase: str  # "generating", "scoring" or "done"
    done: int  # tokens, of the most that there can be
    total: int
    seconds_left: float | None  # None: not known yet
    samples: tuple[Sample, ...] = ()  # that were added since the last one


class Difference(NamedTuple):
    """A text that a replay wrote otherwise."""

    method: str
    prompt: int  # place
    draw: int
    token: int  # number of the first token that differs, from 1


class Replay(NamedTuple):
    """What writing everything again has shown so far."""

    done: int  # texts
    total: int
    differences: tuple[Difference, ...]


class Runner:
    """Does the runs of one engine; safe to use from several threads."""

    def __init__(
        self,
        engine: Engine,
        database: Database,
        judges: Mapping[str, Callable[[], Engine]] | None = None,
        rows: int = ROWS,
    ) -> None:
        """`judges` are the language models that a run may name; each is loaded when it is first needed."""
        self.engine, self.database, self.judges, self.rows = engine, database, judges or {}, rows
        self.hashes = Fingerprints(engine.base, engine.store)
        self._going: set[str] = set()
        self._loaded: dict[str, Engine] = {}
        self._seconds_a_token: float | None = None

    def estimate(self, spec: RunSpec, prompts: PromptSet) -> Estimate:
        """What the run would take, after the same checks as `add`. Raises UserError."""
        self._check(spec, prompts)
        plan = Plan(spec, prompts, self.hashes, self.rows)
        keys = plan.keys
        known = self.database.known(keys)
        missing = sum(key not in known for key in keys)
        seconds = self._speed() * sum(map(plan.cost, plan.missing(known)))
        return Estimate(len(keys), len(keys) - missing, missing * spec.sampling.max_new_tokens, seconds)

    def add(self, spec: RunSpec, prompts: PromptSet, owner: str | None) -> Run:
        """Checks everything and stores a run that can be begun. Raises UserError."""
        self._check(spec, prompts)
        run = Run(
            id=new_id(),
            created=datetime.now(UTC),
            spec=spec,
            prompts=prompts,
            base=self.engine.base.id,
            hashes=self.hashes.named(spec.methods),
            versions=self.versions(),
            status="stopped",
            owner=owner,
        )
        labels = {scorer.label: scorer.hash for scorer in self._scorers(spec)} | attributes(spec)
        self.database.add_run(run, [self._cost(method) for method in spec.methods], labels)
        return run

    def run(self, run_id: str) -> Iterator[Progress]:
        """Writes and scores what a run lacks; yields after each step. Closing it stops and keeps what is done.

        Raises UserError for an unknown run, one that is going on, and one whose model or adapters have changed.
        """
        run = self._get(run_id)
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
            self.results(run_id)  # so that whoever opens it first need not wait for the table

    def results(self, run_id: str) -> Results:
        """The table of a run as far as it is; that of a finished one is kept. Raises UserError."""
        kept = self.database.results(run_id)
        if kept is not None:
            return from_json(Results, kept)
        data = self.data(run_id)
        results = tabulate(data)
        if data.run.status == "done":
            self.database.set_results(run_id, to_json(results))
        return results

    def data(self, run_id: str) -> RunData:
        """Everything that is stored of a run. Raises UserError."""
        data = self.database.data(run_id)
        if data is None:
            raise UserError(GONE)
        return data

    def delete(self, run_id: str, owner: str | None) -> bool:
        """Deletes a run of this owner; False where there is none. Raises UserError while it is going on."""
        if run_id in self._going:
            raise UserError("This run is going on: stop it first.")
        return self.database.delete_run(run_id, owner)

    def replay(self, run_id: str) -> Iterator[Replay]:
        """Writes all texts of a run again and compares their tokens, batch by batch. Raises UserError."""
        data = self.data(run_id)
        run, stored = data.run, {(s.prompt, s.method, s.draw): s.key for s in data.samples}
        replay = Replay(0, len(stored), ())
        yield replay
        for part in Plan(run.spec, run.prompts, self.hashes, self.rows).parts:
            for batch in part:
                old = {place: stored[place] for place in batch.requests if place in stored}
                if old:
                    found = self._differences(batch, old, run.spec.sampling)
                    replay = Replay(replay.done + len(old), len(stored), (*replay.differences, *found))
                    yield replay

    def versions(self) -> dict[str, str]:
        """What a text may depend on beside its settings, the model and the adapters."""
        model = self.engine.base.model
        return {name: version(name) for name in LIBRARIES} | {
            "python": platform.python_version(),
            "machine": f"{platform.system()} {platform.machine()}",
            "device": model.device.type,
            "dtype": str(model.dtype).removeprefix("torch."),
            "decoding": str(DECODING),
        }

    def _work(self, run: Run) -> Iterator[Progress]:
        """Part by part: every method's texts, then their scores."""
        plan = Plan(run.spec, run.prompts, self.hashes, self.rows)
        clock = Clock(plan, self.database.known(plan.keys), self._seconds_a_token)
        models, judges = self._scorers(run.spec), attributes(run.spec)
        for part in plan.parts:
            for batch in part:
                self._check_unchanged(run)  # adapters come and go while the app runs
                own = scorer_hash(self.hashes, batch.method, run.spec.chat)
                for piece in write(self.engine, self.database, run.id, batch, run.spec.sampling, own):
                    yield clock.progress("generating", batch, piece)
                clock.finish(batch)
            self._check_unchanged(run)
            for _ in self._score(run, plan.places(part), models, judges):
                yield clock.progress("scoring")
        yield clock.progress("done")

    def _score(self, run: Run, places: range, models: list[Scorer], judges: Mapping[str, str]) -> Iterator[int]:
        """Scores what the prompts at some places have become."""
        samples = self.database.samples(run.id, places)
        for model in models:
            yield from score_texts(self.database, model, run, samples)
            yield from score_prompts(self.database, model, run, places)
        for label, digest in judges.items():
            yield from judge_texts(self.database, label, digest, samples)

    def _differences(self, batch: Batch, old: Mapping[Place, str], sampling: Sampling) -> Iterator[Difference]:
        """Writes a batch again; the texts whose tokens are others than the stored ones, keys by place."""
        traces = self.database.traces(list(old.values()))
        *_, rows = steps(self.engine, batch, sampling)
        for place, key in old.items():
            stored, mine = traces[key].token_ids, rows[place].token_ids
            if stored != mine:
                number = next((i for i, pair in enumerate(zip(stored, mine, strict=False)) if pair[0] != pair[1]), None)
                token = min(len(stored), len(mine)) if number is None else number
                yield Difference(batch.method.name, place[0], place[2], token + 1)

    def _check(self, spec: RunSpec, prompts: PromptSet) -> None:
        """Raises UserError where a method, a prompt or the judge cannot be used."""
        if spec.judge is not None and spec.judge not in self.judges:
            known = ", ".join(self.judges) or "none"
            raise UserError(
                f"The judge {spec.judge!r} is not allowed here: choose the base model, or of these: {known}."
            )
        lengths = []
        for place, prompt in enumerate(prompts.prompts):
            with named(place):
                self.engine.generate([Request(prompt.prompt, BASE, 0, spec.chat)], spec.sampling)
                lengths.append(len(self.engine.base.encode(prompt.prompt, spec.chat)))
        longest = lengths.index(max(lengths))
        requests = [Request(prompts.prompts[longest].prompt, method, 0, spec.chat) for method in spec.methods]
        with named(longest):  # and every method with it
            self.engine.generate(requests, spec.sampling)
        check_lengths(self._scorers(spec), spec, prompts)

    def _check_unchanged(self, run: Run) -> None:
        """Raises UserError where a name stands for something else than when the run was made, or for nothing."""
        hashes = self.hashes.named(run.spec.methods)
        if changed := [name for name, digest in run.hashes.items() if hashes.get(name) != digest]:
            raise UserError(f"This run cannot go on, because {', '.join(changed)} changed since: start a new one.")

    def _get(self, run_id: str) -> Run:
        run = self.database.run(run_id)
        if run is None:
            raise UserError(GONE)
        return run

    def _cost(self, method: Method) -> AdapterCost:
        store, steered = self.engine.store, method.steering.attributes if method.steering else ()
        discriminators = {attribute.name.partition(":")[0] for attribute in steered if attribute.is_discriminator}
        used = [a for a in store.adapters if a.name in (method.lora, method.prefix)]
        costs = [(each.num_parameters, each.num_bytes) for each in used]
        costs += [
            (store.discriminator(name).num_parameters, store.discriminator_bytes(name)) for name in discriminators
        ]
        return AdapterCost(sum(parameters for parameters, _ in costs), sum(size for _, size in costs))

    def _scorers(self, spec: RunSpec) -> list[Scorer]:
        if spec.judge is not None and spec.judge not in self._loaded:
            self._loaded[spec.judge] = self.judges[spec.judge]()
        return scorers(spec, self.engine, self.hashes, None if spec.judge is None else self._loaded[spec.judge])

    @contextmanager
    def _alone(self, run_id: str) -> Iterator[None]:
        if run_id in self._going:
            raise UserError("This run is going on already, perhaps in another tab.")
        self._going.add(run_id)
        try:
            yield
        finally:
            self._going.discard(run_id)

    def _speed(self) -> float:
        """Seconds that a token of one plain row takes here; measured once."""
        if self._seconds_a_token is None:
            started = time.perf_counter()
            sampling = Sampling(temperature=0, max_new_tokens=CALIBRATION)
            *_, (row,) = self.engine.generate([Request("The", BASE)], sampling)
            self._seconds_a_token = (time.perf_counter() - started) / max(1, len(row.token_ids))
        return self._seconds_a_token


class Clock:
    """How far a run is, and how long the rest will take at the pace so far."""

    def __init__(self, plan: Plan, known: Set[str], seconds_a_token: float | None) -> None:
        """`seconds_a_token`: of a plain row alone, where that is known; the pace until there is one."""
        self._most = plan.spec.sampling.max_new_tokens
        self._costs = {id(batch): plan.cost(batch) for batch in plan.missing(known)}
        self._total = self._most * len(plan.keys)
        self._finished = 0  # tokens of the batches that are done, at the most there can be
        self._left, self._spent, self._pace = sum(self._costs.values()), 0.0, seconds_a_token
        self._started = time.perf_counter()

    def progress(self, phase: str, batch: Batch | None = None, piece: Piece | None = None) -> Progress:
        """Where the run stands; `piece` is the newest of the batch that is being written."""
        part, tokens = 0.0, 0
        if batch is not None and piece is not None:
            tokens = piece.num_tokens
            part = tokens / (len(batch.keys) * self._most)
        spent = self._spent + part * (self._costs.get(id(batch), 0.0))
        elapsed = time.perf_counter() - self._started
        pace = elapsed / spent if spent > 0 else self._pace
        left = self._left - spent
        new = tuple(text.sample for text in piece.written) if piece else ()
        seconds = 0.0 if left <= 0 else None if pace is None else pace * left
        return Progress(phase, self._finished + tokens, self._total, seconds, new)

    def finish(self, batch: Batch) -> None:
        """Counts a batch as done."""
        self._finished += len(batch.keys) * self._most
        self._spent += self._costs.get(id(batch), 0.0)


def load_engine(model: str | None, home: Path) -> Engine:
    """The engine of a base model with the adapters that ship and those in the home folder. Raises UserError."""
    base = load_base_model(model, home)
    return Engine(base, AdapterStore([WEIGHTS, home / "adapters"], base))


def load_judge(name: str, home: Path) -> Engine:
    """The language model that a run names as its judge, ready to score. Raises UserError."""
    base = load_base_model(name, home)
    return Engine(base, AdapterStore([], base))


@contextmanager
def named(place: int) -> Iterator[None]:
    """Says which prompt it is that something is wrong with."""
    try:
        yield
    except UserError as error:
        raise UserError(f"Prompt {place + 1}: {error}") from error
