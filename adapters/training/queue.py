"""Training jobs: one at a time in a process of its own, in a queue that outlives tabs, crashes and the app.

Knows orders, the queue and who may stop what; adapters.training.job_folder keeps a job, adapters.training.worker does
it. The base model that serves the page is asked for its id, shapes and tokenizer only.
"""

import logging
import multiprocessing
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import psutil

from adapters.adapter_files import MAX_OWN, check_name
from adapters.base_model import BaseModel
from adapters.lora.lora import ALL_LINEAR, linear_endings
from adapters.methods import UserError
from adapters.store.adapter_store import AdapterStore
from adapters.training.corpus import DATASETS, Dataset, own_dataset
from adapters.training.estimate import Estimate, estimate
from adapters.training.job_folder import (
    CHECKPOINT_FILE,
    STOP_FILE,
    Follower,
    History,
    Job,
    State,
    add_job,
    job_ids,
    read_job,
    tidy,
    write_event,
)
from adapters.training.making import check_tools
from adapters.training.material import prepare
from adapters.training.order import StepSample, TrainOrder, TrainStep
from adapters.training.worker import work

POLL_SECONDS = 0.3
MAX_WAITING = 20  # jobs that have not ended
MAX_KEPT = 100  # jobs that are remembered
MAX_DEATHS = 2  # of a job's process without a newer checkpoint
RECENT = 20  # steps that say how fast it is


class JobView(NamedTuple):
    """A job as it stands now."""

    id: str
    order: TrainOrder
    owner: str | None
    state: State
    place: int  # in the queue; 0: its turn
    message: str  # one line: what it is doing, or why it ended
    steps: tuple[TrainStep, ...]
    samples: tuple[StepSample, ...]
    total: int  # steps
    tokens_per_second: float | None
    seconds_left: float | None


