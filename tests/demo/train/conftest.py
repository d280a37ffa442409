"""Adapters of this browser's own, and trainings whose jobs are written instead of worked on."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.adapter_files import METRICS_FILE, write_owner
from adapters.lora.settings import LoraSettings
from adapters.methods import to_json
from adapters.training.card import Report, Sample, Scores
from adapters.training.order import TrainSettings
from adapters.training.queue import Trainer
from demo.parts.links import owner_of
from demo.services import Services

MINE = "0" * 32  # secret of a browser
TEXT = " said <b>nothing</b>, for the tide was out."


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker takes a job from the queue."""
    monkeypatch.setattr(Trainer, "_attend", lambda self: None)


@pytest.fixture(scope="module")
def own_adapter(shared_services: Services) -> Callable[[str], Path]:
    """Leaves a LoRA of this browser's own, with its report; returns its folder."""

    def make(name: str) -> Path:
        verse = shared_services.store.find("verse").folder
        folder = verse.with_name(name)
        shutil.copytree(verse, folder)
        (folder / METRICS_FILE).write_text(json.dumps(to_json(report(name))), "utf-8")
        (folder / "README.md").write_text(f"# {name}\n<img src=x onerror=alert(1)>", "utf-8")
        write_owner(folder, owner_of(MINE))
        shared_services.store.offer(folder)
        return folder

    return make


def report(name: str) -> Report:
    return Report(
        name=name,
        base="tiny-llama",
        about="the file <b>sea.txt</b>",
        licence="unknown",
        command="python -m adapters train",
        machine="2 CPU cores",
        settings=TrainSettings(LoraSettings()),
        steps=30,
        best_step=30,
        seconds=700.0,
        training_rows=1200,
        validation_rows=130,
        base_scores=Scores(170.0, 173.0, 50.0, 0.1),
        adapter_scores=Scores(110.0, 113.0, 52.0, 0.4),
        samples=(Sample("The old man looked at the sea and", TEXT),),
    )
