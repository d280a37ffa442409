"""Training jobs: one at a time in a process of its own, in a queue that outlives tabs, crashes and the app.

One at a time in a home, whichever app started it: the others wait for a lock, which the system frees with the app. The
base model of the page is asked for its id, shapes and tokenizer only.
"""

import logging
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import ExitStack, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import psutil
import torch
from filelock import FileLock, Timeout

from adapters.adapter_files import check_name
from adapters.base_model import BaseModel
from adapters.decoding.far import Far
from adapters.lora.lora import ALL_LINEAR, linear_endings
from adapters.methods import UserError
from adapters.store.adapter_store import FLOAT_BYTES, AdapterStore
from adapters.training import job_folder
from adapters.training.corpus import DATASETS, Dataset, own_dataset
from adapters.training.job_folder import CHECKPOINT_FILE, STOP_FILE, Follower, History, Job, Pace, job_ids, read_job
from adapters.training.making import check_tools
from adapters.training.order import TrainOrder
from adapters.training.training_estimate import Estimate, Estimator
from adapters.training.worker import reason, work

if TYPE_CHECKING:
    from multiprocessing.context import ForkServerContext, SpawnContext  # Windows has no ForkServerContext

POLL_SECONDS = 0.3
SLICE_SECONDS, MEASURING_SECONDS = 60, 60  # of a training where the model is lent; it is measured in one go at its end
RETRY_SECONDS = 30.0
MAX_WAITING = 20  # jobs that have not ended
MAX_OF_VISITOR = 3  # of them, of one visitor
MAX_KEPT = 100  # jobs that are remembered
MAX_DEATHS = 2  # of a job's process without a newer checkpoint
KILLED = -9  # exit code of a process that the system killed; Windows has no name for the signal
LOCK_FILE = ".lock"
NICENESS = 10  # the page goes first
LOG = logging.getLogger(__name__)


class JobView(NamedTuple):
    id: str
    order: TrainOrder
    owner: str | None
    place: int  # in the queue; 0: its turn
    now: History
    pace: Pace


