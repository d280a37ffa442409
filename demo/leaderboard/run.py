"""A run of the leaderboard as a generator of views. Closing the generator stops the run and keeps finished texts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from adapters.methods import UserError
from demo.leaderboard import words
from demo.parts import words as common
from demo.parts.running import closed_at_end, told
from demo.services import Services
from leaderboard.records import Run
from leaderboard.runs.plan import Progress

PACE = 0.4  # seconds between two views
NEWEST = 50  # texts that are shown while they arrive


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
    rows: tuple[tuple[str, ...], ...] = ()  # prompt, method, draw from 1, text and its tokens; the newest first


def follow(services: Services, run: Run) -> Iterator[RunView]:
    """Write and score the missing texts of a run; the last view is not running."""

    def refuse(view: RunView, error: UserError) -> RunView:
        return replace(view, message=str(error), is_error=True, running=False)

    return told(views(services, run), RunView(run.id), refuse)


def views(services: Services, run: Run) -> Iterator[RunView]:
    view = RunView(run.id, common.STARTING, running=True)
    yield view
    shown = time.monotonic()
    with closed_at_end(services.runner.run(run.id)) as steps:
        for progress in steps:
            view = advance(view, run, progress)
            if time.monotonic() - shown >= PACE:
                yield view
                shown = time.monotonic()
    total = len(run.prompts.prompts) * len(run.spec.methods) * run.spec.samples
    yield replace(view, message=words.run_done(total, view.num_texts), running=False)


def advance(view: RunView, run: Run, progress: Progress) -> RunView:
    """The view after one more item of progress."""
    prompts, methods = run.prompts.prompts, run.spec.methods
    new = [
        (prompts[of.prompt].prompt, methods[of.method].name, str(of.draw + 1), of.text, str(of.num_tokens))
        for of in progress.samples
    ]
    num_texts = view.num_texts + len(new)
    return replace(
        view,
        message=words.progress(progress, num_texts),
        done=progress.done,
        total=progress.total,
        num_texts=num_texts,
        rows=(*reversed(new), *view.rows)[:NEWEST],
    )
