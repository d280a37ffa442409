"""The folder of a training job: the order, the events so far, and the newest checkpoint.

    jobs/ID/order.json, data.* (a copy of the upload), events.jsonl, checkpoint.safetensors, stop

Events are only appended; a line torn by a crash is skipped. Ids sort by time.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

from pydantic.dataclasses import dataclass

from adapters.adapter_files import new_folder, write_json
from adapters.methods import STRICT, UserError, from_json, to_json
from adapters.training.order import Event, Plan, StepSample, Times, TrainOrder, TrainStep

ORDER_FILE, EVENTS_FILE, CHECKPOINT_FILE, STOP_FILE = "order.json", "events.jsonl", "checkpoint.safetensors", "stop"
State = Literal["waiting", "running", "done", "failed", "stopped"]
ID = re.compile(r"[0-9]{20}-[0-9a-f]{8}")
KEPT_STEPS = 2_000  # of a job in memory; the file has them all
KEPT_SAMPLES = 500
RECENT = 20  # newest of them, which say how fast it is


@dataclass(frozen=True, config=STRICT)
class Job:
    order: TrainOrder
    base: str
    owner: str | None = None
    file: str = ""  # name of the upload
    times: Times = Times()  # expected


class History(NamedTuple):
    """The events so far. The oldest steps are thinned to at most KEPT_STEPS."""

    state: State = "waiting"
    message: str = ""  # one line: what it is doing, or why it ended
    total: int = 0  # steps
    steps: tuple[TrainStep, ...] = ()
    samples: tuple[StepSample, ...] = ()
    begun_at: int = 0  # the newest process went on after this step
    adapter: bool = False  # whether there is an adapter
    phase: Literal["start", "training", "measuring"] = "start"
    since: float = 0.0  # seconds since the epoch, when start or measuring began

    @property
    def ended(self) -> bool:
        return self.state in ("done", "failed", "stopped")


def add_job(jobs: Path, job: Job, file: Path | None) -> str:
    """Make the folder of a job, whole or not at all; return its id. Raises OSError where the disk is full."""
    id = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
    with new_folder(jobs / id) as made:
        if file is not None:
            shutil.copyfile(file, made / f"data{file.suffix.lower()}")
        write_json(made / ORDER_FILE, to_json(job))
    return id


def job_ids(jobs: Path) -> list[str]:
    """Ids of all jobs, oldest first."""
    return sorted(path.name for path in jobs.iterdir() if ID.fullmatch(path.name)) if jobs.is_dir() else []


def in_turn(found: Mapping[str, History], read: Callable[[str], Job]) -> list[str]:
    """Ids of the unfinished jobs by their turn: whoever would be done first if each visitor had a machine of their own.

    So short trainings go before long ones, a visitor's second one does not hold up another's first, and nobody waits
    for ever (fair queueing: Demers, Keshav and Shenker, 1989). What has begun is not overtaken.
    """
    ends: dict[str, float] = {}
    of_visitor: dict[str | None, float] = {}
    for id in sorted(id for id, history in found.items() if not history.ended):
        try:
            job = read(id)
        except UserError:  # whoever does it will say why it cannot be done
            ends[id] = 0.0
            continue
        asked = int(id.partition("-")[0]) / 1e9
        of_visitor[job.owner] = max(asked, of_visitor.get(job.owner, 0.0)) + sum(job.times)
        ends[id] = 0.0 if found[id].state == "running" else of_visitor[job.owner]
    return sorted(ends, key=ends.__getitem__)


def read_job(jobs: Path, id: str) -> Job:
    """Read a job's order. Raises UserError for an unknown id or a damaged file."""
    if not ID.fullmatch(id) or not (jobs / id / ORDER_FILE).is_file():
        raise UserError(f"There is no training {id[:60]!r}: reload the page.")
    try:
        return from_json(Job, json.loads((jobs / id / ORDER_FILE).read_text("utf-8")))
    except ValueError as error:
        raise UserError(f"The order of training {id} cannot be read: train again.") from error


def write_event(folder: Path, kind: str, **fields: Any) -> None:
    """Append an event. Raises OSError where the disk is full."""
    with (folder / EVENTS_FILE).open("a+b") as events:
        events.seek(max(0, events.tell() - 1))
        torn = events.read() not in (b"", b"\n")
        events.write(b"\n" * torn + json.dumps({"event": kind, "at": time.time()} | fields).encode() + b"\n")


def write_progress(folder: Path, event: Event) -> None:
    if isinstance(event, str):
        write_event(folder, "doing", message=event)
    elif isinstance(event, Plan):
        write_event(folder, "plan", total=event.steps, message=" ".join(event.notes))
    else:
        write_event(folder, "step" if isinstance(event, TrainStep) else "sample", **event._asdict())


