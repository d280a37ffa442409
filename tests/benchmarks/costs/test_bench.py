"""docs/benchmarks.md shows the stored results."""

import json

from benchmarks import pages
from benchmarks.costs import bench


def test_the_docs_show_what_is_stored() -> None:
    _, shown, _ = pages.part(bench.PAGE.read_text("utf-8"), "bench")
    assert shown == bench.markdown(json.loads(bench.RESULTS.read_text("utf-8"))) + "\n"


def test_a_missing_figure_is_a_dash() -> None:
    row = {"name": "a / b", "min": 1.0, "median": 2.0, "max": 3.0, "cpu_median": None, "bar": 1.5}
    assert bench.table([row]).split("\n")[2] == "| a / b | 1.00 | 2.00 | 3.00 | – | 1.50 |"
