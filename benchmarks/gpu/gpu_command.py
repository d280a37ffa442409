"""Everything that a GPU is asked, each part in a process and within a time of its own, into one JSON file.

Takes at most eight minutes. An error of one part is noted and does not end the others. Without a GPU it runs on a tiny
model: a rehearsal, which no page shows.
"""

import argparse
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from adapters.adapter_files import write_json
from adapters.base_model import EMBEDDED_ID
from benchmarks import pages
from benchmarks.gpu.gpu_parts import PARTS, ROOT, Site, Skip

KEPT = ROOT / "benchmarks" / "costs" / "gpu.json"  # what the page shows
PAGE = pages.DOCS / "benchmarks.md"
LIBRARIES = ("torch", "transformers", "peft", "tokenizers", "numpy", "safetensors")
NOT_YET = "Not yet run on a GPU."


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `gpu`."""
    command.add_argument("parts", nargs="*", choices=[[], *PARTS], help="what to do; default: everything")
    command.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of the embedded base model")
    command.add_argument("--model", help="another base model: a Hub id or a local folder")
    command.add_argument("--out", type=Path, help="the .json file to write; default: gpu.json in the home folder")
    command.add_argument("--commit", help="what is run, where there is no git")
    command.add_argument("--page", action="store_true", help=f"only show {KEPT.relative_to(ROOT)} in the docs")
    command.add_argument("--work", type=Path, help=argparse.SUPPRESS)  # of a part in its own process


def run(options: argparse.Namespace, _: str) -> int:
    """Do the parts and write the file, or write the page from the kept one. Raises OSError."""
    if options.page:
        write_page()
    elif options.work is not None:
        do_part(options)
    else:
        with tempfile.TemporaryDirectory() as work:
            results = measured(options, Path(work))
        out = options.out or options.home / "gpu.json"
        write_json(out, results)
        print(f"{markdown(results)}\n\nwritten to {out}")
    return 0


def measured(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Do all parts, one after the other, in a scratch folder."""
    began, on_gpu = time.monotonic(), torch.cuda.is_available()
    subprocess.run([sys.executable, "-m", "tests.tiny", work / "tiny"], cwd=ROOT, check=True)
    model, tiny = options.model, str(work / "tiny")
    if model is None and not (on_gpu and (options.home / EMBEDDED_ID).is_dir()):
        model = tiny
    done = {}
    for name in options.parts or PARTS:
        print(f"{name}, at most {PARTS[name][1]} s", flush=True)
        done[name] = part(name, options.home.resolve(), model, work)
        print({key: value for key, value in done[name].items() if key != "rows"}, flush=True)
    return {
        "card": torch.cuda.get_device_name() if on_gpu else f"no GPU: {platform.machine()}",
        "device": "cuda" if on_gpu else "cpu",
        "model": EMBEDDED_ID if model is None else "a tiny random model" if model == tiny else model,
        "commit": options.commit or commit(),
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES if find_spec(name)},
        "seconds": time.monotonic() - began,
        "parts": done,
    }


def part(name: str, home: Path, model: str | None, work: Path) -> dict[str, Any]:
    """Do a part in its own process: its rows, its seconds, and why it was left out or ended early."""
    began, limit = time.monotonic(), PARTS[name][1]
    command = [sys.executable, "-m", "benchmarks.gpu", name, "--home", str(home), "--work", str(work)]
    command += [] if model is None else ["--model", model]
    log, found = work / f"{name}.log", dict[str, Any]()
    session = partial(subprocess.Popen, cwd=ROOT, start_new_session=True)  # to be ended with its own children
    with log.open("w") as out, session(command, stdout=out, stderr=out) as child:
        try:
            if child.wait(limit):
                found["error"] = log.read_text("utf-8", "replace")[-1500:]
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            found["error"] = f"It was ended after {limit} s."
    rows = work / f"{name}.jsonl"
    lines = rows.read_text("utf-8").split("\n")[:-1] if rows.is_file() else []
    told = [json.loads(line) for line in lines]
    for line in told:
        found |= line if "skipped" in line else {}
    return found | {"seconds": time.monotonic() - began, "rows": [line for line in told if "name" in line]}


def do_part(options: argparse.Namespace) -> None:
    """Do the one part that is named, and write each row as soon as it is known."""
    (name,) = options.parts
    work, (found, seconds) = options.work, PARTS[name]
    site = Site(options.home, options.model, work / "tiny", work, torch.cuda.is_available(), seconds)
    with (work / f"{name}.jsonl").open("w", encoding="utf-8") as rows:
        try:
            for row in found(site):
                print(json.dumps({key: sound(value) for key, value in row.items()}), file=rows, flush=True)
        except Skip as reason:
            print(json.dumps({"skipped": str(reason)}), file=rows)


def sound(value: Any) -> Any:
    """A value that JSON knows: None for a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def commit() -> str:
    """The commit of the source; "unknown" where there is no git."""
    git = ["git", "-c", "safe.directory=*", "describe", "--always", "--dirty"]
    try:
        return subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def write_page(page: Path = PAGE) -> None:
    """Show the kept results on the page of costs; without any, say so."""
    kept = json.loads(KEPT.read_text("utf-8")) if KEPT.is_file() else None
    pages.write_part(page, "gpu", NOT_YET if kept is None or kept["device"] == "cpu" else markdown(kept))


def markdown(results: dict[str, Any]) -> str:
    """Where it ran, and a table for each part."""
    libraries = ", ".join(f"{name} {number}" for name, number in results["libraries"].items())
    ran = f"{results['card']}; {results['model']}; commit {results['commit']}, {results['at']}"
    shown = [f"{ran}; Python {results['python']}, {libraries}; {results['seconds']:.0f} s."]
    for name, done in results["parts"].items():
        told = [f"{name}, {done['seconds']:.0f} s:"]
        told += [f"Left out: {done['skipped']}."] if "skipped" in done else []
        told += [f"Ended early: {done['error'].strip().splitlines()[-1]}"] if "error" in done else []
        rows = [cells(row) for row in done["rows"]]
        shown += told + ([pages.table(("what", "unit", "min", "median", "max", "note"), rows)] if rows else [])
    return "\n\n".join(shown)


def cells(row: dict[str, Any]) -> list[str]:
    figures = [f"{row[name]:.3g}" if row.get(name) is not None else "–" for name in ("min", "median", "max")]
    peak = f"peak {row['peak_mb']:,.0f} MB" if "peak_mb" in row else ""
    return [row["name"], row["unit"], *figures, "; ".join(filter(None, [row.get("note", ""), peak]))]
