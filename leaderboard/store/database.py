"""Runs, texts, what was counted in them, and shared comparisons, in SQL.

Knows tables and transactions; knows nothing of models or metrics. SQLite in one file, or PostgreSQL by its URL. Every
write is one transaction and can be repeated: what is already there stays as it is.
"""

import secrets
import sqlite3
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    RowMapping,
    Table,
    create_engine,
    delete,
    event,
    make_url,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError

from adapters.methods import UserError, from_json, to_json
from adapters.store.fingerprint import sha256
from leaderboard.records import AdapterCost, PromptSet, Run, RunData, RunSpec, Sample, Tally, Timing, Trace
from leaderboard.store.migrations import migrate
from leaderboard.store.schema import (
    comparisons,
    prompt_sets,
    prompt_tallies,
    run_samples,
    runs,
    samples,
    tallies,
    timings,
)

VERSION = 1  # of a run's record
ID_BYTES = 16
KEYS_A_QUERY = 500  # below every database's limit of parameters
BACKENDS = ("sqlite", "postgresql")
PATIENCE = 30  # seconds that SQLite waits for others


class RunLine(NamedTuple):
    """A run in a list."""

    id: str
    created: datetime  # UTC
    name: str  # of the prompt set
    num_prompts: int
    methods: tuple[str, ...]
    status: str
    owner: str | None


class Written(NamedTuple):
    """A text that has just been written: what is kept of it."""

    sample: Sample
    trace: Trace
    scorer: str  # hash of the method without its steering, under which the text was written
    tally: Tally


