"""The folder of a training job: what was ordered, what has happened so far, and the newest checkpoint.

    jobs/ID/order.json, data.* (a copy of what was uploaded), events.jsonl, checkpoint.safetensors, stop

Knows files; knows nothing of processes or of how a training is done. Events are only ever appended; a line that was
torn by a crash is left aside. Ids sort by the time of ordering.
"""

import json
import re
import secrets
import shutil
import time
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic.dataclasses import dataclass

from adapters.methods import STRICT, UserError, from_json, to_json
from adapters.training.corpus import DATASETS, Dataset, own_dataset
from adapters.training.order import Event, Plan, StepSample, TrainOrder, TrainStep

ORDER_FILE, EVENTS_FILE, CHECKPOINT_FILE, STOP_FILE = "order.json", "events.jsonl", "checkpoint.safetensors", "stop"
State = Literal["waiting", "running", "done", "failed", "stopped"]
ID = re.compile(r"[0-9]{20}-[0-9a-f]{8}")


@dataclass(frozen=True, config=STRICT)
class Job:
    """What was ordered, for which base model, by whom."""

    order: TrainOrder
    base: str
    owner: str | None = None
    file: str = ""  # name of what was uploaded


class History(NamedTuple):
    """What has happened so far."""

    state: State = "waiting"
    message: str = ""
    total: int = 0  # steps
    steps: tuple[TrainStep, ...] = ()
    samples: tuple[StepSample, ...] = ()
    begun_at: int = 0  # the step that the newest process began after
    adapter: bool = False  # whether it left one

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "stopped")


def add_job(jobs: Path, job: Job, file: Path | None) -> str:
    """Makes a folder for a job, whole or not at all, and returns its id. Raises OSError where the disk is full."""
    id = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    jobs.mkdir(parents=True, exist_ok=True)
    aside = jobs / f".{id}"
    try:
        aside.mkdir()
        if file is not None:
            shutil.copyfile(file, aside / f"data{file.suffix.lower()}")
        (aside / ORDER_FILE).write_text(json.dumps(to_json(job)), "utf-8")
        aside.rename(jobs / id)
    except OSError:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return id


def job_ids(jobs: Path) -> list[str]:
    """Ids of all jobs, oldest first."""
    return sorted(path.name for path in jobs.iterdir() if ID.fullmatch(path.name)) if jobs.is_dir() else []


def read_job(jobs: Path, id: str) -> Job:
    """What was ordered. Raises UserError for an unknown id."""
    if not ID.fullmatch(id) or not (jobs / id / ORDER_FILE).is_file():
        raise UserError(f"There is no training {id[:60]!r}: reload the page.")
    return from_json(Job, json.loads((jobs / id / ORDER_FILE).read_text("utf-8")))


def data_of(folder: Path, job: Job) -> Dataset:
    """What the job is trained on."""
    if job.order.data:
        return DATASETS[job.order.data]
    return own_dataset(next(folder.glob("data.*")), job.file)


def write_event(folder: Path, kind: str, **fields: Any) -> None:
    """Appends an event. Raises OSError where the disk is full."""
    with (folder / EVENTS_FILE).open("ab") as events:
        torn = events.tell() > 0 and not ends_with_newline(folder / EVENTS_FILE)
        events.write(b"\n" * torn + json.dumps({"event": kind} | fields).encode() + b"\n")


def ends_with_newline(file: Path) -> bool:
    with file.open("rb") as opened:
        opened.seek(-1, 2)
        return opened.read(1) == b"\n"


def write_progress(folder: Path, event: Event) -> None:
    """Appends what a training yields."""
    if isinstance(event, str):
        write_event(folder, "doing", message=event)
    elif isinstance(event, Plan):
        write_event(folder, "plan", total=event.steps, message=" ".join(event.notes))
    else:
        write_event(folder, "step" if isinstance(event, TrainStep) else "sample", **event._asdict())


def tidy(folder: Path) -> None:
    """Removes what only a job that goes on needs: the copy of the data, and the checkpoint."""
    for file in (*folder.glob("data.*"), *folder.glob(f"{Path(CHECKPOINT_FILE).stem}.*")):
        file.unlink(missing_ok=True)


class Follower:
    """Reads the events of one job as they come."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._offset = folder, 0
        self.history = History()

    def read(self) -> History:
        """What has happened up to now."""
        file = self._folder / EVENTS_FILE
        if self.history.ended:
            return self.history
        if file.is_file() and file.stat().st_size > self._offset:
            with file.open("rb") as events:
                events.seek(self._offset)
                lines = events.read().split(b"\n")
            self._offset += sum(len(line) + 1 for line in lines[:-1])  # the last one is empty, or still to come
            for line in lines[:-1]:
                self.history = followed(self.history, line)
        if self.history.state == "waiting" and (self._folder / STOP_FILE).exists():
            return self.history._replace(state="stopped", message="It was stopped before it began: nothing was kept.")
        return self.history


def followed(history: History, line: bytes) -> History:
    """The history after one more event."""
    try:
        event = json.loads(line)
    except ValueError:  # torn by a crash
        return history
    kind = event.pop("event")
    if kind == "begun":
        kept = event["step"]
        steps = tuple(step for step in history.steps if step.step <= kept)
        samples = tuple(sample for sample in history.samples if sample.step <= kept)
        return history._replace(state="running", steps=steps, samples=samples, begun_at=kept, message="starting")
    if kind == "step":
        return history._replace(steps=(*history.steps, TrainStep(**event)), message="training")
    if kind == "sample":
        return history._replace(samples=(*history.samples, StepSample(**event)))
    return history._replace(**event)  # of "plan", "doing" and "ended" the fields are those of a history
