"""`python -m leaderboard run prompts.csv --methods base,lora:poetry` makes a run; `show RUN` prints it again.

Exit codes: 0 done, 1 done but a text diverged, 2 an error (one line on stderr), 130 interrupted (the same command
resumes). Progress goes to stderr, results to stdout.
"""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tqdm import tqdm

from adapters.decoding.engine import Engine
from adapters.methods import Sampling, UserError, from_json, parse_method, to_json
from leaderboard.output.conclusion import by_chance
from leaderboard.output.export import FILES
from leaderboard.prompts import read_prompts, shipped_sets
from leaderboard.records import AGAIN, PromptSet, RunData, RunSpec
from leaderboard.runs.plan import Progress
from leaderboard.runs.runner import Runner, load_engine, load_judge
from leaderboard.store.database import Database
from leaderboard.tables.display import display
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate
from leaderboard.texts import Finished, read_texts, with_texts

OUT = {Path(name).suffix: FILES[name] for name in ("texts.csv", "texts.jsonl", "texts.parquet", "report.html")}
OUT_HELP = "write the texts with their scores (.csv, .jsonl, .parquet) or a report (.html) to this file"
TEXTS_HELP = "also score finished texts: a CSV, TSV, JSONL, JSON or Parquet file with the columns prompt and text"
NO_RUN = "No run, or several, match {name!r}: `list` prints their ids."
RUN_HELP = "its id or the beginning of it; `last` is the newest"
DEFAULT_METHODS = "base,lora:poetry,prefix:facts,pplm:science"


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        return options.command(options) or 0
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: finished texts are kept, and the same command resumes", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m leaderboard", description="Score methods on a prompt set.")
    commands = top.add_subparsers(required=True)
    run = commands.add_parser("run", help="write and score texts of every method for every prompt")
    run.set_defaults(command=run_command)
    shipped = ", ".join(shipped_sets())
    run.add_argument("prompts", help=f"a CSV, TSV, JSONL, TXT or Parquet file, or a shipped set: {shipped}")
    run.add_argument("--methods", default=DEFAULT_METHODS, help="short names with commas; + joins parts of one")
    run.add_argument("--a-a", action="store_true", help="the base once more with other seeds: a test of the marks")
    run.add_argument("--texts", type=Path, help=TEXTS_HELP)
    run.add_argument("--texts-name", default="", help="name of their row; default: the file's, or its column method")
    run.add_argument("--samples", type=int, default=RunSpec.samples, help="texts per prompt and method")
    run.add_argument("--seed", type=int, default=RunSpec.seed)
    run.add_argument("--judge", help="Hub id or folder of the LM that scores; default: the base model")
    run.add_argument("--chat", action="store_true", help="use the model's chat template")
    run.add_argument("--model", help="another base model: Hub id or folder")
    for name, default in to_json(Sampling()).items():
        run.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"default {default}")
    run.add_argument("--engine", choices=("local", "ray"), default="local", help="where to write the texts")
    run.add_argument("--actors", type=int, default=2, help="ray: number of models")
    run.add_argument("--address", help="ray: an existing cluster; default: processes of this machine")
    run.add_argument("--out", type=Path, help=OUT_HELP)
    show = commands.add_parser("show", help="print the table of a run")
    show.set_defaults(command=show_command)
    show.add_argument("run", help=RUN_HELP)
    show.add_argument("--out", type=Path, help=OUT_HELP)
    erase = commands.add_parser("delete", help="delete a run of the command line")
    erase.set_defaults(command=delete_command)
    erase.add_argument("run", help=RUN_HELP)
    commands.add_parser("list", help="list the runs of the command line").set_defaults(command=list_command)
    for command in commands.choices.values():
        command.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of models and runs")
        command.add_argument("--database", help="URL of the database; default: steerboard.db in the home folder")
    return top


def run_command(options: argparse.Namespace) -> int:
    prompts, spec = load_prompts(options.prompts), read_spec(options)
    file = options.texts
    texts = () if file is None else read_texts(file.read_bytes(), file.name, options.texts_name)
    check_out(options.out)
    load = partial(load_engine, options.model, options.home)
    judges = {} if options.judge is None else {options.judge: partial(load_judge, options.judge, options.home)}
    runner = Runner(load(), open_database(options), judges)
    run_id = begin(runner, spec, prompts, texts)
    print(f"run {run_id}", flush=True)
    if options.engine == "ray":
        watch(spread(runner, run_id, load, options))
    watch(runner.run(run_id))
    data = runner.data(run_id)
    report(data, runner.results(run_id), options.out)
    return 1 if any(sample.finish_reason == "diverged" for sample in data.samples) else 0


