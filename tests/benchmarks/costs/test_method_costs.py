"""What methods cost: measured in children, kept and read back."""

import json
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from adapters.adapter_files import write_json
from adapters.base_model import EMBEDDED_ID, BaseModel, memory
from adapters.learned.costs import FILE, FULL, LORA, MERGED, PREFIX, Cost, Costs, about, ratio, rows, size, stored_costs
from adapters.methods import UserError, to_json
from benchmarks.__main__ import main
from benchmarks.costs.method_costs import check_memory, decoded, in_child, trained_cost, watched_memory

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
    cost = trained_cost(str(folder), folder, 1, name)
    count = trained or tiny_llama.model.num_parameters()
    assert (cost.name, cost.trained, cost.num_bytes) == (name, count, 4 * count)
    assert cost.step_seconds is not None
    assert 0 < cost.step_seconds < 10


def test_decoding_is_timed_for_every_method(tiny_llama: BaseModel, folder: Path) -> None:
    costs = decoded(str(folder), folder, 1)
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
    assert stored_costs(tmp_path, str(folder)) is None
    command = ["methods", "--home", str(tmp_path), "--model", str(folder), "--rounds", "1"]
    assert main([*command, "--json", str(tmp_path / "copy.json")]) == 0
    assert children() == []
    found = stored_costs(tmp_path, str(folder))
    assert found is not None
    assert (tmp_path / "copy.json").read_bytes() == (tmp_path / FILE).read_bytes()
    assert [cost.name for cost in found.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert (found.of(FULL).trained, found.of(MERGED).trained) == (found.num_parameters, None)
    assert found.of(MERGED).num_bytes == 4 * found.num_parameters
    assert all(cost.step_seconds for cost in map(found.of, (LORA, PREFIX, FULL)))
    assert all(cost.token_seconds for cost in map(found.of, ("base", LORA, MERGED, PREFIX)))
    assert stored_costs(tmp_path, "another") is None, "these are another model's figures"


def test_what_a_child_cannot_do_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Cannot load the base model"):
        in_child(partial(trained_cost, str(tmp_path / "nothing"), tmp_path, 1, LORA))
    with pytest.raises(UserError, match="died, perhaps for want of memory"):
        in_child(partial(os._exit, 1))
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
    shipped = stored_costs(tmp_path, EMBEDDED_ID)
    assert shipped is not None, "python -m benchmarks methods --json adapters/data/methods.json writes them"
    assert [cost.name for cost in shipped.methods] == ["base", LORA, MERGED, PREFIX, FULL]
    assert shipped.of(FULL).trained == shipped.num_parameters == 134_515_008
    write_json(tmp_path / FILE, to_json(replace(COSTS, base=EMBEDDED_ID)))
    assert stored_costs(tmp_path, EMBEDDED_ID) == replace(COSTS, base=EMBEDDED_ID)


def test_too_little_memory_is_said_before_anything_is_trained(
    tiny_llama: BaseModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=10**9))
    with pytest.raises(UserError, match=r"takes about 2 GB of memory, 1.0 GB are free"):
        check_memory(replace(tiny_llama))


def test_figures_are_kept_whole_and_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    for _ in range(2):
        write_json(tmp_path / "new" / FILE, to_json(COSTS))
    assert stored_costs(tmp_path / "new", "tiny") == COSTS
    assert [file.name for file in (tmp_path / "new").iterdir()] == [FILE]
    (tmp_path / "new" / FILE).write_text(json.dumps({"base": 1}))
    with pytest.raises(UserError):
        stored_costs(tmp_path / "new", "tiny")
