"""The part of the command line that sweeps strengths: its options, the line that repeats it, and where figures go.

Knows arguments and files; knows nothing of how a run is made.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from adapters.methods import UserError
from benchmarks.sweeps.frontier_report import called, drawing, figures_for_readme, summary, write_readme
from benchmarks.sweeps.frontier_sweep import ALGORITHMS, TARGETS, Sweep, measure, read_changes, read_targets
from leaderboard.__main__ import load_prompts, open_database, watch
from leaderboard.frontier import OURS, PAPER, Frontier, Point, merged, read_frontier, write_frontier
from leaderboard.records import PromptSet
from leaderboard.runs.runner import Progress, Runner, load_engine
from leaderboard.tables.display import with_interval

PROMPTS, SAMPLES = "neutral_openers", 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """What can be said of a sweep."""
    parser.add_argument("prompts", nargs="?", default=PROMPTS, help="a file, or a set that ships")
    parser.add_argument("--attributes", default=TARGETS, help="with commas; & joins those that steer together")
    parser.add_argument("--samples", type=int, default=SAMPLES, help="texts for each prompt at each strength")
    for each in ALGORITHMS:
        told = f"{each.title}; default {line(each.values)}"
        parser.add_argument(f"--{each.name}", type=strengths, default=each.values, help=told)
    for name, whose in (("set", "ours"), ("set-paper", "the paper's algorithm")):
        parser.add_argument(f"--{name}", action="append", default=[], help=f"NAME=VALUE, a setting of {whose}")
    parser.add_argument("--out", type=Path, help="a .json file for what is found; what it holds already stays")
    parser.add_argument("--plot", type=Path, help="an .svg file for the drawing")
    parser.add_argument("--readme", type=Path, help="a page that shows the drawing and figures between its marks")
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of models and results")
    parser.add_argument("--database", help="URL of the database; default: steerboard.db in the home folder")
    parser.add_argument("--model", help="another base model: a Hub id or a local folder")


def read_sweep(options: argparse.Namespace, prompts: PromptSet) -> Sweep:
    """What the options ask for. Raises UserError, also where what is found could not be written."""
    for file in (options.out, options.plot, options.readme):
        if file is not None and not file.resolve().parent.is_dir():
            raise UserError(f"Cannot write {file}: name a file in a folder that exists.")
    return Sweep(
        targets=read_targets(options.attributes),
        prompts=prompts,
        samples=options.samples,
        algorithms=tuple(each._replace(values=getattr(options, each.name)) for each in ALGORITHMS),
        changes={OURS: read_changes(options.set), PAPER: read_changes(options.set_paper)},
        command=command(options),
    )


def run(options: argparse.Namespace, _: str) -> int:
    """Sweeps, prints all figures, keeps and draws them where a file is named. Raises UserError."""
    sweep = read_sweep(options, load_prompts(options.prompts))
    runner = Runner(load_engine(options.model, options.home), open_database(options))
    found: list[Frontier] = []
    watch(progress_only(measure(runner, sweep), found))
    (frontier,) = found
    if options.out is not None:
        stored = read_frontier(options.out)
        frontier = frontier if stored is None else merged(stored, frontier)
        write_frontier(frontier, options.out)
    print(summary(frontier))
    if options.plot is not None:
        options.plot.write_text(drawing(frontier), encoding="utf-8")
    if options.readme is not None:
        write_readme(options.readme, figures_for_readme(frontier, options.plot))
    return 0


def progress_only(steps: Iterator[Progress | Point | Frontier], found: list[Frontier]) -> Iterator[Progress]:
    """The progress among the steps; points are said on stderr, and what they make together goes to `found`."""
    for step in steps:
        if isinstance(step, Progress):
            yield step
        elif isinstance(step, Frontier):
            found.append(step)
        else:
            said = f"{called(step)}: success {with_interval(step.figures['success'])} ({', '.join(step.success_of)})"
            tqdm.write(said, file=sys.stderr)


def command(options: argparse.Namespace) -> str:
    """The line that measures the same: what was asked for, without where it goes."""
    parts = ["python -m benchmarks frontier"]
    if options.prompts != PROMPTS:
        parts.append(shlex.quote(options.prompts))
    usual = {
        "attributes": TARGETS,
        "samples": SAMPLES,
        **{each.name: each.values for each in ALGORITHMS},
        "model": None,
    }
    for name, default in usual.items():
        value = getattr(options, name)
        if value != default:
            parts.append(f"--{name} {shlex.quote(line(value) if isinstance(value, tuple) else str(value))}")
    for name, pairs in (("set", options.set), ("set-paper", options.set_paper)):
        parts += [f"--{name} {shlex.quote(pair)}" for pair in pairs]
    return " ".join(parts)


def line(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def strengths(text: str) -> tuple[float, ...]:
    """The strengths of a line; none where it is empty."""
    return tuple(float(value) for value in text.split(",") if value)
