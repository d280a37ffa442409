"""The tables in SQLAlchemy Core, and runs from their rows. A change needs a file in `migrations/versions`.

Text by models and visitors is stored as JSON: PostgreSQL's `text` cannot hold a NUL character, its `json` can.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Float, ForeignKey, Integer, MetaData, Row, String, Table

from adapters.methods import UserError, from_json, to_json
from adapters.store.weight_cache import sha256
from leaderboard.records import PromptSet, Run, RunLine, RunSpec

VERSION = 1  # of a run's record

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(column_0_label)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

prompt_sets = Table(
    "prompt_sets",
    metadata,
    Column("id", String(64), primary_key=True),  # sha256 of the record
    Column("record", JSON, nullable=False),  # PromptSet
)

runs = Table(
    "runs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", DateTime, nullable=False),  # UTC
    Column("owner", String(64), index=True),
    Column("prompt_set_id", String(64), ForeignKey("prompt_sets.id"), nullable=False, index=True),
    Column("status", String(16), nullable=False),
    Column("record", JSON, nullable=False),  # version, spec, base, hashes, versions, costs, scorers
    Column("results", JSON(none_as_null=True)),  # the table of a finished run, so that it opens at once
    Column("published", String(300)),  # address on the Hub
)

samples = Table(
    "samples",
    metadata,
    Column("key", String(64), primary_key=True),
    Column("seed", BigInteger, nullable=False),
    Column("text", JSON, nullable=False),
    Column("num_tokens", Integer, nullable=False),
    Column("finish_reason", String(16), nullable=False),
    Column("trace", JSON, nullable=False),  # Trace
)

run_samples = Table(
    "run_samples",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("prompt", Integer, primary_key=True),
    Column("method", Integer, primary_key=True),
    Column("draw", Integer, primary_key=True),
    Column("sample_key", String(64), ForeignKey("samples.key"), nullable=False, index=True),
)

tallies = Table(
    "tallies",
    metadata,
    Column("sample_key", String(64), ForeignKey("samples.key", ondelete="CASCADE"), primary_key=True),
    Column("scorer", String(64), primary_key=True),  # sha256 of the scorer
    Column("total", Float(53), nullable=False),
    Column("number", Integer, nullable=False),
)

prompt_tallies = Table(
    "prompt_tallies",
    metadata,
    Column("prompt_set_id", String(64), ForeignKey("prompt_sets.id", ondelete="CASCADE"), primary_key=True),
    Column("kind", String(16), primary_key=True),  # "prompt" or "reference"
    Column("scorer", String(64), primary_key=True),
    Column("place", Integer, primary_key=True),
    Column("total", Float(53), nullable=False),
    Column("number", Integer, nullable=False),
)

timings = Table(
    "timings",
    metadata,
    Column("run_id", String(32), ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    Column("method", Integer, primary_key=True),
    Column("first_prompt", Integer, primary_key=True),
    Column("num_tokens", Integer, nullable=False),
    Column("seconds", Float(53), nullable=False),
    Column("peak_bytes", BigInteger, nullable=False),
)

comparisons = Table(
    "comparisons",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("created", DateTime, nullable=False),  # UTC
    Column("owner", String(64), nullable=False),
    Column("record", JSON, nullable=False),
)


def new_id() -> str:
    """128 random bits, in hex."""
    return secrets.token_hex(16)


def prompt_set_id(prompts: PromptSet) -> str:
    """sha256 of a prompt set's content and name."""
    return sha256(str(to_json(prompts)))


def naive(moment: datetime) -> datetime:
    """The moment in UTC without its zone: not every database keeps zones."""
    return moment.astimezone(UTC).replace(tzinfo=None)


def as_run(row: Row[Any]) -> Run:
    """A run from its row. Raises UserError if a newer release stored it."""
    record = row.record
    if record["version"] > VERSION:
        raise UserError("This run was made by a newer release of Steerboard: update to open it.")
    spec, prompts = from_json(RunSpec, record["spec"]), from_json(PromptSet, row.prompts)
    same = (record["base"], record["hashes"], record["versions"], row.status, row.owner)
    return Run(row.id, row.created.replace(tzinfo=UTC), spec, prompts, *same)


def as_line(row: Row[Any]) -> RunLine:
    name, num_prompts = row.prompts["name"], len(row.prompts["prompts"])
    methods = tuple(method["name"] for method in row.record["spec"]["methods"])
    return RunLine(row.id, row.created.replace(tzinfo=UTC), name, num_prompts, methods, row.status, row.owner)
