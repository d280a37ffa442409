"""How long a training is, and the name that is proposed for it. Knows settings and names, nothing of the page."""

import re
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

from demo.train import words

# Quick: at most 90 s on two quiet cores with the embedded model, measuring included (docs/training.md has the parts).
# Normal: some minutes on a laptop.
PRESETS: dict[str, dict[str, Any]] = {
    words.QUICK: {
        "steps": 20,
        "warmup_steps": 3,
        "batch_size": 4,
        "max_length": 32,
        "eval_every": 5,
        "eval_examples": 8,
        "patience": 0,
        "sample_every": 10,
        "epochs": 0,
    },
    words.NORMAL: {
        "steps": 100,
        "warmup_steps": 10,
        "batch_size": 8,
        "max_length": 128,
        "eval_every": 10,
        "eval_examples": 32,
        "patience": 4,
        "sample_every": 20,
        "epochs": 0,
    },
}
LONGEST_NAME = 34  # characters, before the number


def proposed_name(data: str, file: Any, kind: str, taken: Callable[[str], bool]) -> str:
    """A free name after the text and the method, such as "poetry-lora"."""
    known = {words.PASTED: "my-text"} | {name: name for name in words.DATA_NAMES.values()}
    text = known.get(data) or (Path(file).stem if isinstance(file, str) else "")
    stem = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[: LONGEST_NAME - len(kind)]
    name = f"{stem or 'my-text'}-{kind}"
    return next(each for number in count(1) if not taken(each := name if number == 1 else f"{name}-{number}"))
