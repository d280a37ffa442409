"""The form of a training: what its controls say becomes an order, and what is wrong with it is one line."""

import os
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import DATASETS
from adapters.training.order import Times, TrainOrder, TrainSettings
from adapters.training.training_estimate import Estimate
from demo.train import words
from demo.train.form import defaults, read_train, your_file
from demo.train.words import CONTROLS, estimate_lines, num_bytes, settings_line

FIRST = next(iter(DATASETS))


class Reading(NamedTuple):
    order: TrainOrder
    file: Path | None


def read(method: Any = words.LORA, data: Any = FIRST, file: Any = None, **changes: Any) -> Reading:
    chosen = {"name": " waves ", "method": method, "data": data, "file": file, "pasted": ""}
    return Reading(*read_train(chosen | defaults() | changes))


def test_every_setting_of_a_training_has_a_control_with_its_line() -> None:
    settings = {f.name for of in (LoraSettings, PrefixSettings, TrainSettings, TrainOrder) for f in fields(of)}
    told_by_the_form = {"adapter", "name", "settings", "data"}
    for_cards_that_are_published = {"about", "licence"}  # the command line's: the form says what was uploaded
    assert set(defaults()) == settings - told_by_the_form - for_cards_that_are_published
    assert set(defaults()) <= set(CONTROLS)


def test_the_first_values_are_an_order_for_either_method() -> None:
    lora, prefix = read(), read(words.PREFIX)
    assert isinstance(lora.order.settings.adapter, LoraSettings)
    assert isinstance(prefix.order.settings.adapter, PrefixSettings)
    assert (lora.order.name, lora.order.data, lora.order.epochs, lora.file) == ("waves", FIRST, None, None)


def test_what_is_set_arrives() -> None:
    order = read(
        r=4, use_dora=True, target_modules=["mlp.up_proj"], epochs=1.5, patience=0, report_to=["trackio"]
    ).order
    assert isinstance(order.settings.adapter, LoraSettings)
    assert (order.settings.adapter.r, order.settings.adapter.target_modules) == (4, ("mlp.up_proj",))
    assert (order.epochs, order.settings.patience, order.report_to) == (1.5, 0, ("trackio",))
    assert settings_line(order).startswith("r 4, alpha 16, DoRA on mlp.up_proj · 1.5 epochs of 4 × 32 tokens · learn")


@pytest.mark.parametrize(("chosen", "modules"), [(["attention"], ()), (["all-linear"], ("all-linear",)), ([], ())])
def test_a_group_of_modules_is_chosen_alone(chosen: list[str], modules: tuple[str, ...]) -> None:
    adapter = read(target_modules=chosen).order.settings.adapter
    assert isinstance(adapter, LoraSettings)
    assert adapter.target_modules == modules
    with pytest.raises(UserError, match="alone"):
        read(target_modules=[*chosen, "attention", "mlp.up_proj"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"r": 0}, "^r: "),
        ({"r": 4096}, "^r: "),
        ({"r": 2.5}, "^r: "),
        ({"lr": float("nan")}, "^lr: "),
        ({"lr": None}, "^lr: "),
        ({"steps": "many"}, "^steps: "),
        ({"validation_share": 1}, "^validation_share: "),
        ({"epochs": -1}, "^epochs: "),
        ({"schedule": "zigzag"}, "^schedule: "),
        ({"target_modules": "q_proj"}, "^target_modules: "),
        ({"sample_prompt": None}, "^sample_prompt: "),
        ({"method": "full"}, "LoRA or prefix"),
        ({"method": ["LoRA"]}, "LoRA or prefix"),
        ({"data": "secrets"}, "No such text"),
        ({"data": None}, "No such text"),
        ({"data": words.PASTED}, "Paste a text first"),
        ({"data": words.PASTED, "pasted": ["x"]}, "Paste a text first"),
        ({"data": words.PASTED, "pasted": "x" * 200_001}, "too long"),
    ],
    ids=str,
)
def test_what_cannot_be_trained_is_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read(**changes)
    assert "\n" not in str(caught.value)


def test_an_uploaded_file_goes_with_the_order(tmp_path: Path) -> None:
    file = tmp_path / "sea.txt"
    file.write_text("x" * 100)
    found = read(data=your_file(str(file)), file=str(file))
    assert (found.order.data, found.file) == ("", file)
    assert read(file=str(file)).file is None, "a shipped set was chosen after the upload"
    file.unlink()
    with pytest.raises(UserError, match="upload it again"):
        read(data=your_file(str(file)), file=str(file))


def test_an_estimate_says_what_was_cut_in_lines_of_their_own() -> None:
    lines = estimate_lines(
        Estimate(921_600, 0.0068, 1_400_000_000, Times(15.0, 600.0, 105.0), 1200, 130, 100, ("2 texts were cut.",))
    )
    assert lines.split("\n") == [
        "About 12 min, measuring included",
        "100 steps over 1,200 examples, 130 held out · 921,600 parameters (0.68\u00a0%) · 1.4 GB of memory",
        "2 texts were cut.",
    ]
    assert [num_bytes(number) for number in (1, 3_700_000, 2_000_000_000)] == ["0.1 MB", "3.7 MB", "2.0 GB"]


def test_a_pasted_text_goes_with_the_order_as_a_file() -> None:
    found = read(data=words.PASTED, pasted="One.\n\nTwo.")
    assert found.file is not None
    assert (found.order.data, found.file.name) == ("", "pasted.txt")
    assert found.file.read_text("utf-8") == "One.\n\nTwo."
    assert read(data=words.PASTED, pasted="One.\n\nTwo.").file == found.file, "the same text is read once"
    os.utime(found.file, (0, 0))
    assert read(data=words.PASTED, pasted="Other.\n\nText.").file != found.file
    assert not found.file.exists(), "an old one is swept"


def test_every_set_that_ships_has_a_name() -> None:
    assert set(words.DATA_NAMES.values()) == set(DATASETS)
