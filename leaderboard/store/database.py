"""Runs, texts, tallies and shared comparisons in SQL: SQLite in one file, or PostgreSQL by its URL.

Each write is one transaction and can be repeated: rows that exist stay as they are.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from typing import Any

from alembic.util import CommandError
from sqlalchemy import ColumnElement, Connection, Select, Table, delete, func, make_url, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from adapters.methods import UserError, to_json
from adapters.training.batches import chunks
from leaderboard.records import AdapterCost, PromptSet, Run, RunData, RunLine, Sample, Tally, Timing, Trace, Written
from leaderboard.showcase import Shipped
from leaderboard.store import schema
from leaderboard.store.connection import migrate, open_engine
from leaderboard.store.schema import comparisons, prompt_sets, prompt_tallies, run_samples, runs, samples, tallies

KEYS_A_QUERY = 500  # below every database's limit of parameters
RUNS = select(runs, prompt_sets.c.record.label("prompts")).join(prompt_sets)
Read = tuple[Sample, Trace]
Rows = tuple[Table, Sequence[tuple[Any, ...]]]  # in the order of the table's columns
PromptTallies = dict[tuple[str, str], dict[int, Tally]]


def rows_of(run_id: str, texts: Sequence[Read]) -> list[Rows]:
    """Texts as rows of their tables; the first fields of a Sample say where it is in the run."""
    return [
        (samples, [(*sample[3:], [[*part] for part in trace]) for sample, trace in texts]),
        (run_samples, [(run_id, *sample[:3], sample.key) for sample, _ in texts]),
    ]


class Database:
    """One database; safe to use from several threads and processes."""

    def __init__(self, url: str, shipped: Mapping[str, Shipped] | None = None) -> None:
        """Open or create the database and upgrade its schema. Raises UserError.

        `shipped` maps ids to runs that are read beside the stored ones and never written.
        """
        self.shipped = shipped or {}
        try:
            self._reader = open_engine(make_url(url))
            self._writer = self._reader.execution_options(writes=True)
            with self._writer.begin() as connection:
                migrate(connection, schema.metadata)
        except CommandError as error:
            raise UserError("This database was made by a newer release of Steerboard: update to open it.") from error
        except (ArgumentError, NoSuchModuleError, DBAPIError) as error:
            reason = str(error).strip().split("\n")[0]
            todo = "Correct its URL, or unset it to use a file."
            raise UserError(f"Cannot open the database: {reason} {todo}") from error

    # Runs

    def add_run(
        self, run: Run, costs: Sequence[AdapterCost], scorers: Mapping[str, str], finished: Sequence[Read] = ()
    ) -> None:
        """Store a new run; `scorers` maps the label of each scorer and attribute judge to its hash."""
        set_id = schema.prompt_set_id(run.prompts)
        record = {
            "version": schema.VERSION,
            "spec": to_json(run.spec),
            "base": run.base,
            "hashes": dict(run.hashes),
            "versions": dict(run.versions),
            "costs": [[*cost] for cost in costs],
            "scorers": dict(scorers),
        }
        row = (run.id, schema.naive(run.created), run.owner, set_id, run.status, record, None, None)
        self._insert((prompt_sets, [(set_id, to_json(run.prompts))]), (runs, [row]), *rows_of(run.id, finished))

    def run(self, id: str) -> Run | None:
        """The run with this id. Raises UserError if a newer release stored it."""
        if id in self.shipped:
            return self.shipped[id].data.run
        with self._reader.connect() as connection:
            row = connection.execute(RUNS.where(runs.c.id == id)).first()
        return None if row is None else schema.as_run(row)

    def runs(self, owner: str | None, operator: bool = False) -> list[RunLine]:
        """The owner's runs and those of the command line, for the operator everybody's, newest first."""
        own = runs.c.owner.is_(None) | (runs.c.owner == owner) | operator
        with self._reader.connect() as connection:
            return [schema.as_line(row) for row in connection.execute(RUNS.where(own).order_by(runs.c.created.desc()))]

    def num_unfinished(self, owner: str) -> int:
        query = select(func.count()).select_from(runs).where(runs.c.owner == owner, runs.c.status != "done")
        return self._scalar(query) or 0

    def set_status(self, id: str, status: str) -> None:
        """Set the status of a run; its stored table and publication are out of date then."""
        self.update_run(id, status=status, results=None, published=None)

    def update_run(self, id: str, **values: Any) -> None:
        """Set columns of a run, such as its `results` or the address where it is `published`."""
        with self._writer.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == id).values(**values))

    def results(self, id: str) -> Any | None:
        if id in self.shipped:
            return self.shipped[id].results
        return self._scalar(select(runs.c.results).where(runs.c.id == id))

    def published(self, id: str) -> str | None:
        return self._scalar(select(runs.c.published).where(runs.c.id == id))

    def delete_run(self, id: str, owner: str | None, operator: bool = False) -> bool:
        """Delete a run with texts and prompts that no other run uses; False if not the owner or the operator asks."""
        with self._writer.begin() as connection:
            keys = connection.scalars(select(run_samples.c.sample_key).where(run_samples.c.run_id == id)).all()
            own = delete(runs).where(runs.c.id == id, runs.c.owner.is_not_distinct_from(owner) | operator)
            if not connection.execute(own).rowcount:
                return False
            used = select(run_samples.c.sample_key)
            for some in chunks(sorted(set(keys)), KEYS_A_QUERY):
                connection.execute(delete(samples).where(samples.c.key.in_(some), samples.c.key.not_in(used)))
            connection.execute(delete(prompt_sets).where(prompt_sets.c.id.not_in(select(runs.c.prompt_set_id))))
        return True

    def data(self, id: str) -> RunData | None:
        """Everything that the metrics of a run are computed from, as far as it exists."""
        if id in self.shipped:
            return self.shipped[id].data
        with self._reader.connect() as connection:
            row = connection.execute(RUNS.where(runs.c.id == id)).first()
            if row is None:
                return None
            scorers = row.record["scorers"]  # hash by label: equal weights have equal hashes
            of = schema.timings.c
            batches = select(*list(of)[1:]).where(of.run_id == id).order_by(of.first_prompt, of.method)
            return RunData(
                schema.as_run(row),
                self._samples(connection, id),
                self._tallies(connection, id, scorers),
                self._prompt_tallies(connection, row.prompt_set_id, scorers),
                tuple(Timing(*row) for row in connection.execute(batches)),
                tuple(AdapterCost(*cost) for cost in row.record["costs"]),
            )

    # Texts and tallies

    def known(self, keys: Sequence[str]) -> set[str]:
        return {key for (key,) in self._by_key(select(samples.c.key), samples.c.key, keys)}

    def traces(self, keys: Sequence[str]) -> dict[str, Trace]:
        found = self._by_key(select(samples.c.key, samples.c.trace), samples.c.key, keys)
        tokens = {key: ids for run in self.shipped.values() for key, ids in run.token_ids.items()}
        ships = {key: Trace((), tokens[key], ()) for key in keys if key in tokens}
        return ships | {key: Trace(*map(tuple, trace)) for key, trace in found}

    def scored(self, keys: Sequence[str], scorer: str) -> set[str]:
        query = select(tallies.c.sample_key).where(tallies.c.scorer == scorer)
        return {key for (key,) in self._by_key(query, tallies.c.sample_key, keys)}

    def samples(self, run_id: str, prompts: range) -> tuple[Sample, ...]:
        if run_id in self.shipped:
            return tuple(sample for sample in self.shipped[run_id].data.samples if sample.prompt in prompts)
        with self._reader.connect() as connection:
            return self._samples(connection, run_id, prompts)

    def adopt(self, run_id: str, keys: Mapping[tuple[int, int, int], str]) -> None:
        """Make stored texts part of a run: (prompt, method, draw) -> key."""
        self._insert((run_samples, [(run_id, *cell, key) for cell, key in keys.items()]))

    def keep(self, run_id: str, written: Sequence[Written], timing: Timing | None = None) -> None:
        """Store new texts of a run with their tallies, and the timing of their batch."""
        sound = [text for text in written if text.sample.finish_reason != "diverged"]
        self._insert(
            *rows_of(run_id, [(text.sample, text.trace) for text in written]),
            (tallies, [(t.sample.key, t.scorer, *t.tally) for t in sound]),
            (schema.timings, [] if timing is None else [(run_id, *timing)]),
        )

    def keep_tallies(self, scorer: str, counted: Mapping[str, Tally]) -> None:
        self._insert((tallies, [(key, scorer, *tally) for key, tally in counted.items()]))

    def scored_prompts(self, prompts: PromptSet, kind: str, scorer: str) -> set[int]:
        """Indices of the prompts (or references, by `kind`) that the scorer has a tally for."""
        of = prompt_tallies.c
        query = select(of.place).where(
            of.prompt_set_id == schema.prompt_set_id(prompts), of.kind == kind, of.scorer == scorer
        )
        with self._reader.connect() as connection:
            return set(connection.scalars(query))

    def keep_prompt_tallies(self, prompts: PromptSet, kind: str, scorer: str, counted: Mapping[int, Tally]) -> None:
        """Store the tallies of prompts or references by index."""
        set_id = schema.prompt_set_id(prompts)
        self._insert((prompt_tallies, [(set_id, kind, scorer, index, *tally) for index, tally in counted.items()]))

    # Comparisons

    def add_comparison(self, record: Mapping[str, Any], owner: str) -> str:
        """Store a comparison; returns its new id."""
        id = schema.new_id()
        self._insert((comparisons, [(id, schema.naive(datetime.now(UTC)), owner, dict(record))]))
        return id

    def comparison(self, id: str) -> dict[str, Any] | None:
        return self._scalar(select(comparisons.c.record).where(comparisons.c.id == id))

    def comparisons(self, owner: str, most: int, operator: bool = False) -> list[tuple[str, datetime, dict[str, Any]]]:
        """Id, time (UTC) and record of the owner's newest comparisons, for the operator of everybody's."""
        query = select(comparisons.c.id, comparisons.c.created, comparisons.c.record).limit(most)
        query = query.where((comparisons.c.owner == owner) | operator).order_by(comparisons.c.created.desc())
        with self._reader.connect() as connection:
            return [(id, created, record) for id, created, record in connection.execute(query)]

    def owns_comparison(self, id: str, owner: str) -> bool:
        query = select(comparisons.c.id).where(comparisons.c.id == id, comparisons.c.owner == owner)
        return self._scalar(query) is not None

    def delete_comparison(self, id: str, owner: str, operator: bool = False) -> bool:
        """Delete a comparison; False if it is not the owner's, unless the operator asks."""
        with self._writer.begin() as connection:
            query = delete(comparisons).where(comparisons.c.id == id, (comparisons.c.owner == owner) | operator)
            return bool(connection.execute(query).rowcount)

    # Rows

    def _scalar(self, query: Select[Any]) -> Any | None:
        with self._reader.connect() as connection:
            return connection.scalar(query)

    def _insert(self, *parts: Rows) -> None:
        """Insert rows; those with a known primary key stay as they are.

        Raises UserError if their run was deleted.
        """
        insert = sqlite.insert if self._reader.dialect.name == "sqlite" else postgresql.insert
        try:
            with self._writer.begin() as connection:
                for table, rows in parts:
                    if rows:
                        named = [dict(zip(table.columns.keys(), row, strict=True)) for row in rows]
                        connection.execute(insert(table).on_conflict_do_nothing(), named)
        except IntegrityError as error:
            raise UserError("This run was deleted while it was running: start it again.") from error

    def _by_key(self, query: Select[Any], column: ColumnElement[str], keys: Sequence[str]) -> Iterator[Any]:
        """The rows with one of these keys; a few keys per query."""
        with self._reader.connect() as connection:
            for some in chunks(keys, KEYS_A_QUERY):
                yield from connection.execute(query.where(column.in_(some)))

    def _samples(self, connection: Connection, id: str, prompts: range | None = None) -> tuple[Sample, ...]:
        cell = (run_samples.c.prompt, run_samples.c.method, run_samples.c.draw)
        text = [column for column in samples.c if column.name != "trace"]
        query = select(*cell, *text).join(samples).where(run_samples.c.run_id == id).order_by(*cell)
        if prompts is not None:
            query = query.where(run_samples.c.prompt.between(prompts.start, prompts.stop - 1))
        return tuple(Sample(*row) for row in connection.execute(query))

    def _tallies(self, connection: Connection, id: str, scorers: Mapping[str, str]) -> dict[str, dict[str, Tally]]:
        members = select(run_samples.c.sample_key).where(run_samples.c.run_id == id)
        query = select(tallies).where(tallies.c.sample_key.in_(members), tallies.c.scorer.in_(scorers.values()))
        found: dict[str, dict[str, Tally]] = defaultdict(dict)
        for key, scorer, total, number in connection.execute(query):
            found[scorer][key] = Tally(total, number)
        return {label: found[scorer] for label, scorer in scorers.items()}

    def _prompt_tallies(self, connection: Connection, set_id: str, scorers: Mapping[str, str]) -> PromptTallies:
        of = prompt_tallies.c
        query = select(prompt_tallies).where(of.prompt_set_id == set_id, of.scorer.in_(scorers.values()))
        found: PromptTallies = defaultdict(dict)
        for _, kind, scorer, index, total, number in connection.execute(query):
            found[kind, scorer][index] = Tally(total, number)
        every = product(("prompt", "reference"), scorers.items())
        return {(kind, label): found[kind, scorer] for kind, (label, scorer) in every if (kind, scorer) in found}