def read_spec(options: argparse.Namespace) -> RunSpec:
    fields = {name: getattr(options, name) for name in ("samples", "seed", "judge", "chat")}
    methods = [to_json(parse_method(name)) for name in options.methods.split(",")]
    methods += [to_json(AGAIN)] if options.a_a else []
    sampling = {name: getattr(options, name) for name in to_json(Sampling())}
    return from_json(RunSpec, fields | {"methods": methods, "sampling": sampling})


def spread(runner: Runner, run_id: str, load: Callable[[], Engine], options: argparse.Namespace) -> Iterator[Progress]:
    """Write the texts of a run with Ray. Raises UserError if it is not installed."""
    try:
        from leaderboard.runs.cluster import distribute
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise UserError("Ray is not installed: pip install -r requirements-ray.txt") from error
    return distribute(runner, runner.data(run_id).run, load, max(1, options.actors), options.address)


def show_command(options: argparse.Namespace) -> None:
    check_out(options.out)
    database = open_database(options)
    data = database.data(find_run(database, options.run))
    if data is None:
        raise UserError(NO_RUN.format(name=options.run))
    print(f"run {data.run.id}")
    report(data, tabulate(data), options.out)


def delete_command(options: argparse.Namespace) -> None:
    """Delete a run of the command line; only the browser that made a run can delete that."""
    database = open_database(options)
    if not database.delete_run(find_run(database, options.run), None):
        raise UserError(NO_RUN.format(name=options.run))


def find_run(database: Database, name: str) -> str:
    """The id of the only run with this beginning, or of the newest for `last`; else the name itself."""
    ids = [line.id for line in database.runs(None)]
    wanted = ids[:1] if name == "last" else [id for id in ids if id.startswith(name)]
    return wanted[0] if len(wanted) == 1 else name


def list_command(options: argparse.Namespace) -> None:
    for line in open_database(options).runs(None):
        print(line.id, f"{line.created:%Y-%m-%d %H:%M}", line.status, line.name, ",".join(line.methods), sep="  ")


def begin(runner: Runner, spec: RunSpec, prompts: PromptSet, texts: Sequence[Finished] = ()) -> str:
    """The id of the same run if it was interrupted, else of a new one. Raises UserError."""
    whole, hashes = with_texts(spec, texts), runner.hashes.named(spec.methods)
    for line in runner.database.runs(None):
        old = runner.database.run(line.id) if line.status != "done" else None
        if old is not None and (old.spec, old.prompts, old.hashes) == (whole, prompts, hashes):
            return old.id
    return runner.add(spec, prompts, None, texts).id


def watch(steps: Iterator[Progress]) -> None:
    """Show the progress of a run on stderr until it ends."""
    with tqdm(unit=" tokens", bar_format="{l_bar}{bar}| {n_fmt}/{total_fmt} tokens{postfix}") as bar:
        for step in steps:
            bar.total = step.total
            left = "" if step.seconds_left is None else f", {step.seconds_left / 60:.1f} min left"
            bar.set_postfix_str(step.phase + left, refresh=False)
            bar.update(step.done - bar.n)


def report(data: RunData, results: Results, out: Path | None) -> None:
    print(f"{data.run.prompts.name}: {results.num_prompts} prompts, {results.num_texts} texts by each method")
    print(display(results).to_string())
    for line in by_chance(data.run, results):
        print(line)
    if out is not None:
        out.write_bytes(OUT[out.suffix](data, results))


def check_out(out: Path | None) -> None:
    """Raises UserError if the results cannot be written, before any work."""
    if out is not None and (out.suffix not in OUT or not out.resolve().parent.is_dir()):
        raise UserError(f"Cannot write {out}: choose a file in an existing folder that ends with {', '.join(OUT)}.")


def load_prompts(name: str) -> PromptSet:
    """The prompts of a file or of a shipped set. Raises UserError or OSError."""
    file = shipped_sets().get(name, Path(name))
    if not file.is_file():
        raise UserError(f"There is no file {name!r}: name a file, or one of the sets {', '.join(shipped_sets())}.")
    return read_prompts(file.read_bytes(), file.name)


def open_database(options: argparse.Namespace) -> Database:
    options.home.mkdir(parents=True, exist_ok=True)
    return Database(options.database or f"sqlite:///{options.home / 'steerboard.db'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
