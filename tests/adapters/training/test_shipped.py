"""The shipped set for another base model: whole, resumable, with settings that fit the model's size."""

import copy
import json
import signal
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapters.__main__ import main
from adapters.adapter_files import METRICS_FILE
from adapters.base_model import BaseModel, load_base_model
from adapters.decoding.engine import Engine
from adapters.methods import BASE, Request, Sampling, from_json, parse_method
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from adapters.training.card import Report
from adapters.training.corpus import DATA, DATASETS
from adapters.training.loop import Training, read_checkpoint
from adapters.training.shipped import SHIPPED, SIZE, shipped_order
from adapters.training.training_estimate import Estimator, fitted


@pytest.fixture
def model(tiny_llama: BaseModel, tmp_path: Path) -> str:
    folder = tmp_path / "tiny-llama"
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with rows for `headline`; trainings of six steps, and fewer rows to measure."""
    rows = [{"prompt": f"A program for {n}.\nTL;DR:", "completion": " it"} for n in range(40)]
    (tmp_path / "headline.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    short = copy.deepcopy(SHIPPED)
    for table in short.values():
        table["settings"] = table.get("settings", {}) | {"steps": 6, "warmup_steps": 2, "eval_every": 2}
    for name in ("scifi", "austen", "facts-lora"):  # a byte a token makes long books of the shipped texts
        short[name]["data"] = "headline.jsonl"
    shipped_rows = (DATA / short["sentiment"]["data"]).read_text("utf-8").splitlines(keepends=True)
    (tmp_path / "sentiment.jsonl").write_text("".join(shipped_rows[::40]))
    short["sentiment"]["data"] = tmp_path / "sentiment.jsonl"
    for module in ("__main__", "training.shipped"):
        monkeypatch.setattr(f"adapters.{module}.SHIPPED", short)
    monkeypatch.setattr("adapters.training.shipped.GENERAL_ROWS", 2)
    monkeypatch.setattr("adapters.training.card.ASKED_ROWS", 2)
    return tmp_path


def reported(folder: Path) -> Report:
    return from_json(Report, json.loads((folder / METRICS_FILE).read_text("utf-8")))


def shipped_command(model: str, home: Path, *more: str) -> int:
    return main(["train-shipped", *more, "--model", model, "--home", str(home)])


def test_the_table_holds_what_the_shipped_adapters_were_made_with() -> None:
    assert set(SHIPPED) == {folder.name for folder in WEIGHTS.iterdir()}
    for name in set(SHIPPED) - {"sentiment"}:
        report, order = reported(WEIGHTS / name), shipped_order(name, SIZE)
        assert order.settings == report.settings, name
        assert (order.about or DATASETS[order.data].about).replace("benchmarks/", "adapters/") == report.about


def test_a_larger_model_is_trained_in_smaller_steps() -> None:
    assert shipped_order("poetry", 16 * SIZE) == replace(
        shipped_order("poetry", SIZE), settings=replace(shipped_order("poetry", SIZE).settings, lr=0.0005)
    )
    assert shipped_order("facts", 1_711_376_384).settings.lr == 0.0028
    assert shipped_order("scifi", 1000).settings.lr == 0.001, "a smaller one as the embedded model"


def test_a_batch_fits_into_memory(tiny_llama: BaseModel) -> None:
    order = shipped_order("facts", SIZE)
    data = DATASETS["qa_facts"]
    estimator = Estimator(tiny_llama, Path(), 0, 0)
    half = replace(order, settings=replace(order.settings, batch_size=8, steps=480, eval_every=60))
    needed = estimator.estimate(half, data).num_bytes
    assert fitted(tiny_llama, order, data, estimator.estimate(order, data).num_bytes) == order
    assert fitted(tiny_llama, order, data, needed) == half
    assert fitted(tiny_llama, order, data, 0).settings.batch_size == 1


@pytest.mark.slow
def test_the_whole_set_is_made_once(model: str, home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped_command(model, home) == 0
    base = load_base_model(model, home)
    store = AdapterStore([WEIGHTS, home / "adapters"], base)
    kinds = {adapter.name: adapter.kind for adapter in store.adapters}
    assert kinds == {name: table["kind"] for name, table in SHIPPED.items() if name != "sentiment"}
    assert set(store.discriminators) == {"sentiment"}
    names = ("base", "lora:poetry", "prefix:facts", "pplm:sentiment:positive")
    methods = [BASE, *map(parse_method, names[1:])]
    *_, rows = Engine(base, store).generate([Request("It", m) for m in methods], Sampling(max_new_tokens=3))
    assert all(row.token_ids for row in rows)
    assert all("train-shipped" in (home / "adapters" / name / "README.md").read_text("utf-8") for name in SHIPPED)
    assert list((home / "shipped").iterdir()) == []
    assert "headline is ready" in capsys.readouterr().err

    stamps = {file: file.stat().st_mtime_ns for file in (home / "adapters").rglob("*")}
    assert shipped_command(model, home) == 0
    assert {file: file.stat().st_mtime_ns for file in (home / "adapters").rglob("*")} == stamps
    assert capsys.readouterr().err == "".join(f"{name} is there.\n" for name in SHIPPED)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C as on a command line; the processes of xdist ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_a_killed_training_goes_on(model: str, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Training.run
    seen: list[int] = []

    def killed(self: Training, *stop: Any) -> Generator[Any, None, Any]:
        steps = whole(self, *stop)
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                return end.value
            seen.append(step.step)
            if len(seen) == 4:
                signal.raise_signal(signal.SIGINT)
            yield step

    monkeypatch.setattr(Training, "run", killed)
    assert shipped_command(model, home, "scifi") == 130
    assert not (home / "adapters" / "scifi").exists()
    (checkpoint,) = (home / "shipped").iterdir()
    saved = read_checkpoint(checkpoint)
    assert saved is not None
    assert saved.progress.step == 2, "the newest measurement that was written"
    assert shipped_command(model, home, "scifi") == 0
    assert seen == [1, 2, 3, 4, 3, 4, 5, 6]
    assert reported(home / "adapters" / "scifi").steps == 6


def test_what_cannot_be_made_is_told_and_the_others_are_made(
    model: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "headline.jsonl").unlink()
    (home / "adapters" / "scifi").mkdir(parents=True)
    (home / "adapters" / "scifi" / METRICS_FILE).write_text('{"base": "another"}')
    assert shipped_command(model, home, "headline", "scifi", "poetry") == 1
    told = capsys.readouterr().err
    assert "headline is not made: Its rows are no part of this project" in told
    assert "was made for another: give another --out" in told
    assert (home / "adapters" / "poetry" / "README.md").is_file()
