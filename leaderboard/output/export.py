"""The files of a run: texts and table as CSV, JSONL or Parquet, a report, and its settings as JSON.

JSONL and Parquet are exact (NaN is null in JSON). CSV is for spreadsheets: a cell that would run as a formula begins
with a `'`. Settings, hashes and versions are in the frames' `attrs`, which Parquet keeps, and in `run.json`.
"""

import csv
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import orjson
import pandas as pd
from pandas.api.types import is_numeric_dtype

from adapters.methods import to_json
from leaderboard.output.report import run_report
from leaderboard.records import ATTRIBUTE, GIVEN, RunData, Sample
from leaderboard.tables.results import Results

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters of a cell that a spreadsheet runs


def samples_frame(data: RunData) -> pd.DataFrame:
    """One row per text, in the order prompt, method, draw; tags are columns `tag:NAME`.

    For every scorer `sum_logprob:LABEL` (nats) and `num_tokens:LABEL`; for every attribute `attribute:NAME:shown` and
    `attribute:NAME:judged`, the numbers of judgements that found it and of all.
    """
    samples, methods = data.samples, data.run.spec.methods
    of = [data.run.prompts.prompts[sample.prompt] for sample in samples]
    tags = [dict(prompt.tags) for prompt in of]
    columns: dict[str, tuple[str, list[Any]]] = {"row": ("int64", [sample.prompt + 1 for sample in samples])}
    for name in ("id", "prompt", "reference"):
        columns[name] = "str", [getattr(prompt, name) for prompt in of]
    for name in data.run.prompts.tag_names:
        columns[f"tag:{name}"] = "str", [own.get(name) for own in tags]
    columns["method"] = "str", [methods[sample.method].name for sample in samples]
    columns["draw"] = "int64", [sample.draw for sample in samples]
    columns["seed"] = "Int64", [None if sample.finish_reason == GIVEN else sample.seed for sample in samples]
    for name in ("text", "num_tokens", "finish_reason", "key"):
        kind = "int64" if Sample.__annotations__[name] is int else "str"
        columns[name] = kind, [getattr(sample, name) for sample in samples]
    for label, tallies in data.tallies.items():
        total, number = f"sum_logprob:{label}", f"num_tokens:{label}"
        if label.startswith(ATTRIBUTE):
            total, number = f"{label}:shown", f"{label}:judged"
        found = [tallies.get(sample.key) for sample in samples]
        columns[total] = "float64", [tally and tally.total for tally in found]
        columns[number] = "Int64", [tally and tally.number for tally in found]
    table = pd.DataFrame({name: pd.Series(values, dtype=kind) for name, (kind, values) in columns.items()})
    table.attrs.update(describe(data))
    return table


def describe(data: RunData) -> dict[str, Any]:
    """Everything that determines the run, beside the prompts, as JSON; without its owner."""
    run = data.run
    return {
        "version": 1,
        "run": run.id,
        "created": run.created.isoformat(),
        "status": run.status,
        "prompt_set": run.prompts.name,
        "base": run.base,
        "spec": to_json(run.spec),
        "hashes": dict(run.hashes),
        "versions": dict(run.versions),
    }


def to_csv(table: pd.DataFrame) -> bytes:
    """CSV for spreadsheets: UTF-8 with BOM, every text in quotes, formulas defused."""
    safe = table.apply(lambda column: column if is_numeric_dtype(column) else column.map(defuse)).rename(columns=defuse)
    return safe.to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").encode("utf-8-sig")


def defuse(value: Any) -> Any:
    """The cell, with a `'` before a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def to_jsonl(table: pd.DataFrame) -> bytes:
    """One object per line; missing values are null."""
    plain = table.astype(object).where(table.notna(), None)
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    return b"".join(orjson.dumps(row, option=option) for row in plain.to_dict("records"))


def to_run_json(data: RunData, results: Results) -> bytes:
    return orjson.dumps(describe(data) | {"results": to_json(results)}, option=orjson.OPT_INDENT_2)


def table_frame(data: RunData, results: Results) -> pd.DataFrame:
    """One row per metric and method: figures, tie, best, the metric's passport; the run's settings in `attrs`."""
    columns = {**results.cells, **{f"perplexity_under:{label}": cells for label, cells in results.cross.items()}}
    table = pd.DataFrame(
        {
            "method": method,
            "metric": metric,
            **cell._asdict(),
            "tie": cell.tie,
            "best": method in results.best.get(metric, ()),
            **asdict(results.passports[metric]),
        }
        for metric, cells in columns.items()
        for method, cell in cells.items()
    )
    table.attrs.update(describe(data))
    return table


FILES: dict[str, Callable[[RunData, Results], bytes]] = {
    "report.html": lambda data, results: run_report(data, results).encode(),
    "table.csv": lambda data, results: to_csv(table_frame(data, results)),
    "table.parquet": lambda data, results: table_frame(data, results).to_parquet(index=False),
    "texts.csv": lambda data, _: to_csv(samples_frame(data)),
    "texts.jsonl": lambda data, _: to_jsonl(samples_frame(data)),
    "texts.parquet": lambda data, _: samples_frame(data).to_parquet(index=False),
    "run.json": to_run_json,
}
