"""The shipped set for any base model: the settings of `data/shipped.toml`, scaled by the model's size; resumable.

Larger models want smaller steps: lr falls with the root of the number of parameters.
"""

import json
import math
import tomllib
from collections.abc import Generator
from pathlib import Path
from typing import Any

from adapters.adapter_files import METRICS_FILE, read_config
from adapters.base_model import BaseModel
from adapters.methods import UserError, from_json, to_json
from adapters.store.weight_cache import sha256
from adapters.training.card import Report
from adapters.training.corpus import DATA, DATASETS, Dataset, own_dataset
from adapters.training.making import GENERAL_ROWS, Place, make_adapter
from adapters.training.order import DEFAULT_LR, KINDS, Event, TrainOrder, TrainSettings

SHIPPED: dict[str, dict[str, Any]] = tomllib.loads((DATA / "shipped.toml").read_text("utf-8"))
SIZE = 134_515_008  # parameters of the embedded model


def is_made(base: BaseModel, folder: Path) -> bool:
    """Whether it is there, for this base model. Raises UserError where something else has its folder."""
    made_for = read_config(folder, METRICS_FILE).get("base") if folder.exists() else base.id
    if made_for != base.id:
        raise UserError(f"{folder} was made for {made_for}: give another --out.")
    return folder.exists()


def shipped_order(name: str, num_parameters: int) -> TrainOrder:
    """The order of a shipped adapter for a model of that size."""
    table = {"settings": {}} | SHIPPED[name]
    settings = {"lr": DEFAULT_LR[table["kind"]]} | table["settings"]
    settings["lr"] = float(f"{settings['lr'] * min(1.0, math.sqrt(SIZE / num_parameters)):.2g}")
    adapter = from_json(KINDS[table["kind"]], table.get("adapter", {}))
    told = {key: table[key] for key in ("about", "licence") if key in table}
    data = {"data": table["data"]} if table["data"] in DATASETS else {}
    return from_json(
        TrainOrder, {"name": name, "settings": from_json(TrainSettings, settings | {"adapter": adapter})} | data | told
    )


def shipped_data(name: str, home: Path) -> Dataset:
    """The rows of a shipped adapter. Raises UserError where the home folder lacks them."""
    source = SHIPPED[name]["data"]
    data = DATASETS.get(source) or own_dataset(home / source)
    if not data.file.is_file():
        raise UserError(f"Its rows are no part of this project: `python -m benchmarks headlines` writes {data.file}.")
    return data


def make_shipped(
    base: BaseModel, order: TrainOrder, home: Path, out: Path, command: str
) -> Generator[Event, None, Report]:
    """Train one of the set, from its checkpoint on if there is one; yield its events. Raises UserError."""
    key = sha256(base.weights_hash, base.device.type, json.dumps(to_json(order)))[:16]
    checkpoint = home / "shipped" / f"{order.name}-{key}.safetensors"  # another model, device or setting begins anew
    place = Place(out / order.name, command, home / "logs", GENERAL_ROWS, checkpoint=checkpoint)
    report = yield from make_adapter(base.private(), order, shipped_data(order.name, home), place)
    checkpoint.unlink(missing_ok=True)
    return report
