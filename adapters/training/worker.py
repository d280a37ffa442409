"""The process that trains: takes the oldest job of a home that has not ended, does it, and ends.

Knows processes, priorities and folders. One at a time in a home, whoever started it: the others wait for the lock. It
ends with the process that started it, at once, and another one goes on from the newest checkpoint. What needs torch is
imported once it is its turn, so that waiting takes no memory.
"""

import fcntl
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adapters.training.making import Place

LOCK_FILE = ".lock"
NICENESS = 10  # the page goes first


def work(home: Path) -> None:
    """Does the oldest job below `home` that has not ended, if there is any."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, and this ends with it
    threading.Thread(target=end_with_parent, daemon=True).start()
    os.nice(NICENESS)
    jobs = home / "jobs"
    with locked(jobs / LOCK_FILE):
        from adapters.training.job_folder import Follower, job_ids, tidy

        for id in job_ids(jobs):
            if not Follower(jobs / id).read().ended:
                do_job(home, id)
                return
            tidy(jobs / id)


def end_with_parent() -> None:
    """Waits until the process that started this one is gone, however it went."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Waits for the lock; the system takes it away from a process that ends in whatever way."""
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def num_threads() -> int:
    """All cores but one, which is the page's."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


def do_job(home: Path, id: str) -> None:
    """Does a job, from its checkpoint where there is one, and notes how it ended."""
    import torch
    from safetensors import SafetensorError

    from adapters.methods import UserError
    from adapters.training.job_folder import CHECKPOINT_FILE, STOP_FILE, tidy, write_event
    from adapters.training.loop import read_checkpoint

    torch.set_num_threads(num_threads())
    folder = home / "jobs" / id
    saved = read_checkpoint(folder / CHECKPOINT_FILE)
    write_event(folder, "begun", step=0 if saved is None else saved.progress.step)
    adapter, fault = False, None
    try:
        message, adapter = train_job(home, id), True
    except UserError as error:
        message = str(error)
    except (OSError, SafetensorError) as error:
        message = f"A file cannot be written ({error}): make room on the disk, then train again."
    except Exception as error:
        message, fault = f"It failed by a fault of the app ({type(error).__name__}).", error
    stopped = fault is None and (folder / STOP_FILE).exists()
    state = "stopped" if stopped else "done" if adapter else "failed"
    write_event(folder, "ended", state=state, message=message, adapter=adapter)
    tidy(folder)
    if fault is not None:
        raise fault


def train_job(home: Path, id: str) -> str:
    """Trains and writes the adapter of a job; returns one line about it. Raises UserError or OSError."""
    from adapters.base_model import EMBEDDED_ID, load_base_model
    from adapters.training.card import outcome
    from adapters.training.estimate import note_speed
    from adapters.training.job_folder import CHECKPOINT_FILE, STOP_FILE, data_of, read_job, write_event, write_progress
    from adapters.training.making import Place, make_adapter
    from adapters.training.order import QUEUED_GENERAL_ROWS, QUEUED_HELD_OUT, TrainStep, command_line

    jobs, folder = home / "jobs", home / "jobs" / id
    job = read_job(jobs, id)
    target = home / "adapters" / job.order.name
    checkpoint, again = folder / CHECKPOINT_FILE, command_line(job.order, job.file)
    place = Place(target, again, home / "logs", QUEUED_GENERAL_ROWS, QUEUED_HELD_OUT, job.owner, checkpoint)
    if target.exists():
        return finished(place)
    write_event(folder, "doing", message="loading the base model")
    base = load_base_model(None if job.base == EMBEDDED_ID else job.base, home)
    events = make_adapter(base, job.order, data_of(folder, job), place, (folder / STOP_FILE).exists)
    newest = None
    while True:
        try:
            event = next(events)
        except StopIteration as end:
            if newest is not None:
                note_speed(jobs, job.base, job.order.settings, newest)
            return outcome(end.value)
        write_progress(folder, event)
        newest = event if isinstance(event, TrainStep) else newest


def finished(place: "Place") -> str:
    """One line about an adapter whose process died just after it was written. Raises UserError if it is another one."""
    from adapters.adapter_files import METRICS_FILE, read_config
    from adapters.methods import UserError, from_json
    from adapters.training.card import Report, outcome

    name = place.folder.name
    if place.checkpoint is not None and place.checkpoint.is_file() and (place.folder / METRICS_FILE).is_file():
        report = from_json(Report, read_config(place.folder, METRICS_FILE))
        if report.command == place.command:
            return outcome(report)
    raise UserError(f"There is already something called {name!r}: train under another name.")
