"""The process that trains: takes the oldest unfinished job of a home, does it, and ends.

One at a time in a home, whoever started it: the others wait for the lock. It ends with the process that started it, at
once, and the next one goes on from the newest checkpoint. What needs torch is imported when it is its turn, so that
waiting takes no memory.
"""

import multiprocessing
import os
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
from filelock import FileLock

if TYPE_CHECKING:
    from adapters.training.making import Place
    from adapters.training.order import Event

LOCK_FILE = ".lock"
NICENESS = 10  # the page goes first
NO_MEMORY = "It needs more memory than there is: lower batch_size or max_length."


def work(home: Path) -> None:
    """Do the oldest unfinished job below `home`, if there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, and this ends with it
    threading.Thread(target=end_with_parent, daemon=True).start()
    psutil.Process().nice(NICENESS if psutil.POSIX else getattr(psutil, "BELOW_NORMAL_PRIORITY_CLASS"))  # noqa: B009
    jobs = home / "jobs"
    with FileLock(jobs / LOCK_FILE):  # the system frees it however this process ends
        from adapters.training.job_folder import Follower, job_ids, tidy

        for id in job_ids(jobs):
            if not Follower(jobs / id).read().ended:
                do_job(home, id)
                return
            tidy(jobs / id)


def end_with_parent() -> None:
    """Wait until the process that started this one is gone, then end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def do_job(home: Path, id: str) -> None:
    """Do a job, from its checkpoint where there is one, and note how it ended."""
    import torch
    from safetensors import SafetensorError

    from adapters.methods import UserError
    from adapters.training.job_folder import STOP_FILE, tidy, write_event
    from adapters.training.speeds import num_threads

    torch.set_num_threads(num_threads())
    folder = home / "jobs" / id
    adapter, fault = False, None
    try:
        begin(folder)
        message, adapter = train_job(home, id), True
    except UserError as error:
        message = str(error)
    except (OSError, SafetensorError) as error:
        message = f"A file cannot be read or written ({error}): make room on the disk, then train again."
    except Exception as error:
        fault, first = error, (str(error).splitlines() or [""])[0][:200]
        lacking = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in first
        message = NO_MEMORY if lacking else f"It failed ({type(error).__name__}: {first}): the app's log says where."
    stopped = fault is None and (folder / STOP_FILE).exists()
    state = "stopped" if stopped else "done" if adapter else "failed"
    write_event(folder, "ended", state=state, message=message, adapter=adapter)
    tidy(folder)
    if fault is not None:
        raise fault


def begin(folder: Path) -> None:
    """Note the step after which a job goes on. A damaged checkpoint is removed: the training starts again."""
    from adapters.methods import UserError
    from adapters.training.job_folder import CHECKPOINT_FILE, write_event
    from adapters.training.loop import read_checkpoint

    file = folder / CHECKPOINT_FILE
    try:
        saved = read_checkpoint(file)
    except UserError as error:
        file.unlink()
        write_event(folder, "begun", step=0)
        write_event(folder, "doing", message=f"{error} It starts again.")
    else:
        write_event(folder, "begun", step=0 if saved is None else saved.progress.step)


def train_job(home: Path, id: str) -> str:
    """Train and write the adapter of a job; return one line about it. Raises UserError or OSError."""
    from adapters.base_model import EMBEDDED_ID, load_base_model
    from adapters.training.card import outcome
    from adapters.training.job_folder import CHECKPOINT_FILE, STOP_FILE, data_of, read_job, write_event, write_progress
    from adapters.training.making import Place, make_adapter
    from adapters.training.order import command_line, finish, measured_rows
    from adapters.training.speeds import Stopwatch

    jobs, folder = home / "jobs", home / "jobs" / id
    job = read_job(jobs, id)
    target = home / "adapters" / job.order.name
    checkpoint, again = folder / CHECKPOINT_FILE, command_line(job.order, job.file)
    held_out, general_rows = measured_rows(job.order)
    place = Place(target, again, home / "logs", general_rows, held_out, job.owner, checkpoint)
    if target.exists():
        return finished(place)
    write_event(folder, "doing", message="loading the base model")
    base = load_base_model(None if job.base == EMBEDDED_ID else job.base, home)
    events = make_adapter(base, job.order, data_of(folder, job), place, (folder / STOP_FILE).exists)
    watch = Stopwatch(base.device.type)

    def note(event: "Event") -> None:
        watch.take(event)
        write_progress(folder, event)

    report = finish(events, note)
    watch.note(jobs, job.base, job.order.settings)
    return outcome(report)


def finished(place: "Place") -> str:
    """One line about an adapter whose process died just after writing it. Raises UserError if it is another one."""
    from adapters.adapter_files import METRICS_FILE, read_config
    from adapters.methods import UserError, from_json
    from adapters.training.card import Report, outcome

    name = place.folder.name
    if place.checkpoint is not None and place.checkpoint.is_file() and (place.folder / METRICS_FILE).is_file():
        report = from_json(Report, read_config(place.folder, METRICS_FILE))
        if report.command == place.command:
            return outcome(report)
    raise UserError(f"There is already something called {name!r}: train under another name.")
