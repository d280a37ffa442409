"""The part of the command line that sweeps sizes: its options, its table and its drawing.

Knows arguments, files and places in a drawing; knows nothing of how a point is measured.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from adapters.base_model import load_base_model
from adapters.lora.lora import LoraSettings
from adapters.methods import UserError
from adapters.prefix.prefix import PrefixSettings
from adapters.scatter import Dot, Scatter, scatter
from adapters.training.corpus import VALIDATION_SHARE, dataset
from adapters.training.order import TrainSettings
from adapters.training.train_command import add_common_options, add_settings, read_settings, say
from benchmarks.sweeps.size_sweep import Curve, Figure, Results, curves, read_results, sweep, write_results

TEMPLATES = Path(__file__).parent / "templates"
PANEL = (400.0, 300.0)  # of the drawing, px
TITLES = {"r": ("LoRA", "r"), "num_virtual_tokens": ("prefix", "virtual tokens")}  # and the axis below


def add_options(command: argparse.ArgumentParser) -> None:
    """What can be said of a sweep."""
    command.add_argument("--r", type=int, nargs="+", default=[], help="ranks of LoRA, such as 1 2 4 8 16 32")
    command.add_argument("--num-virtual-tokens", type=int, nargs="+", default=[], help="of a prefix: 1 5 10 20 40")
    command.add_argument("--seeds", type=int, default=3, help="trainings of each size; default 3")
    command.add_argument("--validation-share", type=float, default=VALIDATION_SHARE, help="default 0.1")
    command.add_argument("--out", type=Path, required=True, help="a .json file; what it holds already stays")
    command.add_argument("--plot", type=Path, help="an .svg file for the drawing of everything in --out")
    add_common_options(command)
    add_settings(command, LoraSettings, "lora only; ", without=("r",))
    add_settings(command, PrefixSettings, "prefix only; ", without=("num_virtual_tokens",))


def run(options: argparse.Namespace, command: str) -> int:
    """Trains what is missing, prints the table, draws. Raises UserError."""
    for file in (options.out, options.plot):
        if file is not None and not file.resolve().parent.is_dir():
            raise UserError(f"Cannot write {file}: name a file in a folder that exists.")
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
        raise UserError("Nothing is to be trained: give sizes with --r or --num-virtual-tokens.")
    print("\n\n".join(table(curve) for curve in found))
    if options.plot is not None:
        options.plot.write_text(drawing(found), "utf-8")
    return 0


def wanted(options: argparse.Namespace) -> Iterator[TrainSettings]:
    """The settings of every training. Raises UserError."""
    if options.seeds < 1:
        raise UserError(f"--seeds is {options.seeds}: train each size at least once.")
    first = options.seed or 0
    for kind, name, other in (("lora", "r", "num_virtual_tokens"), ("prefix", "num_virtual_tokens", "r")):
        for value in getattr(options, name):
            for seed in range(first, first + options.seeds):
                own = dict(vars(options)) | {name: value, other: None, "seed": seed}
                yield read_settings(argparse.Namespace(**own), kind, other_too=True)


def table(curve: Curve) -> str:
    """The figures of a curve as Markdown."""
    base, count = curve.base, len(curve.held_out.losses)
    told = f"Held-out perplexity on {curve.held_out.data} ({count} examples; base {base.perplexity.mean:.2f})"
    columns, ending = [curve.axis, "perplexity", "95 %", "of base", "seeds"], ""
    if base.exact is not None:
        columns += ["exact answers", "95 %"]
        ending = f" and questions answered word for word ({len(curve.held_out.exact)}; base {base.exact.mean:.0%})"
    lines = [columns, ["---"] * len(columns), *(cells(figure, base) for figure in curve.figures)]
    return "\n".join([told + ending, "", *(f"| {' | '.join(line)} |" for line in lines)])


def cells(figure: Figure, base: Figure) -> list[str]:
    """A size's row of the table."""
    mean, low, high, seeds = figure.perplexity
    own = [f"{figure.value}", f"{mean:.2f}", f"{low:.2f} to {high:.2f}", f"{mean / base.perplexity.mean:.3f}"]
    exact = figure.exact
    return [*own, f"{len(seeds)}", *([f"{exact.mean:.0%}", f"{exact.low:.0%} to {exact.high:.0%}"] if exact else [])]


def drawing(found: list[Curve]) -> str:
    """An SVG with a panel for each curve."""
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    panels = [
        (panel(curve), title(curve), TITLES[curve.axis][1], number * PANEL[0]) for number, curve in enumerate(found)
    ]
    size = PANEL[0] * len(found), PANEL[1]
    return environment.get_template("sweep.svg").render(panels=panels, size=size)


def title(curve: Curve) -> str:
    return f"{TITLES[curve.axis][0]}: {Path(curve.held_out.data).stem} (base {curve.base.perplexity.mean:.1f})"


def panel(curve: Curve) -> Scatter:
    """Perplexity against the size, the sizes at equal ratios from each other."""
    dots = [
        Dot(f"{f.value}", "", "", (math.log2(f.value), math.nan, math.nan), f.perplexity[:3]) for f in curve.figures
    ]
    return scatter(dots, PANEL)
