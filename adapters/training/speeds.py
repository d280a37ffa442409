"""How fast trainings are on this machine: noted by the process that trains, read by the estimate.

Processor seconds, which other programs hardly change: with the seconds of a clock the next estimate would be as slow as
the machine was busy. On a graphics card they are seconds of the clock.
"""

import json
import time
from collections import Counter, defaultdict
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from adapters.adapter_files import write_json
from adapters.lora.settings import LoraSettings
from adapters.training.order import Event, Plan, StepSample, TrainSettings, TrainStep

SPEEDS_FILE = "speeds.json"
KEPT = 5  # newest trainings of a kind; their median counts
STEP_TOKENS = 30  # of a sample during training
EXTRA_TOKENS = 40  # what a step takes beside its tokens, as tokens


class Speeds(NamedTuple):
    """Seconds of each kind of work."""

    start: float  # of the process, until it begins to train
    trained: float  # a token of a step
    written: float  # a token of a text


class Stopwatch:
    """Times the kinds of work of a training by its events."""

    def __init__(self, device: str, own_process: bool = True) -> None:
        """In a process that had other work before, the time begins now."""
        self._on_cpu, self._last, self._tokens = device == "cpu", 0.0, -1
        self._before = 0.0 if own_process else self._now()
        self._seconds, self._units = defaultdict[str, float](float), Counter[str]()

    def take(self, event: Event) -> None:
        """Note what ends with this event: the start, a step without a validation, or a sample text."""
        now = self._now() - self._before
        took, self._last = (now - self._last) / (num_threads() if self._on_cpu else 1), now
        if isinstance(event, Plan):
            self._add("start", now, 1)
        elif isinstance(event, StepSample):
            self._add("written", took, STEP_TOKENS)
        elif isinstance(event, TrainStep):
            if event.validation_loss is None and self._tokens >= 0:  # the first one warms up
                self._add("trained", took, event.tokens - self._tokens + EXTRA_TOKENS)
            self._tokens = event.tokens

    def _now(self) -> float:
        return time.process_time() if self._on_cpu else time.time() - psutil.Process().create_time()

    def _add(self, kind: str, seconds: float, units: int) -> None:
        self._seconds[kind] += seconds
        self._units[kind] += units

    def note(self, jobs: Path, base: str, settings: TrainSettings) -> None:
        """Write the speeds into the file of a folder of jobs. Raises OSError."""
        known, of = read(jobs), key(base, settings)
        for kind, seconds in self._seconds.items():
            earlier = known.setdefault(of, {}).get(kind, [])
            known[of][kind] = [*earlier, seconds / self._units[kind]][-KEPT:]
        write_json(jobs / SPEEDS_FILE, known)


def known_speeds(jobs: Path, base: str, settings: TrainSettings) -> dict[str, float]:
    """The speeds noted of trainings of this kind, by the fields of `Speeds`."""
    return {kind: median(found) for kind, found in read(jobs).get(key(base, settings), {}).items()}


def read(jobs: Path) -> dict[str, dict[str, list[float]]]:
    """The content of the file; nothing where there is none."""
    file = jobs / SPEEDS_FILE
    return dict(json.loads(file.read_text("utf-8"))) if file.is_file() else {}


def key(base: str, settings: TrainSettings) -> str:
    """Trainings with the same key are about equally fast."""
    kind = "LoRA" if isinstance(settings.adapter, LoraSettings) else "prefix"
    return f"{base} {kind}{' bfloat16' if settings.bfloat16 else ''}"


def num_threads() -> int:
    """All cores of this process but one, which is the page's."""
    process = psutil.Process()
    cores = len(process.cpu_affinity() or ()) if hasattr(process, "cpu_affinity") else psutil.cpu_count()
    return max(1, (cores or 1) - 1)
