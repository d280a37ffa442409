"""What the Train tab shows of the trainings: the queue, and the one that is followed.

Knows jobs and owners; knows nothing of Gradio or of how anything is trained. Of a stranger's training only the name,
the method and the place in the queue can be seen.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.queue import JobView
from demo.parts.links import is_own
from demo.parts.numbers import PROMPT, Span
from demo.services import Services
from demo.train import words as words_train

LIVE = ("waiting", "running")
QUEUE_LENGTH = 30  # trainings in the list
SAMPLES = 12  # newest sample texts that are shown


class Queue(NamedTuple):
    """The rows of the list, and whether any training goes on or waits."""

    rows: tuple[tuple[str, ...], ...]
    live: bool


def kind_of(job: JobView) -> str:
    """Which method a training trains: lora or prefix."""
    return "lora" if isinstance(job.order.settings.adapter, LoraSettings) else "prefix"


def queue(jobs: Sequence[JobView], secret: Any) -> Queue:
    """The list of trainings as this browser may see it: every live one, and those of its own that have ended."""
    seen = [job for job in jobs if job.state in LIVE or is_own(job.owner, secret)][:QUEUE_LENGTH]
    rows = []
    for job in seen:
        mine = is_own(job.owner, secret)
        whose = words_train.MINE if mine else words_train.SOMEBODY
        method = words_train.method_name(kind_of(job))
        rows.append((job.order.name, method, words_train.state_line(job, mine), whose, job.id))
    return Queue(tuple(rows), any(job.state in LIVE for job in jobs))


def find_own(services: Services, id: Any, secret: Any) -> JobView:
    """The training with this id; raises UserError where it is not this browser's own."""
    job = next((job for job in services.trainer.jobs() if job.id == id), None)
    if job is None or not is_own(job.owner, secret):
        raise UserError(words_train.NOT_YOURS)
    return job


def newest_own(jobs: Sequence[JobView], secret: Any) -> str | None:
    """The id of this browser's training that is to be shown first: the one that runs, or else its newest."""
    own = [job for job in jobs if is_own(job.owner, secret)]
    running = [job for job in own if job.state == "running"] or [job for job in own if job.state in LIVE]
    return next((job.id for job in [*running, *own]), None)


def signature(job: JobView | None) -> tuple[Any, ...]:
    """Changes whenever there is something new to show of a training."""
    if job is None:
        return ()
    return job.id, job.state, job.place, job.message, job.steps[-1:], job.samples[-1:]


def sample_spans(job: JobView) -> list[Span]:
    """The newest sample texts, the last one first, each under its step."""
    spans: list[Span] = []
    for sample in reversed(job.samples[-SAMPLES:]):
        end = "\n\n" if spans else ""
        spans.append((f"{end}{words_train.SAMPLE_STEP.format(step=sample.step)}\n", PROMPT))
        spans.append((job.order.sample_prompt, PROMPT))
        spans.append((sample.text, None))
    return spans
