"""Cards: the README.md of a folder for the Hub, from a template and the figures in the `metrics.json` beside it."""

import os
import platform
import re
from pathlib import Path
from typing import Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.adapter_files import CARD_FILE, METRICS_FILE, write_json
from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO
from adapters.methods import to_json


def render(template: str, base: str, **values: Any) -> str:
    """The card of something made for the model `base`, which its front matter must name by a Hub id."""
    loader = FileSystemLoader(Path(__file__).parent / "templates")
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"fenced": fenced, "cell": cell}
    base_model = EMBEDDED_REPO if base == EMBEDDED_ID else base
    return environment.get_template(f"{template}.md").render(base=base, base_model=base_model, **values)


def fenced(text: str) -> str:
    """A block of text that Markdown does not interpret."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def cell(text: str) -> str:
    """A text that cannot break out of its cell of a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def machine() -> str:
    cores = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    processor = f"{torch.cuda.get_device_name()}, {cores}" if torch.cuda.is_available() else cores
    return f"{processor}, torch {torch.__version__} with {torch.get_num_threads()} thread(s)"


def write_report(report: Any, card: str, folder: Path) -> None:
    write_json(folder / METRICS_FILE, to_json(report))
    (folder / CARD_FILE).write_text(card, "utf-8")
