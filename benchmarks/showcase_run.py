"""Makes the run that the Leaderboard opens on: shipped prompts, every kind of method, one topic."""

import argparse
from pathlib import Path

import orjson

from adapters.methods import Sampling, parse_method, to_json
from leaderboard.__main__ import begin, load_prompts, watch
from leaderboard.records import RunSpec
from leaderboard.runs.runner import Runner, load_engine
from leaderboard.showcase import FILE, Shipped
from leaderboard.store.database import Database
from leaderboard.tables.table import tabulate

PROMPTS = "neutral_openers"
METHODS = (
    *("base", "lora:poetry", "prefix:facts", "push:religion", "ask:religion", "pplm:religion"),
    "lora:poetry+pplm:religion",
)
SPEC = RunSpec(tuple(map(parse_method, METHODS)), 2, Sampling(max_new_tokens=40), seed=5)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of the model and of the run")
    parser.add_argument("--out", type=Path, default=FILE, help="the file to write")


def run(options: argparse.Namespace, _: str) -> int:
    """Make or resume the run, and write it to the file that ships."""
    runner = Runner(load_engine(None, options.home), Database(f"sqlite:///{options.home / 'showcase.db'}"))
    done = [line.id for line in runner.database.runs(None) if line.status == "done"]
    id = done[0] if done else begin(runner, SPEC, load_prompts(PROMPTS))
    if not done:
        watch(runner.run(id))
    data = runner.data(id)
    traces = runner.database.traces([sample.key for sample in data.samples])
    write_shipped(
        Shipped(data, to_json(tabulate(data)), {key: trace.token_ids for key, trace in traces.items()}), options.out
    )
    return 0


def write_shipped(shipped: Shipped, file: Path) -> None:
    """Write a run to the file that ships."""
    kinds = [
        [*kind, {str(place): [*tally] for place, tally in of.items()}]
        for kind, of in shipped.data.prompt_tallies.items()
    ]
    record = to_json(shipped._replace(data=shipped.data._replace(prompt_tallies={})))
    file.write_bytes(orjson.dumps({"run": record, "prompt_tallies": kinds}, option=orjson.OPT_APPEND_NEWLINE))
