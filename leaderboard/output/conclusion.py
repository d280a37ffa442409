"""What a table says, in sentences: only differences that its marks support, with their figures."""

import math
from collections.abc import Mapping, Sequence

from leaderboard.records import ATTRIBUTE
from leaderboard.tables.bootstrap import FEWEST
from leaderboard.tables.display import figure
from leaderboard.tables.results import Cell, Results

ENOUGH = 20  # prompts that are advised
PERPLEXITY, DIVERSITY, SPEED = "perplexity", "distinct_2", "speed"
MOST = 3  # sentences of changes in a metric
Titles = Mapping[str, str]


def topic_of(results: Results) -> str | None:
    """The metric that says how often texts are on topic: the first one that texts should show."""
    found = (metric for metric in results.metrics if metric.startswith(ATTRIBUTE))
    return next((metric for metric in found if results.passports[metric].higher_is_better), None)


def is_enough(results: Results) -> bool:
    """Whether there are enough prompts for intervals and marks."""
    return results.num_prompts >= FEWEST


def conclude(results: Results, titles: Titles) -> list[str]:
    """A few sentences; `titles` maps methods to their names on the page."""
    if not is_enough(results):
        found = f"Too few prompts to tell methods apart ({results.num_prompts}): use {ENOUGH} or more"
        return [f"{found}; intervals begin at {FEWEST}."]
    base = next((name for name, title in titles.items() if title == "Base"), None)
    metrics = [metric for metric in (topic_of(results) or PERPLEXITY, DIVERSITY) if metric in results.metrics]
    return [said for metric in metrics for said in beside_base(results, metric, titles, base)]


def beside_base(results: Results, metric: str, titles: Titles, base: str | None) -> list[str]:
    """Who changed a metric clearly, the largest figure first, and who cannot be told from the base."""
    cells = results.cells[metric]
    ordered = sorted((name for name in titles if known(cells.get(name))), key=lambda name: -cells[name].value)
    lines = [
        changed(results, metric, name, titles[name], cells[base]) for name in ordered if base and cells[name].clear
    ]
    same, share = (
        [titles[name] for name in ordered if cells[name].tie],
        figure(metric, cells[base].value if base else 0),
    )
    if same and len(same) == len(ordered) - 1:
        return [f"No method can be told from Base in {called(results, metric)} ({share})."]
    return lines[:MOST] + ([f"{listed(same)} cannot be told from Base in {called(results, metric)}."] if same else [])


def changed(results: Results, metric: str, name: str, title: str, base: Cell) -> str:
    """The sentence of one clear difference; with that in perplexity, where it is another metric."""
    cell = results.cells[metric][name]
    verb = "raised" if cell.difference > 0 else "lowered"
    said = f"{title} {verb} {called(results, metric)} from {figure(metric, base.value)} to {figure(metric, cell.value)}"
    fluency = results.cells.get(PERPLEXITY, {}).get(name, Cell(math.nan))
    if metric.startswith(ATTRIBUTE) and fluency.clear:
        said += f" at {fluency.value / (fluency.value - fluency.difference):.2g} times the perplexity"
    elif metric.startswith(ATTRIBUTE) and fluency.tie:
        said += " without a clear change in perplexity"
    return f"{said}."


def power(results: Results) -> str:
    """How large differences must be to be marked; empty where nothing can be."""
    shown = [metric for metric in (topic_of(results), PERPLEXITY, DIVERSITY) if metric is not None]
    sizes = {metric: size for metric in shown if math.isfinite(size := results.detectable.get(metric, math.nan))}
    said = [
        f"{100 * size:.0f} points in {called(results, metric)}"
        if metric.startswith(ATTRIBUTE)
        else f"{size:.2g} in {called(results, metric)}"
        for metric, size in sizes.items()
    ]
    run = f"{results.num_prompts} prompts and {results.num_texts} texts of each method"
    return f"With {run}, this run can see differences of about {listed(said)}." if said else ""


def called(results: Results, metric: str) -> str:
    return metric.removeprefix(ATTRIBUTE) if metric.startswith(ATTRIBUTE) else results.passports[metric].title


def known(cell: Cell | None) -> bool:
    return cell is not None and math.isfinite(cell.value)


def listed(parts: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]]) if len(parts) > 1 else "".join(parts)
