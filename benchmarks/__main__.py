"""Command line of everything that is measured for the docs: `python -m benchmarks --help` lists the commands.

Exit codes: 0 done, 2 wrong input (one line on stderr says what to do), 130 interrupted.
"""

import argparse
import shlex
import sys

from adapters.methods import UserError
from benchmarks import adapters_page, example_records, headlines, showcase_run, table_statistics
from benchmarks.costs import bench, method_costs, weight_layout
from benchmarks.gpu import gpu_command
from benchmarks.sweeps import frontier_command, size_sweep_command

COMMANDS = {
    "bench": (bench, "measure time and memory as ratios, and write docs/benchmarks.md (the default command)"),
    "gpu": (gpu_command, "measure what a GPU does in eight minutes, into one file"),
    "sweep": (size_sweep_command, "train adapters of several sizes, and compare their held-out perplexity"),
    "frontier": (frontier_command, "steer with PPLM at several strengths, and measure success and cost"),
    "adapters": (adapters_page, "write the tables and the plot of docs/adapters.md"),
    "examples": (example_records, "write the comparisons of the examples on the page"),
    "showcase": (showcase_run, "make the run that the Leaderboard opens on"),
    "headlines": (headlines, "make training rows for the adapter `headline` from Debian's package descriptions"),
    "methods": (method_costs, "measure what LoRA, prefixes and full training cost"),
    "statistics": (table_statistics, "simulate tables: what intervals cover, and how often a mark is false"),
    "weights": (weight_layout, "time matrix products by the memory order of the weights"),
}


def main(arguments: list[str]) -> int:
    """Run a command line; return the exit code."""
    named = arguments[:1] and arguments[0] in {*COMMANDS, "-h", "--help"}
    options = parser().parse_args(arguments if named else ["bench", *arguments])
    command, _ = COMMANDS[options.command]
    try:
        return command.run(options, shlex.join(["python", "-m", "benchmarks", *arguments]))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """The options of every command."""
    top = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure what the docs report.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (command, told) in COMMANDS.items():
        command.add_options(commands.add_parser(name, help=told, description=told.capitalize() + "."))
    return top


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
