"""Writes the batches of a run on several processes or machines with Ray Data, one model in each.

The batches are those of the local engine, so the texts are the same. They are stored here; `Runner.run` then finds
every text written, and scores them.
"""

import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import ray
from ray.data import ActorPoolStrategy, DataContext

from adapters.decoding.engine import Engine
from adapters.methods import UserError
from adapters.store.fingerprint import Fingerprints
from leaderboard.records import Run
from leaderboard.runs.plan import Clock, Plan, Progress
from leaderboard.runs.runner import Runner
from leaderboard.runs.scoring import scorer_hash
from leaderboard.runs.writing import Piece, pieces

NOT_CODE = [".*", "benchmarks", "docs", "tests", "*.db"]  # not needed on other machines
PATIENCE = 5  # seconds to wait for an answer of the cluster


def distribute(
    runner: Runner, run: Run, load: Callable[[], Engine], actors: int, address: str | None = None
) -> Iterator[Progress]:
    """Write the texts that a run lacks; yields after each batch. Closing it keeps what is stored.

    `load` builds the engine in an actor; on another machine its files must be there too. `address` is of an existing
    cluster; None: processes of this machine. Raises UserError if an actor has another model or other adapters.
    """
    plan = Plan(run.spec, run.prompts, runner.hashes, runner.rows)
    known = runner.database.known(plan.keys)
    missing = {(batch.prompts.start, batch.number): batch for batch in plan.missing(known)}
    clock = Clock(plan, known, None)
    yield clock.progress("generating")
    if not missing:
        return
    with connected(actors, address):
        tasks = [{"first_prompt": first, "number": number} for first, number in missing]
        done = ray.data.from_items(tasks, override_num_blocks=len(tasks)).map_batches(
            Writer,
            fn_constructor_args=(load, run, runner.rows),
            compute=ActorPoolStrategy(size=min(actors, len(tasks))),
            batch_size=1,
            num_cpus=1,
        )
        for row in done.iter_rows():
            batch = missing[row["first_prompt"], row["number"]]
            piece: Piece = row["piece"]
            if {text.sample.key for text in piece.written} != set(batch.keys.values()):
                raise UserError("An actor has another model or other adapters: copy this machine's there.")
            runner.database.keep(run.id, piece.written, piece.timing)
            clock.finish(batch)
            yield clock.progress("generating")


class Writer:
    """An actor: one model that writes whole batches."""

    def __init__(self, load: Callable[[], Engine], run: Run, rows: int) -> None:
        self.engine, self.run = load(), run
        self.hashes = Fingerprints(self.engine.base, self.engine.store)
        plan = Plan(run.spec, run.prompts, self.hashes, rows)
        self.batches = {(batch.prompts.start, batch.number): batch for part in plan.parts for batch in part}

    def __call__(self, task: dict[str, Any]) -> dict[str, Any]:
        """Write the batch of a task: one piece with all its texts."""
        batch = self.batches[int(task["first_prompt"][0]), int(task["number"][0])]
        scorer = scorer_hash(self.hashes, batch.method, self.run.spec.chat)
        every = list(pieces(self.engine, batch, self.run.spec.sampling, scorer))
        texts = tuple(text for piece in every for text in piece.written)
        column = np.empty(1, dtype=object)
        column[0] = every[-1]._replace(written=texts)
        return task | {"piece": column}


@contextmanager
def connected(actors: int, address: str | None) -> Iterator[None]:
    """Ray, started here or joined at the address. Raises UserError if nobody answers."""
    # one CPU more than actors: Ray Data needs one itself
    settings: dict[str, Any] = {"include_dashboard": False, "num_cpus": actors + 1}
    if address is not None:
        check_address(address)
        code = {"working_dir": str(Path(__file__).parents[2]), "excludes": NOT_CODE}
        settings = {"address": address, "runtime_env": code}
    ray.init(configure_logging=True, logging_level=logging.WARNING, log_to_driver=False, **settings)
    try:
        DataContext.get_current().enable_progress_bars = False
        yield
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Raises UserError if nobody answers: Ray itself would try for minutes."""
    parts = urlsplit(address if "://" in address else f"ray://{address}")
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE).close()
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot join the cluster at {address!r} ({error}): give the host:port of its head.") from error
