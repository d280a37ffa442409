"""A run of the leaderboard as a generator of views: what has been written so far, and how long it still takes.

Knows runs and their progress; knows nothing of Gradio. Closing the generator stops the run and keeps what is done.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from adapters.methods import UserError
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.form import RunForm, read_run
from demo.parts import words as text
from demo.parts.running import closed_at_end
from demo.services import Services
from leaderboard.records import Run, Sample
from leaderboard.runs.runner import Progress

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
    """What the tab shows of a run that goes on."""

    run_id: str | None = None
    message: str = ""
    is_error: bool = False
    running: bool = False
    done: int = 0
    total: int = 0
    num_texts: int = 0
    rows: tuple[Row, ...] = ()  # the newest first


def begin(services: Services, form: RunForm, owner: str) -> Iterator[RunView]:
    """Stores a new run and follows it; one view with an error where it cannot begin."""
    try:
        spec, prompts = read_run(form, services)
        run = services.runner.add(spec, prompts, owner)
    except UserError as error:
        yield RunView(message=str(error), is_error=True)
        return
    yield from follow(services, run)


def follow(services: Services, run: Run) -> Iterator[RunView]:
    """Writes and scores what is missing of a run; the last view is not running."""
    view = RunView(run.id, text.STARTING, running=True)
    yield view
    shown = time.monotonic()
    try:
        with closed_at_end(services.runner.run(run.id)) as steps:
            for progress in steps:
                view = advance(view, run, progress)
                if time.monotonic() - shown >= PACE:
                    yield view
                    shown = time.monotonic()
        yield replace(
            view, message=words_leaderboard.RUN_DONE.format(texts=text.count(view.num_texts, "text")), running=False
        )
    except UserError as error:
        yield replace(view, message=str(error), is_error=True, running=False)
    except Exception:
        yield replace(view, message=text.SERVER_ERROR, is_error=True, running=False)
        raise


def advance(view: RunView, run: Run, progress: Progress) -> RunView:
    """The view after one more item of progress."""
    new = [as_row(run, sample) for sample in progress.samples]
    return replace(
        view,
        message=words_leaderboard.progress(progress, view.num_texts + len(new)),
        done=progress.done,
        total=progress.total,
        num_texts=view.num_texts + len(new),
        rows=(*reversed(new), *view.rows)[:NEWEST],
    )


def as_row(run: Run, sample: Sample) -> Row:
    """A finished text with the names of what wrote it."""
    prompt, method = run.prompts.prompts[sample.prompt], run.spec.methods[sample.method]
    return Row(prompt.prompt, method.name, sample.draw + 1, sample.text, sample.num_tokens)
