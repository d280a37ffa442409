"""What a table says, in sentences: only differences that its marks support, with their figures."""

import math
from collections.abc import Mapping, Sequence

from leaderboard.judges import SENTIMENTS, judged_name
from leaderboard.records import ATTRIBUTE, Run
from leaderboard.tables.bootstrap import FEWEST, POWER, reach
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
    same = [titles[name] for name in ordered if cells[name].tie]
    if base and same and len(same) == len(ordered) - 1:
        return [f"No method can be told from Base in {called(results, metric)} ({figure(metric, cells[base].value)})."]
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
    said = sizes(results, (topic_of(results), PERPLEXITY, DIVERSITY))
    run = f"{results.num_prompts} prompts and {results.num_texts} texts of each method"
    return f"With {run}, this run can see differences of about {said}." if said else ""


def foreseen(results: Results, num_prompts: int) -> str:
    """The same of a run that has not begun, from the spread of these results, where that depends little on methods."""
    if num_prompts < FEWEST:
        return f"Fewer than {FEWEST} prompts have no intervals."
    there, here = (needed(results.bound_z, number) for number in (results.num_prompts, num_prompts))
    said = sizes(results, (topic_of(results), DIVERSITY), here / there)
    return f"If texts vary as in the example run, it can see differences of about {said}." if said else ""


def needed(z: float, num_prompts: int) -> float:
    """A detectable difference, in standard deviations between prompts."""
    return float(reach(z, num_prompts) + reach(POWER, num_prompts)) * math.sqrt(num_prompts - 1) / num_prompts


def sizes(results: Results, metrics: Sequence[str | None], scale: float = 1) -> str:
    """The detectable differences with their metrics, those of shares in points."""
    found = {metric: scale * results.detectable.get(metric, math.nan) for metric in metrics if metric is not None}
    return listed(
        [
            f"{100 * size:.0f} points in {called(results, metric)}"
            if metric.startswith(ATTRIBUTE)
            else f"{size:.2g} in {called(results, metric)}"
            for metric, size in found.items()
            if size <= (1 if metric.startswith(ATTRIBUTE) else math.inf)  # no share differs by more, NaN by nothing
        ]
    )


def called(results: Results, metric: str) -> str:
    """A metric in a sentence: "perplexity", "the share of texts about science", "the share of positive texts"."""
    if not metric.startswith(ATTRIBUTE):
        return results.passports[metric].title
    name = judged_name(metric.removeprefix(ATTRIBUTE))
    return "the share of " + (f"{name} texts" if name in SENTIMENTS else f"texts about {name}")


def by_chance(run: Run, results: Results) -> list[str]:
    """A warning where an A/A row is told apart from the base: only chance differs between them."""
    again = [method.name for method in run.spec.methods if method.seed_offset]
    cells = {metric: [results.cells[metric][name] for name in again] for metric in results.metrics}
    apart = [metric for metric, of in cells.items() if any(cell.clear for cell in of)]
    if not apart or not is_enough(results):
        return []
    titles = listed([results.passports[metric].title for metric in apart])
    return [f"The base differs from itself here, in {titles}: read marks with care."]


def known(cell: Cell | None) -> bool:
    return cell is not None and math.isfinite(cell.value)


def listed(parts: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]]) if len(parts) > 1 else "".join(parts)
