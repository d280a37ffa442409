"""`python -m benchmarks frontier`: its options, and where the figures go."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from adapters.methods import UserError
from benchmarks.pages import check_writable, write_part
from benchmarks.sweeps.frontier_points import merged, write_frontier
from benchmarks.sweeps.frontier_report import called, markdown, plot, summary
from benchmarks.sweeps.frontier_sweep import (
    ALGORITHMS,
    TARGETS,
    Sweep,
    measure,
    read_changes,
    read_targets,
    with_texts,
)
from leaderboard.__main__ import load_prompts, open_database, watch
from leaderboard.frontier import OURS, PAPER, Frontier, Point, read_frontier
from leaderboard.runs.plan import Progress
from leaderboard.runs.runner import Runner, load_engine
from leaderboard.tables.display import with_interval

PROMPTS, SAMPLES = "neutral_openers", 3


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `frontier`."""
    parser.add_argument("prompts", nargs="?", default=PROMPTS, help=f"a file or a shipped set; default {PROMPTS}")
    parser.add_argument("--attributes", default=TARGETS, help="comma-separated; & joins attributes of one method")
    parser.add_argument("--samples", type=int, default=SAMPLES, help=f"texts for each prompt; default {SAMPLES}")
    for each in ALGORITHMS:
        told = f"{each.title}; all of these with no such option: {line(each.values)}"
        parser.add_argument(f"--{each.name}", type=strengths, help=told)
    for name, whose in (("set", "our"), ("set-paper", "the paper's")):
        told = f"change a setting of {whose} algorithm; may be repeated"
        parser.add_argument(f"--{name}", action="append", default=[], metavar="NAME=VALUE", help=told)
    parser.add_argument("--out", type=Path, help="a .json file to add the figures to")
    parser.add_argument("--plot", type=Path, help="an .svg file for the plot")
    parser.add_argument("--page", type=Path, help="a Markdown file to write plot and table into, between its marks")
    parser.add_argument("--redraw", action="store_true", help="measure nothing: write plot and page from --out again")
    parser.add_argument("--texts", metavar="PROMPT", help="measure nothing: add texts at each strength to --out")
    parser.add_argument("--home", type=Path, default=Path(".steerboard"), help="folder of models and results")
    parser.add_argument("--database", help="database URL; default: steerboard.db in the home folder")
    parser.add_argument("--model", help="another base model: a Hub id or a local folder")


def run(options: argparse.Namespace, command: str) -> int:
    """Measure, print, store and plot. Raises UserError."""
    check_writable(options.out, options.plot, options.page)
    frontier = None if options.out is None else read_frontier(options.out)
    if options.texts and frontier is not None:
        engine, targets = load_engine(options.model, options.home), read_targets(options.attributes)
        goals = tuple(with_texts(engine, frontier, options.texts, targets))
        commands = tuple(dict.fromkeys([*frontier.commands, command]))
        frontier = replace(frontier, goals=goals, commands=commands)
        write_frontier(frontier, options.out)
    elif not (options.redraw or options.texts):
        new = measured(options, command)
        frontier = new if frontier is None else merged(frontier, new)
        if options.out is not None:
            write_frontier(frontier, options.out)
    if frontier is None:
        raise UserError("--redraw and --texts need --out: name the .json file of an earlier sweep.")
    print(summary(frontier))
    if options.plot is not None:
        options.plot.write_text(plot(frontier), "utf-8")
    if options.page is not None:
        picture = os.path.relpath(options.plot, options.page.parent) if options.plot else ""
        write_part(options.page, "frontier", markdown(frontier, Path(picture).as_posix() if picture else ""))
    return 0


def measured(options: argparse.Namespace, command: str) -> Frontier:
    """Run the sweep of the options. Raises UserError."""
    asked = {each.name: getattr(options, each.name) for each in ALGORITHMS}
    if all(values is None for values in asked.values()):
        asked = {each.name: each.values for each in ALGORITHMS}
    sweep = Sweep(
        targets=read_targets(options.attributes),
        prompts=load_prompts(options.prompts),
        samples=options.samples,
        algorithms=tuple(each._replace(values=asked[each.name] or ()) for each in ALGORITHMS),
        changes={OURS: read_changes(options.set), PAPER: read_changes(options.set_paper)},
        command=command,
    )
    found: list[Frontier] = []
    watch(
        progress_only(measure(Runner(load_engine(options.model, options.home), open_database(options)), sweep), found)
    )
    return found[0]


def progress_only(steps: Iterator[Progress | Point | Frontier], found: list[Frontier]) -> Iterator[Progress]:
    """Pass progress on, print points to stderr, and append the frontier to `found`."""
    for step in steps:
        if isinstance(step, Progress):
            yield step
        elif isinstance(step, Frontier):
            found.append(step)
        else:
            said = f"{called(step)}: success {with_interval(step.figures['success'])} ({', '.join(step.success_of)})"
            tqdm.write(said, file=sys.stderr)


def line(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)


def strengths(text: str) -> tuple[float, ...]:
    """Parse comma-separated numbers; an empty text means none."""
    return tuple(float(value) for value in text.split(",") if value)