def tidy(folder: Path) -> None:
    """Remove the data and the checkpoint of a job that has ended."""
    for file in (folder / CHECKPOINT_FILE, *folder.glob(f".{CHECKPOINT_FILE}.*"), *folder.glob("data.*")):
        file.unlink(missing_ok=True)


class Follower:
    """Reads the events of one job as they come. Time is linear in the steps, memory bounded by KEPT_STEPS."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._offset = folder, 0
        self._history = History()
        self._steps: list[TrainStep] = []
        self._samples: list[StepSample] = []

    def read(self) -> History:
        file = self._folder / EVENTS_FILE
        if self._history.ended:
            return self._history
        if file.is_file() and file.stat().st_size > self._offset:
            with file.open("rb") as events:
                events.seek(self._offset)
                for line in events:
                    if not line.endswith(b"\n"):  # still being written
                        break
                    self._offset += len(line)
                    self._follow(line)
            self._history = self._history._replace(steps=tuple(self._steps), samples=tuple(self._samples))
        if self._history.state == "waiting" and (self._folder / STOP_FILE).exists():
            return self._history._replace(state="stopped", message="It was stopped before it began: nothing was kept.")
        return self._history

    def _follow(self, line: bytes) -> None:
        try:
            event = json.loads(line)
            kind, at = event.pop("event"), event.pop("at", 0.0)
        except (ValueError, KeyError, AttributeError):  # torn by a crash
            return
        try:
            if kind == "begun":
                self._begin(event["step"], at)
            elif kind == "step":
                self._add_step(TrainStep(**event))
            elif kind == "sample":
                self._samples = thinned([*self._samples, StepSample(**event)], KEPT_SAMPLES)
            else:  # the fields of "plan", "doing" and "ended" are those of a history
                self._history = self._history._replace(**event)
                if kind == "doing" and self._history.phase == "training":
                    self._history = self._history._replace(phase="measuring", since=at)
                if self._history.state not in get_args(State):
                    raise ValueError(self._history.state)
        except (TypeError, ValueError, KeyError):
            told = f"Its events cannot be read ({line[:60]!r}): another version wrote them."
            self._history = self._history._replace(state="failed", message=told)

    def _begin(self, kept: int, at: float) -> None:
        """A process goes on after step `kept`: forget what the one before did beyond it."""
        self._steps = [step for step in self._steps if step.step <= kept]
        self._samples = [sample for sample in self._samples if sample.step <= kept]
        history = self._history._replace(state="running", begun_at=kept, message="starting")
        self._history = history._replace(phase="start", since=at)

    def _add_step(self, step: TrainStep) -> None:
        self._steps.append(step)
        if len(self._steps) > KEPT_STEPS:
            best = [s for s in self._steps if s.best][-1:]
            self._steps = sorted({*thinned(self._steps, KEPT_STEPS // 2), *best}, key=lambda s: s.step)
        self._history = self._history._replace(message="training", phase="training")


def thinned(items: list[Any], most: int) -> list[Any]:
    """The items, or where they are more than `most` every second one and the newest: measured steps go last."""
    if len(items) <= most:
        return items
    plain = [item for item in items[:-1] if getattr(item, "validation_loss", None) is None]
    dropped = set(map(id, plain[::2] if len(plain) > 1 else items[:-1:2]))
    kept = [item for item in items if id(item) not in dropped]
    return kept if len(kept) == len(items) else thinned(kept, most)


class Pace(NamedTuple):
    """How far a training is, and how fast; None where it cannot be known."""

    done: float = 0.0  # share of its time
    tokens_per_second: float | None = None
    seconds_left: float | None = None


def pace(history: History, times: Times, now: float) -> Pace:
    """The pace of a training, from its newest steps and the expected times of its parts."""
    if history.state != "running":
        return Pace(float(history.ended))
    times = times if times.training > 0 else Times(0, 1, 0)
    recent = [step for step in history.steps[-RECENT:] if step.step > history.begun_at]
    took = recent[-1].seconds - recent[0].seconds if len(recent) > 1 else 0.0
    planned = times.training / max(1, history.total)  # seconds of a step
    a_step = took / (recent[-1].step - recent[0].step) if took > 0 else planned
    waited, measuring = now - history.since, times.measuring * a_step / planned  # as slow as the steps were
    if history.phase == "start":
        gone, tokens = min(waited, 0.95 * times.start), None
        left = sum(times) - gone
    elif history.phase == "training":
        steps_left = history.total - history.steps[-1].step
        gone = sum(times) - times.measuring - steps_left * planned
        tokens = (recent[-1].tokens - recent[0].tokens) / took if took > 0 else None
        left = steps_left * a_step + measuring
    else:
        ended, tokens = min(0.95, waited / max(measuring, 1e-9)), None
        gone = sum(times) - (1 - ended) * times.measuring
        left = (1 - ended) * measuring
    return Pace(gone / sum(times), tokens, left)