class Trainer:
    """Trains adapters for `base` below `home`, and offers them in `store` as soon as they are there."""

    def __init__(
        self,
        base: BaseModel,
        home: Path,
        store: AdapterStore,
        max_minutes: int = 240,
        max_mb: int = 4_000,
        far: Far | None = None,
    ) -> None:
        """Go on with the unfinished jobs of `home`. A training whose estimate is beyond the limits is refused.

        With `far`, the model is in a process of its platform's: there they are done in slices, not in an own process.
        """
        self._far = far
        self._base, self._home, self._store = base, home.resolve(), store
        self._jobs, self._own = self._home / "jobs", self._home / "adapters"
        self._estimator = Estimator(base, self._jobs, max_minutes, max_mb, far is not None)
        self._lock = threading.RLock()
        self._followers: dict[str, Follower] = {}
        self._job = lru_cache(2 * MAX_KEPT)(partial(read_job, self._jobs))
        self._open: dict[str, ExitStack] = {}  # jobs to be offered when they end, with the reservation of their name
        self._attending: threading.Thread | None = None
        for id in job_ids(self._jobs):
            if not self._history(id).ended:
                self._open[id] = self._reserved_again(id)
        self._attend()

    def estimate(self, order: TrainOrder, file: Path | None) -> Estimate:
        """What the order takes, and what is removed to make room for it; `file` is an upload. Raises UserError."""
        check_name(order.name)
        found = self._estimator.estimate(order, chosen_data(order, file))
        room = self._store.room_line(FLOAT_BYTES * found.trainable)
        return found._replace(notes=(*found.notes, room)) if room else found

    def start(self, order: TrainOrder, file: Path | None, owner: str | None) -> str:
        """Queue the order, with a copy of the file; return the job's id. Raises UserError."""
        check_tools(order.report_to)
        estimate = self.estimate(order, file)
        if estimate.refusal:
            raise UserError(estimate.refusal)
        with self._lock:
            self._check_room(owner)
            reserved = self._store.reserve(order.name)
            try:
                job = Job(order, self._base.id, owner, file.name if file else "", estimate.times)
                id = job_folder.add_job(self._jobs, job, file)
            except OSError as error:
                reserved.close()
                raise UserError(f"The order cannot be written ({error.strerror}): make room on the disk.") from error
            self._open[id] = reserved
            self._forget_old()
            self._attend()
        return id

    def jobs(self) -> tuple[JobView, ...]:
        """All jobs that can be read, newest first."""
        queue, found = self._queue(), []
        for id in reversed(job_ids(self._jobs)):
            try:
                found.append(self._view(id, queue))
            except UserError as error:
                LOG.warning("%s", error)
        return tuple(found)

    def stop(self, id: str, owner: str | None, operator: bool = False) -> None:
        """End a job of this owner; its best step is kept and finished. Raises UserError."""
        if read_job(self._jobs, id).owner != owner and not operator:
            raise UserError("This training was started by somebody else: only they can stop it.")
        (self._jobs / id / STOP_FILE).touch()

    def forget(self, id: str) -> None:
        """Delete what is known of a job that has ended; its adapter stays. Raises UserError."""
        read_job(self._jobs, id)
        with self._lock:
            if id in self._open or not self._history(id).ended:
                raise UserError("This training has not ended: stop it first.")
            shutil.rmtree(self._jobs / id)
            self._followers.pop(id, None)

    def modules(self) -> tuple[str, ...]:
        """Names for `target_modules`."""
        return (ALL_LINEAR, *linear_endings(self._base.model))

    def _check_room(self, owner: str | None) -> None:
        """Raises UserError where too many trainings have not ended."""
        queue = self._queue()
        if len(queue) >= MAX_WAITING:
            raise UserError(f"{len(queue)} trainings are waiting already: come back when some have ended.")
        if sum(self._job(id).owner == owner for id in queue) >= MAX_OF_VISITOR:
            raise UserError(f"You have {MAX_OF_VISITOR} unfinished trainings: wait for one, or stop one.")

    def _reserved_again(self, id: str) -> ExitStack:
        """The reservation of the name of a job that an earlier app began."""
        try:
            return self._store.reserve(self._job(id).order.name)
        except UserError:  # its folder is there already, or its order cannot be read
            return ExitStack()

    def _forget_old(self) -> None:
        for id in job_ids(self._jobs)[:-MAX_KEPT]:
            if self._history(id).ended:
                shutil.rmtree(self._jobs / id)
                self._followers.pop(id, None)

    def _history(self, id: str) -> History:
        with self._lock:
            return self._followers.setdefault(id, Follower(self._jobs / id)).read()

    def _queue(self) -> list[str]:
        """Ids of the unfinished jobs by their turn."""
        return job_folder.in_turn({id: self._history(id) for id in job_ids(self._jobs)}, self._job)

    def _first(self) -> str | None:
        """The job that the newest process has worked on."""
        return next((id for id in self._queue() if id in self._open), None)

    def _view(self, id: str, queue: list[str]) -> JobView:
        job, history = self._job(id), self._history(id)
        ahead = queue[: queue.index(id)] if id in queue else []
        pace = job_folder.pace(history, job.times, time.time())
        if history.state == "waiting" and not history.message:
            message = f"waiting for {len(ahead)} before it" if ahead else "about to begin"
            history = history._replace(message=message)
        if history.adapter and id in self._open:  # done means that it can be used
            history = history._replace(state="running")
        total, adapter = history.total or job.order.settings.steps, history.ended and history.adapter
        history = history._replace(total=total, adapter=adapter)
        return JobView(id, job.order, job.owner, 0 if history.ended else len(ahead), history, pace)

    def _attend(self) -> None:
        """Start the watcher thread if there are unfinished jobs and no watcher."""
        with self._lock:
            if self._open and self._attending is None:
                self._attending = threading.Thread(target=self._look_after, daemon=True)
                self._attending.start()

    def _look_after(self) -> None:
        """Run a process for each job until all have ended, and offer what they leave."""
        deaths: dict[str, tuple[float, int]] = {}  # id -> age of its checkpoint, deaths since
        while True:
            try:
                self._one_process(deaths) if self._far is None else self._one_slice(self._far)
            except Exception as error:  # no job may stay "running" for ever
                LOG.exception("A training cannot be looked after.")
                if (first := self._first()) is not None:
                    self._fail(first, f"Its process cannot be run ({reason(error)}): train again.")
                    self._close(first)
            with self._lock:
                if not self._open:
                    self._attending = None
                    return

    def _one_process(self, deaths: dict[str, tuple[float, int]]) -> None:
        """Run one process to its end, unless another app trains here, and offer what has ended."""
        code = None
        with suppress(Timeout), FileLock(self._jobs / LOCK_FILE, timeout=POLL_SECONDS):
            process = fresh_processes().Process(target=work, args=(self._home,), daemon=True)
            process.start()
            with suppress(psutil.Error):  # it may have ended
                below_normal = NICENESS if psutil.POSIX else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS")  # noqa: B009
                psutil.Process(process.pid).nice(below_normal)
            while process.is_alive():
                process.join(POLL_SECONDS)
                self._offer_ended()
            code = process.exitcode
        self._offer_ended()
        if code and (first := self._first()) is not None:
            self._note_death(first, code, deaths)

    def _one_slice(self, far: Far) -> None:
        """Train for a while where the model is, and offer what has ended; later if it cannot be had now."""
        try:
            far.call("trainings", "work", SLICE_SECONDS + MEASURING_SECONDS)
        except UserError as error:
            if (first := self._first()) is not None:
                job_folder.write_event(self._jobs / first, "doing", message=f"It goes on later: {error}")
            time.sleep(RETRY_SECONDS)
        self._offer_ended()

    def _note_death(self, id: str, code: int, deaths: dict[str, tuple[float, int]]) -> None:
        """Give up a job whose process dies again and again without a newer checkpoint."""
        file = self._jobs / id / CHECKPOINT_FILE
        newest = file.stat().st_mtime if file.is_file() else 0.0
        seen, count = deaths.get(id, (newest, 0))
        deaths[id] = newest, count + 1 if seen == newest else 1
        if deaths[id][1] == MAX_DEATHS and not self._history(id).ended:
            self._fail(id, f"Its process ended {MAX_DEATHS} times by itself: {death(code)}.")
            job_folder.tidy(self._jobs / id)
            self._offer_ended()

    def _offer_ended(self) -> None:
        """Offer the adapters of the jobs that have ended since the last look. A job whose offer fails has failed."""
        with self._lock:
            ended = {id: history for id in sorted(self._open) if (history := self._history(id)).ended}
        for id, history in ended.items():
            try:
                job = self._job(id)
                if history.adapter and job.base == self._base.id:
                    self._store.offer(self._own / job.order.name)
            except Exception as error:  # whatever is wrong with it, the next jobs go on
                LOG.warning("A trained adapter cannot be used.", exc_info=not isinstance(error, UserError))
                self._fail(id, f"It was trained, but cannot be used: {reason(error)}")
            finally:
                self._close(id)

    def _fail(self, id: str, message: str) -> None:
        with self._lock:
            try:
                job_folder.write_event(self._jobs / id, "ended", state="failed", message=message, adapter=False)
            except OSError as error:
                LOG.warning("Cannot note that training %s failed: %s", id, error)
            self._followers.pop(id, None)

    def _close(self, id: str) -> None:
        """Free the name of a job that has ended."""
        with self._lock:
            if id in self._open:
                self._open.pop(id).close()


def fresh_processes() -> "ForkServerContext | SpawnContext":
    """What starts a training: a copy of a process that has the libraries, where that is safe; else a new process."""
    if sys.platform != "linux" or not hasattr(os, "fork") or torch.cuda.is_available():  # CUDA does not survive a copy
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([work.__module__])
    return context


def chosen_data(order: TrainOrder, file: Path | None) -> Dataset:
    """The data of an order. Raises UserError where there is none, or two."""
    if order.data and file is not None:
        raise UserError("Choose a file or a data set that ships, not both.")
    if file is None and not order.data:
        raise UserError("There is nothing to train on: upload a file, or choose a data set that ships.")
    if file is not None:
        return own_dataset(file)
    if order.data not in DATASETS:  # perhaps a path on the server
        raise UserError(f"There is no data set {order.data[:60]!r}: choose {', '.join(DATASETS)}, or upload a file.")
    return DATASETS[order.data]


def death(code: int) -> str:
    """What an exit code says of a process that noted no reason."""
    if code == KILLED:
        return "the system killed it, probably for want of memory: lower batch_size or max_length"
    if code < 0:
        return f"signal {-code} ({signal.strsignal(-code)})"
    return f"exit code {code}; the app's log says why"