class Trainer:
    """Trains adapters for `base` below `home`, and offers them in `store` as soon as they are there."""

    def __init__(self, base: BaseModel, home: Path, store: AdapterStore) -> None:
        """Goes on with the jobs of `home` that have not ended."""
        self._base, self._home, self._store = base, home.resolve(), store
        self._jobs, self._own = self._home / "jobs", self._home / "adapters"
        self._shape = base.cache_shape
        self._lock = threading.RLock()
        self._followers: dict[str, Follower] = {}
        self._orders: dict[str, Job] = {}
        self._open = {id for id in job_ids(self._jobs) if not self._history(id).ended}  # to be offered when they end
        self._attending: threading.Thread | None = None
        self._attend()

    def estimate(self, order: TrainOrder, file: Path | None) -> Estimate:
        """What the order will take; `file` is what was uploaded. Raises UserError."""
        check_name(order.name)
        return estimate(self._base, self._shape, prepare(self._base, order, chosen_data(order, file)), self._jobs)

    def start(self, order: TrainOrder, file: Path | None, owner: str | None) -> str:
        """Queues the order and returns the job's id; the file is copied. Raises UserError."""
        check_tools(order.report_to)
        needed, there = self.estimate(order, file).num_bytes, psutil.virtual_memory().total
        if needed > there:
            raise UserError(
                f"This training needs about {needed / 1e9:.1f} GB of memory, and this machine has {there / 1e9:.1f}: "
                "lower batch_size or max_length."
            )
        with self._lock:
            self._check_room(order.name)
            try:
                id = add_job(self._jobs, Job(order, self._base.id, owner, file.name if file else ""), file)
            except OSError as error:
                raise UserError(f"The order cannot be written ({error.strerror}): make room on the disk.") from error
            self._open.add(id)
            self._forget_old()
            self._attend()
        return id

    def jobs(self) -> tuple[JobView, ...]:
        """All jobs, newest first."""
        queue = self._queue()
        return tuple(self._view(id, queue) for id in reversed(job_ids(self._jobs)))

    def watch(self, id: str) -> Iterator[JobView]:
        """The job whenever something has changed; ends when it has ended, and its adapter is offered.

        Raises UserError for an unknown id.
        """
        before = None
        while True:
            about_to_be_offered = id in self._open and self._attending is not None
            view = self._view(id, self._queue())
            ended = view.state in ("done", "failed", "stopped")
            if view != before and not (ended and about_to_be_offered):
                yield view
                before = view
                if ended:
                    return
            time.sleep(POLL_SECONDS)

    def stop(self, id: str, owner: str | None) -> None:
        """Ends a job of this owner: what was best is kept and finished. Raises UserError."""
        if read_job(self._jobs, id).owner != owner:
            raise UserError("This training was started by somebody else: only they can stop it.")
        (self._jobs / id / STOP_FILE).touch()

    def modules(self) -> tuple[str, ...]:
        """Names that `target_modules` may use."""
        return (ALL_LINEAR, *linear_endings(self._base.model))

    def _check_room(self, name: str) -> None:
        """Raises UserError where the name is taken, by a waiting job too, or there is no room for one more."""
        waiting = [self._job(id).order.name for id in self._queue()]
        if self._store.is_taken(name) or (self._own / name).exists() or name in waiting:
            raise UserError(f"There is already something called {name!r}: choose another name.")
        if len(waiting) >= MAX_WAITING:
            raise UserError(f"{len(waiting)} trainings are waiting already: come back when some have ended.")
        if self._own.is_dir() and sum(1 for _ in self._own.iterdir()) >= MAX_OWN:
            raise UserError(f"There are {MAX_OWN} adapters of your own already: delete one.")

    def _forget_old(self) -> None:
        """Removes the folders of the oldest jobs that have ended, beyond those that are remembered."""
        for id in job_ids(self._jobs)[:-MAX_KEPT]:
            if self._history(id).ended:
                shutil.rmtree(self._jobs / id)
                self._followers.pop(id, None)

    def _job(self, id: str) -> Job:
        with self._lock:
            if id not in self._orders:
                self._orders[id] = read_job(self._jobs, id)
            return self._orders[id]

    def _history(self, id: str) -> History:
        with self._lock:
            return self._followers.setdefault(id, Follower(self._jobs / id)).read()

    def _queue(self) -> list[str]:
        """Ids of the jobs that have not ended, oldest first."""
        return [id for id in job_ids(self._jobs) if not self._history(id).ended]

    def _view(self, id: str, queue: list[str]) -> JobView:
        job, history = self._job(id), self._history(id)
        ahead = [other for other in queue if other < id]
        tokens, left = pace(history)
        message = history.message
        if history.state == "waiting":
            message = f"waiting for {len(ahead)} before it" if ahead else "about to begin"
        if history.adapter and id in self._open:  # done means that it can be used
            history = history._replace(state="running")
        total = history.total or job.order.settings.steps
        place = 0 if history.ended else len(ahead)
        return JobView(
            id, job.order, job.owner, history.state, place, message, history.steps, history.samples, total, tokens, left
        )

    def _attend(self) -> None:
        """Lets a thread look after the jobs that have not ended, if there is any and none does."""
        with self._lock:
            if self._open and self._attending is None:
                self._attending = threading.Thread(target=self._look_after, daemon=True)
                self._attending.start()

    def _look_after(self) -> None:
        """Runs a process for each job until all have ended, and offers what comes out."""
        deaths: dict[str, tuple[float, int]] = {}  # id -> age of its checkpoint, deaths since
        try:
            while self._one_job(deaths):
                pass
        except BaseException:
            with self._lock:
                self._attending = None  # the next order begins anew
            raise

    def _one_job(self, deaths: dict[str, tuple[float, int]]) -> bool:
        """Runs one process to its end; returns whether there is more to do."""
        process = multiprocessing.get_context("spawn").Process(target=work, args=(self._home,), daemon=True)
        process.start()
        while process.is_alive():
            process.join(POLL_SECONDS)
            self._offer_ended()
        self._offer_ended()
        with self._lock:
            if not self._open:
                self._attending = None
                return False
            oldest = min(self._open)
        if process.exitcode:
            self._note_death(oldest, process.exitcode, deaths)
        return True

    def _note_death(self, id: str, code: int, deaths: dict[str, tuple[float, int]]) -> None:
        """Gives a job up whose process dies again and again without getting on."""
        file = self._jobs / id / CHECKPOINT_FILE
        newest = file.stat().st_mtime if file.is_file() else 0.0
        seen, count = deaths.get(id, (newest, 0))
        deaths[id] = newest, count + 1 if seen == newest else 1
        if deaths[id][1] == MAX_DEATHS and not self._history(id).ended:
            message = f"Its process ended twice by itself (exit code {code}): it may need more memory than there is."
            write_event(self._jobs / id, "ended", state="failed", message=message)
            tidy(self._jobs / id)
            self._offer_ended()

    def _offer_ended(self) -> None:
        """Offers the adapters of the jobs that have ended since the last look."""
        with self._lock:
            ended = {id: history for id in sorted(self._open) if (history := self._history(id)).ended}
        for id, history in ended.items():
            job = self._job(id)
            if history.adapter and job.base == self._base.id:
                try:
                    self._store.offer(self._own / job.order.name)
                except UserError as error:
                    logging.getLogger(__name__).warning("%s was trained, and cannot be used: %s", job.order.name, error)
        with self._lock:
            self._open -= ended.keys()


def chosen_data(order: TrainOrder, file: Path | None) -> Dataset:
    """The data of an order. Raises UserError where there is none, or two."""
    if order.data and file is not None:
        raise UserError("Choose a file or a data set that ships, not both.")
    if file is None and not order.data:
        raise UserError("There is nothing to train on: upload a file, or choose a data set that ships.")
    if file is not None:
        return own_dataset(file)
    if order.data not in DATASETS:  # a path of the server's, perhaps
        raise UserError(f"There is no data set {order.data[:60]!r}: choose {', '.join(DATASETS)}, or upload a file.")
    return DATASETS[order.data]


def pace(history: History) -> tuple[float | None, float | None]:
    """Tokens a second, and seconds that are left, from the newest steps; None where they cannot be known."""
    recent = [step for step in history.steps[-RECENT:] if step.step > history.begun_at]
    if history.state != "running" or len(recent) < 2:
        return None, None
    seconds = recent[-1].seconds - recent[0].seconds
    if seconds <= 0:
        return None, None
    left = (history.total - recent[-1].step) * seconds / (recent[-1].step - recent[0].step)
    return (recent[-1].tokens - recent[0].tokens) / seconds, left
