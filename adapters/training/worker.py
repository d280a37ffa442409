"""The process that trains: takes the unfinished job of a home whose turn it is, does it, and ends.

It ends with the process that started it, at once, and the next one goes on from the newest checkpoint.
"""

import math
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError

from adapters.adapter_files import read_report
from adapters.base_model import EMBEDDED_ID, BaseModel, load_base_model
from adapters.methods import UserError
from adapters.training import job_folder
from adapters.training.card import Report, outcome
from adapters.training.corpus import DATASETS, own_dataset
from adapters.training.job_folder import CHECKPOINT_FILE, STOP_FILE, write_event
from adapters.training.loop import read_checkpoint
from adapters.training.making import Paused, Place, make_adapter
from adapters.training.order import Event, command_line, finish, measured_rows
from adapters.training.speeds import Stopwatch, num_threads

NO_MEMORY = "It needs more memory than there is: lower batch_size or max_length."


def work(home: Path) -> None:
    """Do the unfinished job below `home` whose turn it is, if there is one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the app, and this ends with it
    threading.Thread(target=end_with_parent, daemon=True).start()
    work_on_next(home)


def work_on_next(home: Path, base: BaseModel | None = None, seconds: float = math.inf) -> None:
    """Work on the unfinished job whose turn it is, in this process, until it ends or so many seconds have passed."""
    jobs = home / "jobs"
    found = {id: job_folder.Follower(jobs / id).read() for id in job_folder.job_ids(jobs)}
    for id, history in found.items():
        if history.ended:
            job_folder.tidy(jobs / id)
    for id in job_folder.in_turn(found, partial(job_folder.read_job, jobs))[:1]:
        do_job(home, id, base, time.monotonic() + seconds)


def end_with_parent() -> None:
    """Wait until the process that started this one is gone, then end."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def do_job(home: Path, id: str, base: BaseModel | None = None, deadline: float = math.inf) -> None:
    """Do a job, from its checkpoint where there is one, and note how it ended, if it did before the deadline."""
    torch.set_num_threads(num_threads())
    folder = home / "jobs" / id
    adapter, fault = False, None
    try:
        begin(folder)
        message, adapter = train_job(home, id, base, deadline), True
    except Paused:
        return
    except UserError as error:
        message = str(error)
    except (OSError, SafetensorError) as error:
        message = f"A file cannot be read or written ({error}): make room on the disk, then train again."
    except Exception as error:
        fault = error
        lacking = isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in reason(error)
        message = NO_MEMORY if lacking else f"It failed ({reason(error)}): the app's log says where."
    stopped = fault is None and (folder / STOP_FILE).exists()
    state = "stopped" if stopped else "done" if adapter else "failed"
    write_event(folder, "ended", state=state, message=message, adapter=adapter)
    job_folder.tidy(folder)
    if fault is not None:
        raise fault


def reason(error: Exception) -> str:
    """One line about an exception."""
    first = (str(error).splitlines() or [""])[0][:200]
    return first if isinstance(error, UserError) else f"{type(error).__name__}: {first}"


def begin(folder: Path) -> None:
    """Note the step after which a job goes on. A damaged checkpoint is removed: the training starts again."""
    file = folder / CHECKPOINT_FILE
    try:
        saved = read_checkpoint(file)
    except UserError as error:
        file.unlink()
        write_event(folder, "begun", step=0)
        write_event(folder, "doing", message=f"{error} It starts again.")
    else:
        write_event(folder, "begun", step=0 if saved is None else saved.progress.step)


def train_job(home: Path, id: str, base: BaseModel | None = None, deadline: float = math.inf) -> str:
    """Train and write the adapter of a job; return one line about it. Raises UserError, OSError or Paused.

    `base` may be wrapped; without it, or where the job is for another one, the base model is loaded.
    """
    jobs, folder = home / "jobs", home / "jobs" / id
    job = job_folder.read_job(jobs, id)
    target = home / "adapters" / job.order.name
    checkpoint, again = folder / CHECKPOINT_FILE, command_line(job.order, job.file)
    held_out, general_rows = measured_rows(job.order)
    place = Place(target, again, home / "logs", general_rows, held_out, job.owner, checkpoint, deadline)
    if target.exists():
        return finished(place)
    own_process = base is None
    if base is None or base.id != job.base:
        write_event(folder, "doing", message="loading the base model")
        base = load_base_model(None if job.base == EMBEDDED_ID else job.base, home)
    shipped = job.order.data
    data = DATASETS[shipped] if shipped else own_dataset(next(folder.glob("data.*")), job.file)
    events = make_adapter(base, job.order, data, place, (folder / STOP_FILE).exists)
    watch = Stopwatch(base.device.type, own_process)

    def note(event: Event) -> None:
        watch.take(event)
        job_folder.write_progress(folder, event)

    report = finish(events, note)
    watch.note(jobs, job.base, job.order.settings)
    return outcome(report)


def finished(place: Place) -> str:
    """One line about an adapter whose process died just after writing it. Raises UserError if it is another one."""
    if place.checkpoint is not None and place.checkpoint.is_file():
        report = read_report(place.folder, Report)
        if report is not None and report.command == place.command:
            return outcome(report)
    raise UserError(f"There is already something called {place.folder.name!r}: train under another name.")
