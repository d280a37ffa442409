"""The values of the controls of the Train tab -> an order for the trainer, checked.

Nothing is certain about the values.
"""

import hashlib
import shutil
import time
from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from adapters.lora.lora import ALL_LINEAR
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, from_json
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import DATASETS
from adapters.training.order import DEFAULT_LR, TrainOrder, TrainSettings
from demo.parts import words as common
from demo.train import words
from demo.train.presets import PRESETS

LORA_FIELDS, PREFIX_FIELDS = (tuple(field.name for field in fields(of)) for of in (LoraSettings, PrefixSettings))
SETTINGS_FIELDS = tuple(field.name for field in fields(TrainSettings) if field.name != "adapter")
MAX_PASTED = 200_000  # characters
PASTED_SECONDS = 3_600
ORDER_FIELDS = ("epochs", "validation_share", "sample_prompt", "sample_every", "report_to")
FIRST_TRY: dict[str, Any] = PRESETS[words.QUICK] | {
    "lr": DEFAULT_LR["lora"],
    "sample_prompt": "The old man looked at the sea and",
    "init_text": "Answer each question with one short fact: a name, a place, a number or a single word.",
    "target_modules": [words.ATTENTION],
    "report_to": [],
}


class TrainForm(NamedTuple):
    """The values of the tab; `values` by the names of the settings."""

    name: Any
    method: Any  # a key of words.METHODS
    data: Any
    file: Any  # path of the newest upload, or None
    pasted: Any
    values: Mapping[str, Any]


class TrainReading(NamedTuple):
    """A checked order, and the uploaded file unless the data is a shipped set."""

    order: TrainOrder
    file: Path | None


def defaults() -> dict[str, Any]:
    """The first value of every control."""
    classes = (LoraSettings, PrefixSettings, TrainSettings, TrainOrder)
    found = {field.name: field.default for of in classes for field in fields(of)}
    names = (*LORA_FIELDS, *PREFIX_FIELDS, *SETTINGS_FIELDS, *ORDER_FIELDS)
    return {name: FIRST_TRY.get(name, found[name]) for name in names}


def read_train(form: TrainForm) -> TrainReading:
    """The order of the form; raises UserError with one line."""
    kind = words.METHODS.get(form.method) if isinstance(form.method, str) else None
    if kind is None:
        raise UserError(words.BAD_METHOD)
    values = dict(form.values) | {"target_modules": target_modules(form.values["target_modules"])}
    adapter_class, names = (LoraSettings, LORA_FIELDS) if kind == "lora" else (PrefixSettings, PREFIX_FIELDS)
    adapter = from_json(adapter_class, {name: values[name] for name in names})
    settings = from_json(TrainSettings, {name: values[name] for name in SETTINGS_FIELDS} | {"adapter": adapter})
    data, file = read_data(form)
    order = {name: values[name] for name in ORDER_FIELDS} | {"epochs": values["epochs"] or None}
    name = str(form.name or "").strip()
    return TrainReading(from_json(TrainOrder, order | {"name": name, "settings": settings, "data": data}), file)


def target_modules(chosen: Any) -> Any:
    """The modules as the settings name them: none for all of attention. Raises UserError for a group beside others."""
    if not isinstance(chosen, list):
        return chosen
    groups = {words.ATTENTION, ALL_LINEAR} & {name for name in chosen if isinstance(name, str)}
    if groups and len(chosen) > 1:
        raise UserError(words.ONE_GROUP)
    return [] if words.ATTENTION in groups else chosen


def read_data(form: TrainForm) -> tuple[str, Path | None]:
    """(the shipped set, None), or ("", the uploaded file). Raises UserError."""
    if isinstance(form.data, str) and form.data in DATASETS:
        return form.data, None
    if form.data == words.PASTED:
        return "", pasted_file(form.pasted)
    if not isinstance(form.file, str) or form.data != your_file(form.file):
        raise UserError(words.NO_DATA)
    return "", uploaded(form.file)


def uploaded(path: Any) -> Path:
    """An uploaded file that is still there; raises UserError."""
    if not isinstance(path, str) or not Path(path).is_file():
        raise UserError(words.FILE_GONE)
    return Path(path)


def pasted_file(text: Any) -> Path:
    """A file with this text, the same for the same text, for PASTED_SECONDS at least. Raises UserError."""
    if not isinstance(text, str) or not text.strip():
        raise UserError(words.NO_TEXT)
    if len(text) > MAX_PASTED:
        raise UserError(words.TOO_LONG)
    folder = Path(pasted_folder().name)
    for old in folder.glob("*/*.txt"):
        if time.time() - old.stat().st_mtime > PASTED_SECONDS:
            shutil.rmtree(old.parent, ignore_errors=True)
    file = folder / hashlib.sha256(text.encode()).hexdigest() / "pasted.txt"
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")
    return file


@cache
def pasted_folder() -> TemporaryDirectory[str]:
    """The folder of the pasted texts of this process."""
    return TemporaryDirectory(prefix="steerboard-pasted-")


def your_file(path: str) -> str:
    """The name of an uploaded file in the list of data."""
    return common.YOUR_FILE.format(name=Path(path).name)
