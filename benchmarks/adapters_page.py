"""Writes the tables and the plot of docs/adapters.md from each adapter's metrics.json and from docs/sweep.json."""

import argparse
import json
from pathlib import Path

from adapters.adapter_files import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from adapters.cards import fenced
from adapters.methods import from_json
from adapters.store.adapter_store import WEIGHTS
from adapters.training.card import Report
from benchmarks import pages
from benchmarks.sweeps.size_sweep import Results, curves, read_results
from benchmarks.sweeps.size_sweep_command import plot
from benchmarks.sweeps.size_sweep_command import table as sweep_table

PAGE, SWEEP, PLOT = (pages.DOCS / name for name in ("adapters.md", "sweep.json", "sweep.svg"))
HEADS = ("adapter", "kind", "MB", "held-out perplexity, base", "adapter", "adapter / base")
MORE_HEADS = ("general text, adapter / base", "exact answers, base", "adapter")


def reports(weights: Path = WEIGHTS) -> dict[str, Report]:
    """The measurements of every adapter in a folder, by name."""
    folders = sorted(file.parent for file in weights.glob(f"*/{CONFIG_FILE}"))
    return {f.name: from_json(Report, json.loads((f / METRICS_FILE).read_text("utf-8"))) for f in folders}


def row(report: Report, num_bytes: int) -> list[str]:
    """The row of one adapter; perplexity includes end tokens."""
    base, own = report.base_scores, report.adapter_scores
    exact = ["–" if scores.exact_match is None else f"{scores.exact_match:.0%}" for scores in (base, own)]
    return [
        f"[{report.name}](../adapters/weights/{report.name}/README.md)",
        "LoRA" if report.settings.kind == "lora" else "prefix",
        f"{num_bytes / 1e6:.1f}",
        f"{base.perplexity:.1f}",
        f"{own.perplexity:.2f}",
        f"{own.perplexity / base.perplexity:.3f}",
        f"{own.general_perplexity / base.general_perplexity:.2f}",
        *exact,
    ]


def table(weights: Path = WEIGHTS) -> str:
    """A row for each adapter in a folder."""
    rows = [row(r, (weights / name / WEIGHTS_FILE).stat().st_size) for name, r in reports(weights).items()]
    return pages.table((*HEADS, *MORE_HEADS), rows)


def swept(results: Results) -> str:
    """The tables of a sweep, and the commands that measure it again."""
    return "\n\n".join([*map(sweep_table, curves(results)), *map(fenced, results.commands)])


def add_options(_: argparse.ArgumentParser) -> None:
    """There are none."""


def run(_: argparse.Namespace, __: str) -> int:
    """Write the page and its plot."""
    results = read_results(SWEEP)
    pages.write_part(PAGE, "shipped", table())
    pages.write_part(PAGE, "sweep", swept(results))
    PLOT.write_text(plot(curves(results)), "utf-8")
    return 0
