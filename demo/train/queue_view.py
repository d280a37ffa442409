"""The queue of trainings and the one that is followed, as data to show.

Of a stranger's training only the name, the method and the position in the queue can be seen.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.queue import JobView
from demo.parts.links import is_own
from demo.parts.numbers import PROMPT, Span
from demo.services import Services
from demo.train import words

LIVE = ("waiting", "running")
QUEUE_LENGTH = 30  # trainings in the list
SAMPLES = 12  # newest sample texts that are shown


class Queue(NamedTuple):
    """The rows of the list, and whether any training runs or waits."""

    rows: tuple[tuple[str, ...], ...]
    live: bool


def kind_of(job: JobView) -> str:
    """The method of a training: lora or prefix."""
    return "lora" if isinstance(job.order.settings.adapter, LoraSettings) else "prefix"


def queue(jobs: Sequence[JobView], secret: Any) -> Queue:
    """The list of trainings for this browser: every live one, and its own that have ended."""
    rows = []
    for job in [job for job in jobs if job.state in LIVE or is_own(job.owner, secret)][:QUEUE_LENGTH]:
        mine = is_own(job.owner, secret)
        whose, method = words.MINE if mine else words.SOMEBODY, words.method_name(kind_of(job))
        rows.append((job.order.name, method, words.state_line(job, mine), whose, job.id))
    return Queue(tuple(rows), any(job.state in LIVE for job in jobs))


def find_own(services: Services, id: Any, secret: Any) -> JobView:
    """The training with this id; raises UserError where it is not this browser's own."""
    job = next((job for job in services.trainer.jobs() if job.id == id), None)
    if job is None or not is_own(job.owner, secret):
        raise UserError(words.NOT_YOURS)
    return job


def newest_own(jobs: Sequence[JobView], secret: Any) -> str | None:
    """The id of this browser's running training, or else of its newest."""
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
        spans.append((f"{end}{words.SAMPLE_STEP.format(step=sample.step)}\n", PROMPT))
        spans += [(job.order.sample_prompt, PROMPT), (sample.text, None)]
    return spans
