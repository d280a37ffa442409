"""Sends runs to the operator's dataset on the Hub: only for the browser that made a run, and each run once."""

from collections.abc import Callable
from threading import Lock
from typing import NamedTuple

from huggingface_hub import CommitOperationAdd, HfApi

from adapters.library.library import HUB_ERRORS, one_line
from adapters.methods import UserError
from leaderboard.output.export import FILES
from leaderboard.output.rendering import TEMPLATES
from leaderboard.records import RunData
from leaderboard.store.database import Database
from leaderboard.tables.results import Results

PUBLISHED = ("report.html", "table.csv", "table.parquet", "texts.parquet", "run.json")


class Sent(NamedTuple):
    address: str
    is_new: bool  # False: it was sent before


class Publisher:
    def __init__(self, database: Database, push: Callable[[RunData, Results], str]) -> None:
        """`push` uploads a run and returns its address."""
        self._database, self._push, self._lock = database, push, Lock()

    def send(self, data: RunData, results: Results, owner: str | None) -> Sent:
        """Send a run of this owner, unless it was sent before. Raises UserError."""
        if owner is None or data.run.owner != owner:
            raise UserError("Only the browser that made this run can send it.")
        with self._lock:
            known = self._database.published(data.run.id)
            if known is not None:
                return Sent(known, False)
            address = self._push(data, results)
            self._database.update_run(data.run.id, published=address)
            return Sent(address, True)


def push_to_hub(data: RunData, results: Results, repo_id: str, api: HfApi) -> str:
    """Upload a run in one commit to a dataset, created private if missing; returns its address. Raises UserError.

    `api` holds the operator's token.
    """
    folder = f"runs/{data.run.id}"
    made = {f"{folder}/{name}": FILES[name](data, results) for name in PUBLISHED}
    try:
        api.create_repo(repo_id, repo_type="dataset", private=True, exist_ok=True)
        if not api.file_exists(repo_id, "README.md", repo_type="dataset"):
            made["README.md"] = (TEMPLATES / "dataset.md").read_bytes()
        operations = [CommitOperationAdd(path, content) for path, content in made.items()]
        message = f"Add run {data.run.id} of {data.run.prompts.name}"
        api.create_commit(repo_id, operations, commit_message=message, repo_type="dataset")
    except HUB_ERRORS as error:
        raise UserError(f"The Hub refused the run in {repo_id!r}: {one_line(error)}") from error
    return f"{api.endpoint}/datasets/{repo_id}/tree/main/{folder}"
