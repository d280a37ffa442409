"""What methods cost: processes that take turns and end with their reader; figures that are kept and read back."""

import json
import threading
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from adapters.base_model import BaseModel
from adapters.learned import cost_workers, method_costs
from adapters.learned.cost_workers import Memory, Ready, Step, decode, train
from adapters.learned.costs import FULL, LORA, MERGED, PREFIX, Cost, about, ratio, rows
from adapters.learned.method_costs import FILE, MethodCosts, check_memory, collected, measure, opened, write_costs
from adapters.methods import UserError
from tests.demo.fakes import COSTS


@pytest.fixture(scope="module")
def folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a folder that any process can load."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def no_watch_for_a_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes here are threads."""
    monkeypatch.setattr(cost_workers, "end_with_parent", lambda: None)


def asked(work: Callable[..., None], *arguments: Any, count: int = 2) -> Iterator[Any]:
    """The first answer of a worker, and some rounds."""
    mine, its = Pipe()
    thread = threading.Thread(target=work, args=(its, *arguments))
    thread.start()
    try:
        yield mine.recv()
        for _ in range(count):
            mine.send(None)
            yield mine.recv()
    finally:
        mine.close()
        thread.join()


@pytest.mark.parametrize(
    ("name", "trained"), [(LORA, 8 * 3 * (64 + 48 + 48 + 64)), (PREFIX, 20 * 3 * 2 * 16), (FULL, 0)]
)
def test_each_method_trains_its_own_parameters(tiny_llama: BaseModel, folder: Path, name: str, trained: int) -> None:
    ready, first, second = asked(train, str(folder), folder, name)
    count = tiny_llama.model.num_parameters()
    assert isinstance(ready, Ready)
    assert (ready.base, ready.num_parameters, ready.trained) == (str(folder), count, trained or count)
    assert (ready.device, ready.dtype) == ("cpu", "float32")
    for step in (first, second):
        assert isinstance(step, Step)
        assert 0 < step.seconds < 10
        assert step.memory >= 0


def test_decoding_is_timed_for_every_method(folder: Path) -> None:
    ready, first, _ = asked(decode, str(folder), folder)
    assert ready.trained == 0
    assert list(first) == ["base", LORA, MERGED, PREFIX]
    assert all(0 < seconds < 10 for seconds in first.values())


def test_what_a_worker_cannot_do_is_said_at_the_other_end(tmp_path: Path) -> None:
    (found,) = asked(train, str(tmp_path / "nothing"), tmp_path, LORA, count=0)
    assert isinstance(found, UserError)
    assert "Cannot load the base model" in str(found)


def test_memory_is_the_most_while_it_is_taken() -> None:
    memory = Memory(torch.device("cpu"))
    with memory:
        block = torch.ones(20_000_000)  # 80 MB
        del block
    assert 70e6 < memory.most < 300e6


def test_the_whole_measurement_runs_in_processes_that_are_gone_afterwards(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    costs = MethodCosts(str(folder), str(folder), tmp_path)
    assert costs.stored() is None
    monkeypatch.setattr(method_costs.measure, "__defaults__", (1,))
    said = list(costs.measure())
    assert said[0] == "loading the base model"
    assert "decoding, round 1 of 1" in said
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    found = costs.stored()
    assert found is not None
    assert [cost.name for cost in found.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert (found.of(FULL).trained, found.of(MERGED).trained) == (found.num_parameters, None)
    assert found.of(LORA).num_bytes == 4 * (found.of(LORA).trained or 0)
    assert all(cost.step_seconds for cost in map(found.of, (LORA, PREFIX, FULL)))
    assert all(cost.token_seconds for cost in map(found.of, ("base", LORA, MERGED, PREFIX)))
    assert MethodCosts(None, "another", tmp_path).stored() is None, "these are another model's figures"


def fall_silent(pipe: Any) -> None:
    """A process that is ended before it answers."""


def test_a_process_that_dies_is_one_line() -> None:
    with opened(fall_silent, ()) as pipe, pytest.raises(UserError, match="was ended, perhaps for want"):
        method_costs.answer(pipe)


def test_figures_are_medians_and_the_highest_peaks() -> None:
    ready = Ready("tiny", 1000, 10, "cpu", "float32", "a machine")
    steps = {name: [Step(3.0, 5), Step(1.0, 9), Step(2.0, 7)] for name in (LORA, PREFIX, FULL)}
    tokens = {"base": 0.5, LORA: 0.6, MERGED: 0.5, PREFIX: 0.55}
    costs = collected(ready, 3, {LORA: 10, PREFIX: 20, FULL: 1000}, steps, tokens)
    assert [cost.name for cost in costs.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert costs.of(LORA) == Cost(LORA, 10, 40, 9, 2.0, 0.6)
    assert costs.of(MERGED) == Cost(MERGED, None, 4000, None, None, 0.5)
    assert costs.of(FULL) == Cost(FULL, 1000, 4000, 9, 2.0, None)
    assert (costs.rank, costs.virtual, costs.measured[:2]) == (8, 20, "20")


def test_the_table_has_ratios_within_the_run() -> None:
    table = {row[0]: row[1:] for row in rows(COSTS)}
    assert table["LoRA"] == ["920,000", "3.7", "500", "0.25", "1.50", "0.50", "1.10"]
    assert table["full fine-tuning"][-1] == ""
    assert "processor time of one thread" in about(COSTS)
    assert (ratio(None, 1), ratio(1, None), ratio(1, 0), ratio(1, 4)) == ("", "", "", "0.25")


def test_too_little_memory_is_said_before_anything_large_is_loaded() -> None:
    with pytest.raises(UserError, match="takes about 2802 GB of memory"):
        check_memory(Ready("huge", 10**11, 1, "cpu", "float32", "m"))
    check_memory(Ready("huge", 10**11, 1, "cuda", "bfloat16", "m"))  # whose memory is not this one


def test_figures_are_kept_whole_and_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    write_costs(COSTS, tmp_path / "new" / FILE)
    costs = MethodCosts(None, "fake-135M", tmp_path / "new")
    assert costs.stored() == COSTS
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]
    (tmp_path / "new" / FILE).write_text(json.dumps({"base": 1}))
    with pytest.raises(UserError):
        costs.stored()


def test_closing_a_measurement_ends_its_processes(folder: Path, tmp_path: Path) -> None:
    measuring = measure(str(folder), tmp_path)
    next(measuring)
    assert [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    measuring.close()
    assert not [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
