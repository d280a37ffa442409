"""The files of a run: texts and table as CSV, JSONL or Parquet, a report, and its settings as JSON.

JSONL and Parquet are exact (NaN is null in JSON). CSV is for spreadsheets: a cell that would run as a formula begins
with a `'`. Settings, hashes and versions are in the frames' `attrs`, which Parquet keeps, and in `run.json`.
"""

import csv
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson
import pandas as pd
from pandas.api.types import is_numeric_dtype

from adapters.methods import to_json
from leaderboard.output.report import run_report
from leaderboard.records import RunData, Sample, Tally
from leaderboard.tables.results import Results, frame

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # first characters of a cell that a spreadsheet runs
NO_TALLY = (float("nan"), None)


class Column(NamedTuple):
    """A column of the frame of texts: its value for a sample, and its type."""

    value: Callable[[Sample], Any]
    dtype: str


def samples_frame(data: RunData) -> pd.DataFrame:
    """One row per text, in the order prompt, method, draw; tags are columns `tag:NAME`.

    For every scorer `sum_logprob:LABEL` (nats) and `num_tokens:LABEL`; for every attribute `attribute:NAME:shown` and
    `attribute:NAME:judged`, the numbers of judgements that found it and of all.
    """
    columns = prompt_columns(data) | sample_columns(data) | tally_columns(data)
    table = pd.DataFrame(
        {
            name: pd.Series([value(sample) for sample in data.samples], dtype=dtype)
            for name, (value, dtype) in columns.items()
        }
    )
    table.attrs.update(describe(data))
    return table


def prompt_columns(data: RunData) -> dict[str, Column]:
    """The columns of the prompt set."""
    prompts = data.run.prompts.prompts
    tags = dict.fromkeys(name for prompt in prompts for name, _ in prompt.tags)
    values = [dict(prompt.tags) for prompt in prompts]
    return {
        "row": Column(lambda sample: sample.prompt + 1, "int64"),
        "id": Column(lambda sample: prompts[sample.prompt].id, "str"),
        "prompt": Column(lambda sample: prompts[sample.prompt].prompt, "str"),
        "reference": Column(lambda sample: prompts[sample.prompt].reference, "str"),
        **{f"tag:{tag}": Column(tag_of(values, tag), "str") for tag in tags},
    }


def tag_of(values: Sequence[Mapping[str, str]], tag: str) -> Callable[[Sample], str | None]:
    """The value of a tag of the sample's prompt."""
    return lambda sample: values[sample.prompt].get(tag)


def sample_columns(data: RunData) -> dict[str, Column]:
    """The columns of the text and its method."""
    methods = data.run.spec.methods
    return {
        "method": Column(lambda sample: methods[sample.method].name, "str"),
        "draw": Column(lambda sample: sample.draw, "int64"),
        "seed": Column(lambda sample: sample.seed, "int64"),
        "text": Column(lambda sample: sample.text, "str"),
        "num_tokens": Column(lambda sample: sample.num_tokens, "int64"),
        "finish_reason": Column(lambda sample: sample.finish_reason, "str"),
        "key": Column(lambda sample: sample.key, "str"),
    }


def tally_columns(data: RunData) -> dict[str, Column]:
    """The columns of scorers and judges."""
    columns: dict[str, Column] = {}
    for label, tallies in data.tallies.items():
        total, number = f"sum_logprob:{label}", f"num_tokens:{label}"
        if label.startswith("attribute:"):
            total, number = f"{label}:shown", f"{label}:judged"
        columns[total] = Column(part_of(tallies, 0), "float64")
        columns[number] = Column(part_of(tallies, 1), "Int64")
    return columns


def part_of(tallies: Mapping[str, Tally], part: int) -> Callable[[Sample], Any]:
    """The total (0) or the number (1) of a sample's tally."""
    return lambda sample: tallies.get(sample.key, NO_TALLY)[part]


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


# Files


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


def to_parquet(table: pd.DataFrame) -> bytes:
    """Parquet with the frame's `attrs`: `pandas.read_parquet` restores both."""
    return table.to_parquet(index=False)


def to_run_json(data: RunData, results: Results) -> bytes:
    """The run's settings, hashes and versions, and its table with the passports of its columns."""
    return orjson.dumps(describe(data) | {"results": to_json(results)}, option=orjson.OPT_INDENT_2)


def table_frame(data: RunData, results: Results) -> pd.DataFrame:
    """One row per metric and method; the run's settings in `attrs`."""
    table = frame(results)
    table.attrs.update(describe(data))
    return table


FILES: dict[str, Callable[[RunData, Results], bytes]] = {
    "report.html": lambda data, results: run_report(data, results).encode(),
    "table.csv": lambda data, results: to_csv(table_frame(data, results)),
    "table.parquet": lambda data, results: to_parquet(table_frame(data, results)),
    "texts.csv": lambda data, _: to_csv(samples_frame(data)),
    "texts.jsonl": lambda data, _: to_jsonl(samples_frame(data)),
    "texts.parquet": lambda data, _: to_parquet(samples_frame(data)),
    "run.json": to_run_json,
}
