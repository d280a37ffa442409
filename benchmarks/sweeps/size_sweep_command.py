"""`python -m benchmarks sweep`: its options, its tables, its plot."""

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from adapters.base_model import load_base_model
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.prefix.settings import PrefixSettings
from adapters.training.corpus import VALIDATION_SHARE, dataset
from adapters.training.order import TrainSettings
from adapters.training.train_command import add_common_options, add_settings, read_settings, say
from benchmarks import drawing, pages
from benchmarks.sweeps.size_sweep import Curve, Figure, Results, curves, read_results, sweep, write_results

TITLES = {"r": ("LoRA", "r"), "num_virtual_tokens": ("prefix", "virtual tokens")}  # of a plot and of its axis
BLUE = "#0072b2"


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the options of `sweep`."""
    command.add_argument("--r", type=int, nargs="+", default=[], help="ranks of a LoRA, such as 1 2 4 8 16 32")
    tokens_help = "lengths of a prefix, such as 1 5 10 20 40"
    command.add_argument("--num-virtual-tokens", type=int, nargs="+", default=[], help=tokens_help)
    command.add_argument("--seeds", type=int, default=3, help="trainings of each size; default 3")
    share_help = f"share of held-out rows; default {VALIDATION_SHARE}"
    command.add_argument("--validation-share", type=float, default=VALIDATION_SHARE, help=share_help)
    command.add_argument("--out", type=Path, required=True, help="a .json file to add the results to")
    command.add_argument("--plot", type=Path, help="an .svg file for a plot of everything in --out")
    add_common_options(command)
    add_settings(command, LoraSettings, "lora only; ", without=("r",))
    add_settings(command, PrefixSettings, "prefix only; ", without=("num_virtual_tokens",))


def run(options: argparse.Namespace, command: str) -> int:
    """Run the missing trainings, print the tables, draw the plot. Raises UserError."""
    pages.check_writable(options.out, options.plot)
    results, settings = read_results(options.out), list(wanted(options))
    if settings:
        data, base = dataset(options.data), load_base_model(options.model, options.home)
        for step in sweep(base, data, settings, options.validation_share, results):
            if isinstance(step, Results):
                results = replace(step, commands=tuple(dict.fromkeys((*results.commands, command))))
                write_results(results, options.out)
            else:
                say(step)
    found = curves(results)
    if not found:
        raise UserError("Nothing to train: give sizes with --r or --num-virtual-tokens.")
    print("\n\n".join(table(curve) for curve in found))
    if options.plot is not None:
        options.plot.write_text(plot(found), "utf-8")
    return 0


def wanted(options: argparse.Namespace) -> Iterator[TrainSettings]:
    """The settings of every training. Raises UserError."""
    if options.seeds < 1:
        raise UserError(f"--seeds is {options.seeds}: give 1 or more.")
    first = options.seed or 0
    for kind, name, other in (("lora", "r", "num_virtual_tokens"), ("prefix", "num_virtual_tokens", "r")):
        for value in getattr(options, name):
            for seed in range(first, first + options.seeds):
                own = dict(vars(options)) | {name: value, other: None, "seed": seed}
                yield read_settings(argparse.Namespace(**own), kind, other_too=True)


def table(curve: Curve) -> str:
    """A curve in Markdown: a row for each size."""
    base, count = curve.base, len(curve.held_out.losses)
    head = f"Held-out perplexity on {curve.held_out.data} ({count} examples; base {base.perplexity.mean:.2f})"
    columns = [curve.axis, "perplexity", "95 %", "of base", "seeds"]
    if base.exact is not None:
        columns += ["exact answers", "95 %"]
        head += f" and questions answered word for word ({len(curve.held_out.exact)}; base {base.exact.mean:.0%})"
    return f"{head}\n\n{pages.table(columns, [cells(figure, base) for figure in curve.figures])}"


def cells(figure: Figure, base: Figure) -> list[str]:
    """The row of one size."""
    mean, low, high, seeds = figure.perplexity
    own = [f"{figure.value}", f"{mean:.2f}", f"{low:.2f} to {high:.2f}", f"{mean / base.perplexity.mean:.3f}"]
    exact = figure.exact
    return [*own, f"{len(seeds)}", *([f"{exact.mean:.0%}", f"{exact.low:.0%} to {exact.high:.0%}"] if exact else [])]


def plot(found: list[Curve]) -> str:
    """An SVG with a plot for each curve: perplexity against size, on a logarithmic axis."""
    figure = drawing.blank(4.2 * len(found), 3.3, "#fbfbfc")
    for curve, axes in zip(found, figure.subplots(1, len(found), squeeze=False)[0], strict=True):
        kind, axis = TITLES[curve.axis]
        title = f"{kind}: {Path(curve.held_out.data).stem} (base {curve.base.perplexity.mean:.1f})"
        axes.set(title=title, xlabel=axis, ylabel="held-out perplexity", xscale="log")
        sizes = [each.value for each in curve.figures]
        axes.set_xticks(sizes, map(str, sizes))
        axes.minorticks_off()
        across = [(size, float("nan"), float("nan")) for size in sizes]
        drawing.points(axes, across, [each.perplexity[:3] for each in curve.figures], color=BLUE, marker="o")
    figure.supxlabel("Bars: 95 % intervals over seeds and examples.", x=0.01, ha="left", size="medium")
    return drawing.svg(figure, "Held-out perplexity against the size of an adapter")
