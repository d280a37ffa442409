"""The files that a run can be saved as.

Knows which file holds what; how each format is written is in leaderboard.output.export and leaderboard.output.report.
"""

from collections.abc import Callable

from leaderboard.output.export import samples_frame, to_csv, to_jsonl, to_parquet
from leaderboard.output.report import run_report
from leaderboard.records import RunData
from leaderboard.tables.table import Results, frame

Make = Callable[[RunData, Results], bytes]

FILES: dict[str, Make] = {
    "report.html": lambda data, results: run_report(data, results).encode(),
    "table.csv": lambda _, results: to_csv(frame(results)),
    "table.parquet": lambda _, results: to_parquet(frame(results)),
    "texts.csv": lambda data, _: to_csv(samples_frame(data)),
    "texts.jsonl": lambda data, _: to_jsonl(samples_frame(data)),
    "texts.parquet": lambda data, _: to_parquet(samples_frame(data)),
}
