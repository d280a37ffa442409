"""Folders of adapters: written whole, with an owner and a time of last use, and their two files read without trust.

PEFT's own loader allocates whatever a file asks for, takes regular expressions, and lets extra tensors overwrite base
weights, so it is not used.
"""

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save_file
from torch import Tensor

from adapters.methods import UserError, from_json

T = TypeVar("T")
CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
METRICS_FILE = "metrics.json"
CARD_FILE = "README.md"
OWNER_FILE = ".owner"  # who may delete the folder; it is part of no zip and never leaves the machine
SCRATCH = (".train-", ".import-", ".delete-", ".merge-", ".convert-", ".backup-")  # how their names begin
LEFT_BEHIND = 3600  # seconds after which a scratch folder is one of a process that was killed
LIMITS = {  # bytes of each file that an adapter may have
    CONFIG_FILE: 65_536,
    WEIGHTS_FILE: 512_000_000,  # r = 256 on every linear layer of the embedded model takes 170 MB in float32
    CARD_FILE: 262_144,
    METRICS_FILE: 4_000_000,  # curves of long trainings included
}
MAX_HEADER_BYTES = 4_000_000  # of a safetensors file; two tensors for each of 500 layers take a tenth of it
DTYPES = frozenset({"F32", "F16", "BF16"})  # as safetensors spells them


def check_name(name: str) -> None:
    """Raise UserError for a name that is no name of a folder."""
    if not re.fullmatch("[a-z0-9][a-z0-9_-]{0,39}", name):
        raise UserError("Give it a name (small letters, digits, - or _, at most 40).")


@contextmanager
def new_file(file: Path) -> Iterator[Path]:
    """A scratch file to write; it then takes the place of `file`, or vanishes after an error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield scratch
        scratch.replace(file)
    finally:
        scratch.unlink(missing_ok=True)


def write_json(file: Path, data: Any) -> None:
    """Write JSON, whole or not at all."""
    with new_file(file) as scratch:
        scratch.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", "utf-8")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A scratch folder to write into; it then takes the place of `folder`, or vanishes after an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".train-{os.getpid()}-", dir=folder.parent) as scratch:
        made = Path(scratch) / "new"
        made.mkdir()
        yield made
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)


def sweep(folder: Path) -> None:
    """Delete the scratch folders that killed processes left: old ones, and those named after a dead process."""
    for path in folder.glob(".*-*"):
        named = re.match(r"\.[a-z]+-(\d+)-", path.name)
        gone = named is not None and not psutil.pid_exists(int(named[1]))
        if path.name.startswith(SCRATCH) and (gone or time.time() - path.stat().st_mtime > LEFT_BEHIND):
            shutil.rmtree(path, ignore_errors=True)


def write_owner(folder: Path, owner: str | None) -> None:
    """Note the owner of a folder; None for one that was made on the command line."""
    if owner is not None:
        (folder / OWNER_FILE).write_text(owner, "utf-8")


def read_owner(folder: Path) -> str | None:
    """Owner of a folder, None for nobody."""
    file = folder / OWNER_FILE
    return file.read_text("utf-8") if file.is_file() else None


def note_use(folder: Path) -> None:
    """Mark what a visitor left in `folder` as used now: the time of its owner file. Do nothing for other folders."""
    with suppress(OSError):
        os.utime(folder / OWNER_FILE)


def folder_bytes(folder: Path) -> int:
    """Size of the files directly in `folder`."""
    return sum(file.stat().st_size for file in folder.iterdir() if file.is_file())


def to_remove(own: Path, needed: int, max_bytes: int, keep: Collection[str]) -> tuple[str, ...]:
    """The longest unused of visitors' folders, none in `keep`, to remove for `needed` bytes. Raises UserError."""
    owners = sorted(own.glob(f"[!.]*/{OWNER_FILE}"), key=lambda file: file.stat().st_mtime)
    left = {file.parent.name: folder_bytes(file.parent) for file in owners}
    excess, names = sum(left.values()) + needed - max_bytes, []
    for name in (name for name in left if name not in keep):
        if excess <= 0:
            break
        excess -= left[name]
        names.append(name)
    if excess > 0:
        raise UserError(
            f"It needs {needed / 1e6:.3g} MB, and visitors may leave {max_bytes / 1e6:.3g} MB: make it smaller."
        )
    return tuple(names)


def read_config(folder: Path, name: str = CONFIG_FILE) -> dict[str, Any]:
    """The JSON object in a file of the folder. Raises UserError."""
    most = LIMITS.get(name, LIMITS[CONFIG_FILE])
    try:
        with (folder / name).open("rb") as stream:
            text = stream.read(most + 1)
        if len(text) > most:
            raise UserError(f"{name} is longer than {most} bytes.")
        config = json.loads(text)
    except UserError:
        raise
    except (OSError, RecursionError) as error:
        raise UserError(f"Cannot read {name}: {error}") from error
    except ValueError as error:
        raise UserError(f"{name} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise UserError(f"{name} is not a JSON object.")
    return config


def read_report(folder: Path, kind: type[T]) -> T | None:
    """The report of this kind in `metrics.json`, None where there is no such file. Raises UserError."""
    return from_json(kind, read_config(folder, METRICS_FILE)) if (folder / METRICS_FILE).is_file() else None


def read_tensors(folder: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Exactly the tensors named in `shapes`, as float32 copies, checked by name, shape and dtype before they are read.

    Raises UserError where the header, which is read first, is missing or huge, and where a tensor is missing, extra, of
    another shape or dtype, or not finite.
    """
    path = folder / WEIGHTS_FILE
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
        if not 0 < size <= MAX_HEADER_BYTES:
            raise UserError(f"Cannot read {WEIGHTS_FILE}: it is no safetensors file, or its header is damaged.")
        with safe_open(path, framework="pt", device="cpu") as file:
            check_header(file, shapes)
            tensors = {name: file.get_tensor(name).to(torch.float32, copy=True) for name in shapes}
    except (OSError, SafetensorError) as error:
        raise UserError(f"Cannot read {WEIGHTS_FILE}: {error}") from error
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise UserError(f"{WEIGHTS_FILE}: {name} holds numbers that are not finite.")
    return tensors


def check_header(file: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise UserError unless an open safetensors file holds exactly the tensors named in `shapes`."""
    names = set(file.keys())
    if extra := sorted(names - shapes.keys()):
        raise UserError(f"{WEIGHTS_FILE} holds a tensor that its config does not ask for: {extra[0][:100]}.")
    if missing := sorted(shapes.keys() - names):
        raise UserError(f"{WEIGHTS_FILE} lacks a tensor that its config asks for: {missing[0]}.")
    for name, shape in shapes.items():
        header = file.get_slice(name)
        found, dtype = tuple(header.get_shape()), header.get_dtype()
        if found != shape:
            raise UserError(f"{WEIGHTS_FILE}: {name} has shape {found}, but the base model needs {shape}.")
        if dtype not in DTYPES:
            raise UserError(f"{WEIGHTS_FILE}: {name} is {dtype}, not float32, float16 or bfloat16.")


def store_as_float16(folder: Path) -> None:
    """Rewrite the folder's tensors in float16; exact where they were rounded to float16 before."""
    tensors = load((folder / WEIGHTS_FILE).read_bytes())  # not mapped: Windows cannot write a file that is
    save_file({name: t.half().contiguous() for name, t in tensors.items()}, folder / WEIGHTS_FILE, {"format": "pt"})
