"""A training's state in one file: written aside, then renamed, so that there is always a whole one.

Knows files and tensors; knows nothing of what they mean. It is a safetensors file with the numbers in its metadata.
"""

import json
import os
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file

from adapters.methods import from_json, to_json
from adapters.training.loop import Progress, Saved


def write_checkpoint(file: Path, saved: Saved) -> None:
    """Writes the state; what was there before stays until this is whole. Raises OSError where the disk is full."""
    aside = file.with_suffix(".aside")
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in saved.tensors.items()}
    save_file(tensors, aside, {"progress": json.dumps(to_json(saved.progress))})
    with aside.open("rb") as written:
        os.fsync(written.fileno())
    aside.replace(file)


def read_checkpoint(file: Path) -> Saved | None:
    """The state that was written; None where there is none."""
    if not file.is_file():
        return None
    with safe_open(file, framework="pt", device="cpu") as opened:
        progress = from_json(Progress, json.loads(opened.metadata()["progress"]))
        return Saved(progress, {name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
