"""A trainer and a library that need no model: a training makes one step each time that somebody looks."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.adapter_files import check_name
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.card import Report, Sample, Scores
from adapters.training.order import StepSample, TrainOrder, TrainStep
from adapters.training.queue import JobView
from adapters.training.training_estimate import Estimate
from demo.train.form import FIRST_TRY

MODULES = ("all-linear", "self_attn.q_proj", "self_attn.v_proj", "mlp.up_proj")
TEXT = " said <b>nothing</b>, for the tide was out."


class FakeAdapter(NamedTuple):
    name: str
    kind: str
    num_parameters: int
    size: int


class FakeLibrary:
    """Keeps owners and reports by name; everybody else's adapters come with the app."""

    can_fetch, can_push = True, True

    def __init__(self, adapters: list[Any], heads: dict[str, Any]) -> None:
        self.adapters, self.heads = adapters, heads
        self.owners: dict[str, str | None] = {}
        self.reports: dict[str, Report] = {}
        self.pushed: list[tuple[str, str]] = []

    def owner(self, name: str) -> str | None:
        return self.owners.get(name)

    def add(self, adapter: FakeAdapter, owner: str | None, report: Report | None = None) -> FakeAdapter:
        if any(known.name == adapter.name for known in self.adapters):
            raise UserError(f"There is already something called {adapter.name!r}: choose another name.")
        self.adapters.append(adapter)
        self.owners[adapter.name] = owner
        if report is not None:
            self.reports[adapter.name] = report
        return adapter

    def import_zip(self, file: Path, name: str, owner: str | None) -> FakeAdapter:
        if file.suffix != ".zip":
            raise UserError(f"{file.name} is not a zip.")
        return self.add(FakeAdapter(name, "lora", 1_000, 2), owner)

    def import_from_hub(self, repo: str, name: str, owner: str | None) -> FakeAdapter:
        if repo.count("/") != 1:
            raise UserError(f"{repo!r} is not a Hub id: write someone/name.")
        return self.add(FakeAdapter(name, "prefix", 1_000, 5), owner)

    def zip(self, name: str, into: Path) -> Path:
        file = into / f"{name}.zip"
        file.write_bytes(b"PK")
        return file

    def merged(self, name: str, into: Path) -> Path:
        if name == "facts":
            raise UserError("A prefix cannot be merged: only a LoRA can.")
        return self.zip(f"{name}-merged", into)

    def room_line(self) -> str:
        return ""

    def push(self, name: str, repo: str) -> str:
        self.pushed.append((name, repo))
        return f"https://huggingface.co/{repo}"

    def delete(self, name: str, owner: str | None) -> None:
        if owner is None or self.owners.get(name) != owner:
            raise UserError(f"{name} is not yours.")
        self.adapters[:] = [adapter for adapter in self.adapters if adapter.name != name]
        self.heads.pop(name, None)

    def card(self, name: str) -> str:
        return f"# {name}\n<img src=x onerror=alert(1)> ![](http://example.org/x.png)"

    def report(self, name: str) -> Report | None:
        return self.reports.get(name)


class FakeTrainer:
    """Trains one order after the other; one whose name is `breaks` fails at its third step."""

    def __init__(self, library: FakeLibrary) -> None:
        self.library = library
        self.views: list[JobView] = []  # the newest first
        self.files: list[Path | None] = []

    def modules(self) -> tuple[str, ...]:
        return MODULES

    def estimate(self, order: TrainOrder, file: Path | None) -> Estimate:
        check_name(order.name)
        adapter = order.settings.adapter
        unknown = [] if not isinstance(adapter, LoraSettings) else set(adapter.target_modules) - {*MODULES}
        if unknown:
            raise UserError(f"target_modules: there is no {min(unknown)!r}: choose among {', '.join(MODULES)}.")
        notes = () if file is None else ("2 texts were cut to 128 tokens.",)
        return Estimate(921_600, 0.0068, 1_400_000_000, 700.0, 1200, 130, order.settings.steps, notes)

    def start(self, order: TrainOrder, file: Path | None, owner: str | None) -> str:
        check_name(order.name)
        if any(view.order.name == order.name for view in self.views):
            raise UserError(f"There is already something called {order.name!r}: choose another name.")
        id = f"{len(self.views):032x}"
        waiting = sum(view.state in ("waiting", "running") for view in self.views)
        new = JobView(id, order, owner, "waiting", waiting, "waiting", (), (), order.settings.steps, None, None)
        self.views.insert(0, new)
        self.files.append(file)
        return id

    def stop(self, id: str, owner: str | None) -> None:
        self._replace(id, state="stopped", message="stopped: the best step is kept")

    def jobs(self) -> Sequence[JobView]:
        """Every look is a step of the first that has not ended."""
        going = [view for view in reversed(self.views) if view.state in ("waiting", "running")]
        if going:
            self._step(going[0])
        for place, view in enumerate(going[1:], 1):
            self._replace(view.id, place=place)
        return tuple(self.views)

    def _step(self, view: JobView) -> None:
        number, order = len(view.steps) + 1, view.order
        if order.name == "breaks" and number == 3:
            self._replace(view.id, state="failed", message="The loss is no longer a number: train with a lower lr.")
            return
        checked = 4 + math.exp(-number / 10) if number % order.settings.eval_every == 0 else None
        step = TrainStep(number, 4 + math.exp(-number / 8), checked, checked is not None, 900 * number, float(number))
        sampled = bool(order.sample_prompt) and number % order.sample_every == 0
        samples = (*view.samples, StepSample(number, TEXT)) if sampled else view.samples
        done, left = number == view.total, float(view.total - number)
        changes = {"steps": (*view.steps, step), "samples": samples, "tokens_per_second": 900.0, "seconds_left": left}
        state, message = ("done", "done: choose it in any pane") if done else ("running", "training")
        self._replace(view.id, state=state, place=0, message=message, **changes)
        if done:
            kind = "lora" if isinstance(order.settings.adapter, LoraSettings) else "prefix"
            adapter = FakeAdapter(order.name, kind, 921_600, 8)
            self.library.add(adapter, view.owner, fake_report(order))

    def _replace(self, id: str, **changes: Any) -> None:
        self.views = [view._replace(**changes) if view.id == id else view for view in self.views]


def fake_report(order: TrainOrder) -> Report:
    return Report(
        name=order.name,
        base="fake-135M",
        about="the file <b>sea.txt</b>",
        licence="unknown",
        command="python -m adapters train",
        machine="2 CPU cores",
        settings=order.settings,
        steps=order.settings.steps,
        best_step=order.settings.steps,
        seconds=700.0,
        training_rows=1200,
        validation_rows=130,
        base_scores=Scores(170.0, 173.0, 50.0, 0.1),
        adapter_scores=Scores(110.0, 113.0, 52.0, 0.4),
        samples=(Sample(FIRST_TRY["sample_prompt"], TEXT),),
    )