class Database:
    """One database; safe to use from several threads and processes."""

    def __init__(self, url: str) -> None:
        """Opens or makes the database and brings it to the newest schema. Raises UserError."""
        try:
            self._reader = open_engine(make_url(url))
            self._writer = self._reader.execution_options(writes=True)
            with self._writer.begin() as connection:
                migrate(connection)
        except (ArgumentError, NoSuchModuleError, DBAPIError) as error:
            reason = str(error).strip().split("\n")[0]
            raise UserError(f"Cannot open the database: {reason} Mend its URL, or unset it to use a file.") from error

    # Runs

    def add_run(self, run: Run, costs: Sequence[AdapterCost], scorers: Mapping[str, str]) -> None:
        """Stores a run that is about to begin; `scorers`: the hash of everything that judges its texts, by label."""
        prompts = to_json(run.prompts)
        set_id = prompt_set_id(run.prompts)
        record = {
            "version": VERSION,
            "spec": to_json(run.spec),
            "base": run.base,
            "hashes": dict(run.hashes),
            "versions": dict(run.versions),
            "costs": [[*cost] for cost in costs],
            "scorers": dict(scorers),
        }
        values = {"id": run.id, "created": naive(run.created), "owner": run.owner, "prompt_set_id": set_id}
        with self._writer.begin() as connection:
            self._insert(connection, prompt_sets, [{"id": set_id, "record": prompts}])
            self._insert(connection, runs, [values | {"status": run.status, "record": record, "results": None}])

    def run(self, id: str) -> Run | None:
        """The run with this id. Raises UserError where a newer release has stored it."""
        with self._reader.connect() as connection:
            row = self._run_row(connection, id)
        return None if row is None else as_run(row)

    def runs(self, owner: str | None) -> list[RunLine]:
        """The runs of one owner and those made on the command line, the newest first."""
        query = (
            select(runs, prompt_sets.c.record.label("prompts"))
            .join(prompt_sets)
            .where(runs.c.owner.is_(None) | (runs.c.owner == owner))
            .order_by(runs.c.created.desc())
        )
        with self._reader.connect() as connection:
            return [as_line(row) for row in connection.execute(query).mappings()]

    def set_status(self, id: str, status: str) -> None:
        """Notes where a run stands; its results so far are computed anew when they are asked for."""
        with self._writer.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == id).values(status=status, results=None))

    def results(self, id: str) -> Any | None:
        """The table that was kept with a run, as JSON data."""
        with self._reader.connect() as connection:
            return connection.scalar(select(runs.c.results).where(runs.c.id == id))

    def set_results(self, id: str, results: Any) -> None:
        """Keeps the table of a finished run."""
        with self._writer.begin() as connection:
            connection.execute(update(runs).where(runs.c.id == id).values(results=results))

    def delete_run(self, id: str, owner: str | None) -> bool:
        """Deletes a run, and the texts and prompts that no other run has; False where it is not the owner's."""
        with self._writer.begin() as connection:
            keys = connection.scalars(select(run_samples.c.sample_key).where(run_samples.c.run_id == id)).all()
            if not connection.execute(
                delete(runs).where(runs.c.id == id, runs.c.owner.is_not_distinct_from(owner))
            ).rowcount:
                return False
            used = select(run_samples.c.sample_key)
            for some in chunks(sorted(set(keys))):
                connection.execute(delete(samples).where(samples.c.key.in_(some), samples.c.key.not_in(used)))
            connection.execute(delete(prompt_sets).where(prompt_sets.c.id.not_in(select(runs.c.prompt_set_id))))
        return True

    # What a run consists of

    def known(self, keys: Sequence[str]) -> set[str]:
        """Those of the keys whose texts are stored."""
        with self._reader.connect() as connection:
            return {
                key
                for some in chunks(keys)
                for key in connection.scalars(select(samples.c.key).where(samples.c.key.in_(some)))
            }

    def adopt(self, run_id: str, places: Mapping[tuple[int, int, int], str]) -> None:
        """Makes stored texts part of a run: (prompt, method, draw) -> key."""
        with self._writer.begin() as connection:
            self._insert_members(connection, [member(run_id, place, key) for place, key in places.items()])

    def samples(self, run_id: str, places: range) -> tuple[Sample, ...]:
        """The texts of a run for the prompts at some places."""
        with self._reader.connect() as connection:
            return self._samples(connection, run_id, places)

    def keep(self, run_id: str, written: Sequence[Written], timing: Timing | None = None) -> None:
        """Stores new texts of a run, with the log-probabilities that writing them gave, and what the batch took."""
        with self._writer.begin() as connection:
            self._insert(connection, samples, [sample_row(text) for text in written])
            places = [member(run_id, (t.sample.prompt, t.sample.method, t.sample.draw), t.sample.key) for t in written]
            self._insert_members(connection, places)
            sound = [text for text in written if text.sample.finish_reason != "diverged"]
            self._insert(connection, tallies, [tally_row(t.sample.key, t.scorer, t.tally) for t in sound])
            if timing is not None:
                self._insert(connection, timings, [{"run_id": run_id} | timing._asdict()])

    def traces(self, keys: Sequence[str]) -> dict[str, Trace]:
        """The tokens of some texts by key."""
        with self._reader.connect() as connection:
            return {
                key: Trace(*map(tuple, trace))
                for some in chunks(keys)
                for key, trace in connection.execute(
                    select(samples.c.key, samples.c.trace).where(samples.c.key.in_(some))
                )
            }

    def scored(self, keys: Sequence[str], scorer: str) -> set[str]:
        """Those of the keys that the scorer has counted."""
        query = select(tallies.c.sample_key).where(tallies.c.scorer == scorer)
        with self._reader.connect() as connection:
            return {
                key for some in chunks(keys) for key in connection.scalars(query.where(tallies.c.sample_key.in_(some)))
            }

    def keep_tallies(self, scorer: str, counted: Mapping[str, Tally]) -> None:
        """Stores what a scorer counted, by key."""
        with self._writer.begin() as connection:
            self._insert(connection, tallies, [tally_row(key, scorer, tally) for key, tally in counted.items()])

    def scored_prompts(self, prompts: PromptSet, kind: str, scorer: str) -> set[int]:
        """Places of the prompts, or of the references, that the scorer has counted."""
        query = select(prompt_tallies.c.place).where(*prompt_key(prompts, kind, scorer))
        with self._reader.connect() as connection:
            return set(connection.scalars(query))

    def keep_prompt_tallies(self, prompts: PromptSet, kind: str, scorer: str, counted: Mapping[int, Tally]) -> None:
        """Stores what a scorer counted in prompts or references, by place."""
        key = {"prompt_set_id": prompt_set_id(prompts), "kind": kind, "scorer": scorer}
        rows = [key | {"place": place} | tally._asdict() for place, tally in counted.items()]
        with self._writer.begin() as connection:
            self._insert(connection, prompt_tallies, rows)

    def data(self, id: str) -> RunData | None:
        """Everything that the metrics of a run are computed from, as far as it exists."""
        with self._reader.connect() as connection:
            row = self._run_row(connection, id)
            if row is None:
                return None
            run, record = as_run(row), row["record"]
            labels = {scorer: label for label, scorer in record["scorers"].items()}
            return RunData(
                run,
                self._samples(connection, id),
                self._tallies(connection, id, labels),
                self._prompt_tallies(connection, row["prompt_set_id"], labels),
                self._timings(connection, id),
                tuple(AdapterCost(*cost) for cost in record["costs"]),
            )

    # Comparisons

    def add_comparison(self, record: Mapping[str, Any], owner: str) -> str:
        """Stores a comparison; returns its new id."""
        id = new_id()
        row = {"id": id, "created": naive(datetime.now(UTC)), "owner": owner, "record": dict(record)}
        with self._writer.begin() as connection:
            self._insert(connection, comparisons, [row])
        return id

    def comparison(self, id: str) -> dict[str, Any] | None:
        """The record of a comparison."""
        with self._reader.connect() as connection:
            return connection.scalar(select(comparisons.c.record).where(comparisons.c.id == id))

    def owns_comparison(self, id: str, owner: str) -> bool:
        """Whether the comparison is this owner's to delete."""
        query = select(comparisons.c.id).where(comparisons.c.id == id, comparisons.c.owner == owner)
        with self._reader.connect() as connection:
            return connection.scalar(query) is not None

    def delete_comparison(self, id: str, owner: str) -> bool:
        """Deletes a comparison; False where it is not the owner's."""
        with self._writer.begin() as connection:
            query = delete(comparisons).where(comparisons.c.id == id, comparisons.c.owner == owner)
            return bool(connection.execute(query).rowcount)

    # Rows

    def _insert(self, connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Inserts rows; those whose primary key is there already stay as they are."""
        if rows:
            insert = sqlite.insert if self._reader.dialect.name == "sqlite" else postgresql.insert
            connection.execute(insert(table).on_conflict_do_nothing(), rows)

    def _insert_members(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Makes stored texts part of a run. Raises UserError where the run is gone."""
        try:
            self._insert(connection, run_samples, rows)
        except IntegrityError as error:
            raise UserError("This run was deleted while it was going on: start it again.") from error

    def _run_row(self, connection: Connection, id: str) -> RowMapping | None:
        query = select(runs, prompt_sets.c.record.label("prompts")).join(prompt_sets).where(runs.c.id == id)
        return connection.execute(query).mappings().first()

    def _samples(self, connection: Connection, id: str, places: range | None = None) -> tuple[Sample, ...]:
        place = (run_samples.c.prompt, run_samples.c.method, run_samples.c.draw)
        query = (
            select(*place, samples.c.key, samples.c.seed, samples.c.text, samples.c.num_tokens, samples.c.finish_reason)
            .join(samples)
            .where(run_samples.c.run_id == id)
            .order_by(*place)
        )
        if places is not None:
            query = query.where(run_samples.c.prompt.between(places.start, places.stop - 1))
        return tuple(Sample(*row) for row in connection.execute(query))

    def _tallies(self, connection: Connection, id: str, labels: Mapping[str, str]) -> dict[str, dict[str, Tally]]:
        members = select(run_samples.c.sample_key).where(run_samples.c.run_id == id)
        query = select(tallies).where(tallies.c.sample_key.in_(members), tallies.c.scorer.in_(labels))
        found: dict[str, dict[str, Tally]] = {label: {} for label in labels.values()}
        for key, scorer, total, number in connection.execute(query):
            found[labels[scorer]][key] = Tally(total, number)
        return found

    def _prompt_tallies(
        self, connection: Connection, set_id: str, labels: Mapping[str, str]
    ) -> dict[tuple[str, str], dict[int, Tally]]:
        columns = prompt_tallies.c
        query = select(columns.kind, columns.scorer, columns.place, columns.total, columns.number)
        found: dict[tuple[str, str], dict[int, Tally]] = defaultdict(dict)
        for kind, scorer, place, total, number in connection.execute(query.where(columns.prompt_set_id == set_id)):
            if scorer in labels:
                found[kind, labels[scorer]][place] = Tally(total, number)
        return dict(found)

    def _timings(self, connection: Connection, id: str) -> tuple[Timing, ...]:
        columns = [timings.c[name] for name in Timing._fields]
        query = select(*columns).where(timings.c.run_id == id).order_by(timings.c.first_prompt, timings.c.method)
        return tuple(Timing(*row) for row in connection.execute(query))


def open_engine(url: URL) -> Engine:
    """The SQLAlchemy engine of a URL. Raises UserError for another kind of database."""
    if url.get_backend_name() not in BACKENDS:
        raise UserError(f"A database of the kind {url.get_backend_name()!r} cannot be used: sqlite or postgresql can.")
    if url.drivername == "postgresql":
        url = url.set(drivername="postgresql+psycopg")
    engine = create_engine(url, pool_pre_ping=True)
    if url.get_backend_name() == "sqlite":
        event.listen(engine, "connect", configure_sqlite)
        event.listen(engine, "begin", begin_sqlite)
    return engine


def configure_sqlite(connection: Any, _: Any) -> None:
    """Makes SQLite keep its promises: foreign keys, and nothing lost that was committed."""
    connection.isolation_level = None  # Python's driver would begin some transactions late and others not at all
    for pragma in (f"busy_timeout = {1000 * PATIENCE}", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    begin_wal(connection)


def begin_wal(connection: Any) -> None:
    """Puts a database into WAL mode. SQLite does not wait when several do that to a new file at once, so this does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def begin_sqlite(connection: Connection) -> None:
    """Begins a transaction; one that will write waits for its turn here, since later it would have to fail."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def new_id() -> str:
    """128 random bits, in hex."""
    return secrets.token_hex(ID_BYTES)


def prompt_set_id(prompts: PromptSet) -> str:
    """sha256 of a prompt set's content and name."""
    return sha256(str(to_json(prompts)))


def chunks(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """The keys in portions that fit a query."""
    return (keys[start : start + KEYS_A_QUERY] for start in range(0, len(keys), KEYS_A_QUERY))


def naive(moment: datetime) -> datetime:
    """The same moment in UTC without its zone, which not every database keeps."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def as_run(row: RowMapping) -> Run:
    """A run from its row. Raises UserError where a newer release has stored it."""
    record = row["record"]
    if record["version"] > VERSION:
        raise UserError("This run was made by a newer release of Steerboard: update to open it.")
    return Run(
        row["id"],
        row["created"].replace(tzinfo=UTC),
        from_json(RunSpec, record["spec"]),
        from_json(PromptSet, row["prompts"]),
        record["base"],
        record["hashes"],
        record["versions"],
        row["status"],
        row["owner"],
    )


def as_line(row: RowMapping) -> RunLine:
    """A line of the list of runs."""
    prompts, spec = row["prompts"], row["record"]["spec"]
    methods = tuple(method["name"] for method in spec["methods"])
    created = row["created"].replace(tzinfo=UTC)
    return RunLine(row["id"], created, prompts["name"], len(prompts["prompts"]), methods, row["status"], row["owner"])


def member(run_id: str, place: tuple[int, int, int], key: str) -> dict[str, Any]:
    """The row that makes a text part of a run."""
    prompt, method, draw = place
    return {"run_id": run_id, "prompt": prompt, "method": method, "draw": draw, "sample_key": key}


def sample_row(text: Written) -> dict[str, Any]:
    """The row of a text."""
    sample = text.sample
    return {
        "key": sample.key,
        "seed": sample.seed,
        "text": sample.text,
        "num_tokens": sample.num_tokens,
        "finish_reason": sample.finish_reason,
        "trace": [[*part] for part in text.trace],
    }


def tally_row(key: str, scorer: str, tally: Tally) -> dict[str, Any]:
    """The row of a tally."""
    return {"sample_key": key, "scorer": scorer, "total": tally.total, "number": tally.number}


def prompt_key(prompts: PromptSet, kind: str, scorer: str) -> tuple[Any, ...]:
    """The condition for the prompt tallies of one set, kind and scorer."""
    columns = prompt_tallies.c
    return columns.prompt_set_id == prompt_set_id(prompts), columns.kind == kind, columns.scorer == scorer
