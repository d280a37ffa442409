"""`python -m adapters.shipped` writes the table of the shipped adapters into docs/adapters.md, from their metrics.json.

Knows reports and files; measures nothing.
"""

import json
import re
import sys
from pathlib import Path

from adapters.card import Report
from adapters.files import CONFIG_FILE, METRICS_FILE, WEIGHTS_FILE
from adapters.methods import from_json
from adapters.store import WEIGHTS

PAGE = Path(__file__).parents[1] / "docs" / "adapters.md"
BETWEEN = re.compile("(?<=<!-- shipped -->\n).*(?=\n<!-- /shipped -->)", re.DOTALL)
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


def main() -> int:
    """Writes the table anew."""
    PAGE.write_text(BETWEEN.sub(lambda _: table(), PAGE.read_text("utf-8")), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
