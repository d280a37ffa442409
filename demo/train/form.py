"""The values of the controls of the Train tab -> an order for the trainer, checked. Nothing is certain about them."""

import hashlib
import re
import shutil
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import cache, partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, get_type_hints

from adapters.lora.lora import ALL_LINEAR
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, from_json
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import DATASETS
from adapters.training.order import DEFAULT_LR, KINDS, TrainOrder, TrainSettings
from demo.parts import words as common
from demo.train import words

T = TypeVar("T")
SETTINGS = (LoraSettings, PrefixSettings, TrainSettings, TrainOrder)
NO_SETTINGS = ("adapter", "name", "settings", "data", "about", "licence")  # the form asks otherwise, or not at all
MAX_PASTED = 200_000  # characters
PASTED_SECONDS = 3_600
pasted_folder = cache(partial(TemporaryDirectory, prefix="steerboard-pasted-"))  # it goes with the app
LONGEST_NAME = 34  # characters of a proposed name, before its number
TABLES: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("presets.toml").read_text("utf-8"))
PRESETS = {words.QUICK: TABLES["quick"], words.NORMAL: TABLES["normal"]}
FIRST_TRY = TABLES["quick"] | TABLES["beside"] | {"lr": DEFAULT_LR["lora"]}


def defaults() -> dict[str, Any]:
    """The first value of every control."""
    found = {field.name: field.default for of in SETTINGS for field in fields(of)}
    return {name: FIRST_TRY.get(name, value) for name, value in found.items() if name not in NO_SETTINGS}


def read_train(form: Mapping[str, Any]) -> tuple[TrainOrder, Path | None]:
    """The order, and the uploaded file unless the data is a shipped set. Raises UserError with one line.

    `form` has the values of the settings, and of `name`, `method`, `data`, `file` (the newest upload) and `pasted`.
    """
    kind = words.METHODS.get(form["method"]) if isinstance(form["method"], str) else None
    if kind is None:
        raise UserError(words.BAD_METHOD)
    values = {**form, "target_modules": target_modules(form["target_modules"]), "epochs": form["epochs"] or None}
    values["adapter"] = chosen(KINDS[kind], values)
    values["settings"] = chosen(TrainSettings, values)
    values["data"], file = read_data(form)
    return chosen(TrainOrder, values | {"name": str(form["name"] or "").strip()}), file


def chosen(settings: type[T], values: Mapping[str, Any]) -> T:
    """The settings from the values of their fields. Raises UserError."""
    return from_json(settings, {name: values[name] for name in get_type_hints(settings) if name in values})


def target_modules(names: Any) -> Any:
    """The modules as the settings name them: none for all of attention. Raises UserError for a group beside others."""
    if not isinstance(names, list):
        return names
    groups = {words.ATTENTION, ALL_LINEAR} & {name for name in names if isinstance(name, str)}
    if groups and len(names) > 1:
        raise UserError(words.ONE_GROUP)
    return [] if words.ATTENTION in groups else names


def read_data(form: Mapping[str, Any]) -> tuple[str, Path | None]:
    """(the shipped set, None), or ("", the uploaded file). Raises UserError."""
    data, file = form["data"], form["file"]
    if isinstance(data, str) and data in DATASETS:
        return data, None
    if data == words.PASTED:
        return "", pasted_file(form["pasted"])
    if not isinstance(file, str) or data != your_file(file):
        raise UserError(words.NO_DATA)
    return "", uploaded(file)


def uploaded(path: Any) -> Path:
    """An uploaded file that is still there; raises UserError."""
    if not isinstance(path, str) or not Path(path).is_file():
        raise UserError(common.FILE_GONE)
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


def your_file(path: str) -> str:
    return common.YOUR_FILE.format(name=Path(path).name)


def proposed_name(data: str, file: Any, kind: str, taken: Callable[[str], bool]) -> str:
    """A free name after the text and the method, such as "poetry-lora"."""
    known = {words.PASTED: "my-text"} | {name: name for name in words.DATA_NAMES.values()}
    text = known.get(data) or (Path(file).stem if isinstance(file, str) else "")
    stem = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[: LONGEST_NAME - len(kind)]
    name = f"{stem or 'my-text'}-{kind}"
    return next(each for number in count(1) if not taken(each := name if number == 1 else f"{name}-{number}"))
