"""The run that ships: everything stored of it, in one JSON file that `python -m benchmarks showcase` writes.

The app shows it beside the runs of its database and never writes to it.
"""

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from adapters.methods import from_json
from leaderboard.records import RunData, Tally

FILE = Path(__file__).parent / "data" / "showcase.json"


class Shipped(NamedTuple):
    data: RunData
    results: dict[str, Any]  # its table as JSON data
    token_ids: dict[str, tuple[int, ...]]  # of each text by key; nothing else of its trace is kept


def read_shipped(file: Path = FILE) -> dict[str, Shipped]:
    """The run that ships by its id; empty where there is no file."""
    if not file.is_file():
        return {}
    record = orjson.loads(file.read_bytes())
    shipped = from_json(Shipped, record["run"])
    of_prompts = {
        (kind, label): {int(place): Tally(*tally) for place, tally in of.items()}
        for kind, label, of in record["prompt_tallies"]
    }
    return {shipped.data.run.id: shipped._replace(data=shipped.data._replace(prompt_tallies=of_prompts))}
