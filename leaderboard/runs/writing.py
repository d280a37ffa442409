"""Writes one batch and stores each text as soon as it is finished.

A batch that lacks a text is written again as a whole: with other rows the last bits would round differently, and a
killed run must end like one that was not.
"""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import NamedTuple

from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.methods import Sampling
from leaderboard.records import Sample, Tally, Timing, Trace, Written
from leaderboard.runs.plan import Batch, Position
from leaderboard.store.database import Database


class Piece(NamedTuple):
    num_tokens: int  # of all its texts so far
    written: tuple[Written, ...]  # texts finished in this step
    timing: Timing | None  # of the whole batch, with its last step


def write(
    engine: Engine, database: Database, run_id: str, batch: Batch, sampling: Sampling, scorer: str
) -> Iterator[Piece]:
    """Make the texts of a batch part of the run: stored ones at once, new ones as they are written."""
    known = database.known(list(batch.keys.values()))
    database.adopt(run_id, {position: key for position, key in batch.keys.items() if key in known})
    if known >= set(batch.keys.values()):
        return
    with closing(pieces(engine, batch, sampling, scorer)) as steps:
        for piece in steps:
            new = tuple(text for text in piece.written if text.sample.key not in known)
            if new or piece.timing is not None:
                database.keep(run_id, new, piece.timing)
            yield piece._replace(written=new)


def pieces(engine: Engine, batch: Batch, sampling: Sampling, scorer: str) -> Generator[Piece, None, None]:
    """Write a batch; `scorer` is the hash of its method without steering, which scores each text as it is written."""
    engine.forget_peak()
    waiting, peak, started = set(batch.requests), 0, time.perf_counter()
    with closing(engine.generate(list(batch.requests.values()), sampling, alone=True)) as states:
        for state in states:
            rows = dict(zip(batch.requests, state, strict=True))
            peak = max(peak, engine.memory())
            done = sorted(position for position in waiting if rows[position].finish_reason)
            waiting -= set(done)
            tokens = sum(len(row.token_ids) for row in rows.values())
            seconds = time.perf_counter() - started
            timing = None if waiting else Timing(batch.number, batch.prompts.start, tokens, seconds, peak)
            new = tuple(as_written(position, batch.keys[position], rows[position], scorer) for position in done)
            yield Piece(tokens, new, timing)


def as_written(position: Position, key: str, row: Continuation, scorer: str) -> Written:
    prompt, method, draw = position
    reason = row.finish_reason or ""
    sample = Sample(prompt, method, draw, key, row.request.seed, row.text, len(row.token_ids), reason)
    trace = Trace(row.prompt_ids, row.token_ids, row.logprobs)
    return Written(sample, trace, scorer, Tally(math.fsum(row.logprobs), len(row.logprobs)))
