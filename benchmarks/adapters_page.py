"""Writes the tables and the plot of docs/adapters.md from each adapter's metrics.json and from docs/sweep.json."""

import argparse
import json
from pathlib import Path

from adapters.adapter_files import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from adapters.methods import from_json
from adapters.store.adapter_store import WEIGHTS
from adapters.training.card import Report, fenced
from benchmarks.sweeps.size_sweep import Results, curves, read_results
from benchmarks.sweeps.size_sweep_command import drawing
from benchmarks.sweeps.size_sweep_command import table as sweep_table

DOCS = Path(__file__).parents[1] / "docs"
PAGE, SWEEP, DRAWING = DOCS / "adapters.md", DOCS / "sweep.json", DOCS / "sweep.svg"
HEAD = (
    "| adapter | kind | MB | held-out perplexity, base | adapter | adapter / base | general text, adapter / base "
    "| exact answers, base | adapter |"
)


def reports(weights: Path = WEIGHTS) -> dict[str, Report]:
    """What was measured of each adapter in a folder of them, by name."""
    folders = sorted(file.parent for file in weights.glob(f"*/{CONFIG_FILE}"))
    return {f.name: from_json(Report, json.loads((f / METRICS_FILE).read_text("utf-8"))) for f in folders}


def line(report: Report, num_bytes: int) -> str:
    """One adapter's row; perplexity is with the end tokens."""
    base, own = report.base_scores, report.adapter_scores
    exact = ["–" if scores.exact_match is None else f"{scores.exact_match:.0%}" for scores in (base, own)]
    cells = [
        f"[{report.name}](../adapters/weights/{report.name}/README.md)",
        report.kind,
        f"{num_bytes / 1e6:.1f}",
        f"{base.perplexity:.1f}",
        f"{own.perplexity:.2f}",
        f"{own.perplexity / base.perplexity:.3f}",
        f"{own.general_perplexity / base.general_perplexity:.2f}",
        *exact,
    ]
    return f"| {' | '.join(cells)} |"


def table(weights: Path = WEIGHTS) -> str:
    """A row for each adapter in a folder of them."""
    lines = [line(r, (weights / name / WEIGHTS_FILE).stat().st_size) for name, r in reports(weights).items()]
    return "\n".join([HEAD, "|" + "---|" * HEAD.count(" | ") + "---|", *lines])


def swept(results: Results) -> str:
    """The figures of a sweep, and the commands that make them again."""
    return "\n\n".join([*map(sweep_table, curves(results)), *map(fenced, results.commands)])


def page(text: str) -> str:
    """The page with its tables written anew."""
    for name, part in (("shipped", table()), ("sweep", swept(read_results(SWEEP)))):
        before, begins, rest = text.partition(f"<!-- {name} -->\n")
        text = f"{before}{begins}{part}\n{rest[rest.index(f'<!-- /{name} -->') :]}"
    return text


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_: argparse.Namespace, __: str) -> int:
    """Write the page and its plot."""
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
    DRAWING.write_text(drawing(curves(read_results(SWEEP))), "utf-8")
    return 0
