"""A run of the leaderboard as a generator of views. Closing the generator stops the run and keeps finished texts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.form import RunForm, read_run
from demo.parts import words as common
from demo.parts.running import closed_at_end
from demo.services import Services
from leaderboard.records import Run, Sample
from leaderboard.runs.plan import Progress

PACE = 0.4  # seconds between two views
NEWEST = 50  # texts that are shown while they arrive


class Row(NamedTuple):
    """A finished text."""

    prompt: str
    method: str
    draw: int  # from 1
    text: str
    num_tokens: int


@dataclass(frozen=True)
class RunView:
    """What the tab shows of a run."""

    run_id: str | None = None
    message: str = ""
    is_error: bool = False
    running: bool = False
    done: int = 0
    total: int = 0
    num_texts: int = 0
    rows: tuple[Row, ...] = ()  # the newest first


def begin(services: Services, form: RunForm, owner: str) -> Iterator[RunView]:
    """Store a new run and follow it; yields one view with an error where it cannot begin."""
    try:
        run = services.runner.add(read_run(form, services), form.prompts, owner)
    except UserError as error:
        yield RunView(message=str(error), is_error=True)
        return
    yield from follow(services, run)


def follow(services: Services, run: Run) -> Iterator[RunView]:
    """Write and score the missing texts of a run; the last view is not running."""
    view = RunView(run.id, common.STARTING, running=True)
    yield view
    shown = time.monotonic()
    try:
        with closed_at_end(services.runner.run(run.id)) as steps:
            for progress in steps:
                view = advance(view, run, progress)
                if time.monotonic() - shown >= PACE:
                    yield view
                    shown = time.monotonic()
        total = len(run.prompts.prompts) * len(run.spec.methods) * run.spec.samples
        yield replace(view, message=words.run_done(total, view.num_texts), running=False)
    except UserError as error:
        yield replace(view, message=str(error), is_error=True, running=False)
    except Exception:
        yield replace(view, message=common.SERVER_ERROR, is_error=True, running=False)
        raise


def advance(view: RunView, run: Run, progress: Progress) -> RunView:
    """The view after one more item of progress."""
    new = [as_row(run, sample) for sample in progress.samples]
    num_texts = view.num_texts + len(new)
    return replace(
        view,
        message=words.progress(progress, num_texts),
        done=progress.done,
        total=progress.total,
        num_texts=num_texts,
        rows=(*reversed(new), *view.rows)[:NEWEST],
    )


def as_row(run: Run, sample: Sample) -> Row:
    """A finished text with its prompt and method."""
    prompt, method = run.prompts.prompts[sample.prompt], run.spec.methods[sample.method]
    return Row(prompt.prompt, method.name, sample.draw + 1, sample.text, sample.num_tokens)
