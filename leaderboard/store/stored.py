"""Rows of the database from records, and records from rows."""

import secrets
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Row

from adapters.methods import UserError, from_json, to_json
from adapters.store.fingerprint import sha256
from leaderboard.records import PromptSet, Run, RunSpec, Sample, Tally, Trace

VERSION = 1  # of a run's record
ID_BYTES = 16


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
    """A new text, with its log-probability under the method without steering."""

    sample: Sample
    trace: Trace
    scorer: str  # hash of the method without steering
    tally: Tally


def new_id() -> str:
    """128 random bits, in hex."""
    return secrets.token_hex(ID_BYTES)


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
    """A run in a list from its row."""
    name, num_prompts = row.prompts["name"], len(row.prompts["prompts"])
    methods = tuple(method["name"] for method in row.record["spec"]["methods"])
    return RunLine(row.id, row.created.replace(tzinfo=UTC), name, num_prompts, methods, row.status, row.owner)
