"""What methods cost: children that end with their reader, figures that are kept and read back."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from adapters.adapter_files import write_json
from adapters.base_model import EMBEDDED_ID, BaseModel, memory
from adapters.learned.costs import FULL, LORA, MERGED, PREFIX, Cost, Costs, about, ratio, rows, size
from adapters.learned.method_costs import (
    FILE,
    MethodCosts,
    check_memory,
    decoded,
    in_child,
    trained_cost,
    watched_memory,
)
from adapters.methods import UserError, to_json
from adapters.training.order import finish

COSTS = Costs(
    base="tiny",
    num_parameters=1000,
    device="cpu",
    dtype="float32",
    machine="a machine",
    measured="2026-01-02 03:04",
    rank=8,
    virtual=20,
    batch=4,
    tokens=64,
    decoded=16,
    rounds=5,
    methods=(
        Cost("base", 0, 0, token_seconds=0.1),
        Cost(LORA, 920_000, 3_680_000, 500_000_000, 1.5, 0.11),
        Cost(FULL, 1000, 4000, 2_000_000_000, 3.0),
    ),
)


@pytest.fixture(scope="module")
def folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model as a folder that any process can load."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return folder


def children() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]


@pytest.mark.parametrize(
    ("name", "trained"), [(LORA, 8 * 3 * (64 + 48 + 48 + 64)), (PREFIX, 20 * 3 * 2 * 16), (FULL, 0)]
)
def test_each_method_trains_its_own_parameters(tiny_llama: BaseModel, folder: Path, name: str, trained: int) -> None:
    cost = finish(trained_cost(str(folder), folder, 1, name), print)
    count = trained or tiny_llama.model.num_parameters()
    assert (cost.name, cost.trained, cost.num_bytes) == (name, count, 4 * count)
    assert cost.step_seconds is not None
    assert 0 < cost.step_seconds < 10


def test_decoding_is_timed_for_every_method(tiny_llama: BaseModel, folder: Path) -> None:
    costs = finish(decoded(str(folder), folder, 1), print)
    assert (costs.base, costs.num_parameters) == (str(folder), tiny_llama.model.num_parameters())
    assert (costs.device, costs.dtype, costs.rank, costs.virtual) == ("cpu", "float32", 8, 20)
    assert [cost.name for cost in costs.methods] == ["base", LORA, MERGED, PREFIX]
    assert all(0 < (cost.token_seconds or 0) < 10 for cost in costs.methods)


def test_memory_is_the_most_while_it_is_taken() -> None:
    before = memory(torch.device("cpu"))
    with watched_memory(torch.device("cpu")) as seen:
        block = torch.ones(20_000_000)  # 80 MB
        del block
    assert 70e6 < max(seen) - before < 300e6


def test_the_whole_measurement_runs_in_children_that_are_gone_afterwards(folder: Path, tmp_path: Path) -> None:
    costs = MethodCosts(str(folder), str(folder), tmp_path)
    assert costs.stored() is None
    said = list(costs.measure(1))
    assert said[0] == "loading the base model"
    assert "decoding, round 1 of 1" in said
    assert children() == []
    found = costs.stored()
    assert found is not None
    assert [cost.name for cost in found.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert (found.of(FULL).trained, found.of(MERGED).trained) == (found.num_parameters, None)
    assert found.of(MERGED).num_bytes == 4 * found.num_parameters
    assert all(cost.step_seconds for cost in map(found.of, (LORA, PREFIX, FULL)))
    assert all(cost.token_seconds for cost in map(found.of, ("base", LORA, MERGED, PREFIX)))
    assert MethodCosts(None, "another", tmp_path).stored() is None, "these are another model's figures"


def test_what_a_child_cannot_do_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot load the base model"):
        list(in_child(trained_cost, str(tmp_path / "nothing"), tmp_path, 1, LORA))
    with pytest.raises(UserError, match="died, perhaps for want of memory"):
        list(in_child(print, 1))  # type: ignore[arg-type]  # ends with a traceback, unanswered


def test_closing_a_measurement_ends_its_child(folder: Path, tmp_path: Path) -> None:
    measuring = MethodCosts(str(folder), "", tmp_path).measure()
    next(measuring)
    assert len(children()) == 1
    measuring.close()
    assert children() == []


def test_the_table_has_ratios_within_the_run() -> None:
    table = {row[0]: row[1:] for row in rows(COSTS)}
    assert table["LoRA"] == [
        "0.92 M",
        "3.68 MB",
        "500 MB (25 % of full)",
        "1.50 s (50 % of full)",
        "1.10 × base",
    ]
    assert table["full fine-tuning"][-1] == ""
    assert "processor time of one thread" in about(COSTS)
    assert (ratio(None, 1, "x"), ratio(1, None, "x"), ratio(1, 0, "x"), ratio(1, 4, "x")) == ("", "", "", "0.25x")
    assert (size(921_600), size(1_957_000_000)) == ("0.922 MB", "1.96 GB")


def test_the_embedded_model_has_shipped_figures_until_others_are_measured(tmp_path: Path) -> None:
    costs = MethodCosts(None, EMBEDDED_ID, tmp_path)
    shipped = costs.stored()
    assert shipped is not None, "python -m adapters methods --json adapters/data/methods.json writes them"
    assert [cost.name for cost in shipped.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert shipped.of(FULL).trained == shipped.num_parameters == 134_515_008
    write_json(tmp_path / FILE, to_json(replace(COSTS, base=EMBEDDED_ID)))
    assert costs.stored() == replace(COSTS, base=EMBEDDED_ID)


def test_too_little_memory_is_said_before_anything_is_trained(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**9))
    with pytest.raises(UserError, match=r"takes about 2 GB of memory, 1.0 GB are free"):
        check_memory(replace(tiny_llama))


def test_figures_are_kept_whole_and_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        write_json(tmp_path / "new" / FILE, to_json(COSTS))
    costs = MethodCosts(None, "tiny", tmp_path / "new")
    assert costs.stored() == COSTS
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]
    (tmp_path / "new" / FILE).write_text(json.dumps({"base": 1}))
    with pytest.raises(UserError):
        costs.stored()
