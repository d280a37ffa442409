"""What a table says, in sentences: computed from its figures, ranks and intervals."""

import math
from collections.abc import Mapping, Sequence

from leaderboard.records import ATTRIBUTE, Run
from leaderboard.tables.display import figure
from leaderboard.tables.results import Cell, Results

ENOUGH = 20  # prompts; with fewer, no marks and no conclusion
PERPLEXITY, REPETITION, SPEED = "perplexity", "repetition", "speed"


def topic_of(results: Results) -> str | None:
    """The metric that says how often texts are on topic: the first one that texts should show."""
    found = (metric for metric in results.metrics if metric.startswith(ATTRIBUTE))
    return next((metric for metric in found if results.passports[metric].higher_is_better), None)


def is_enough(results: Results) -> bool:
    """Whether there are enough prompts to tell methods apart."""
    return results.num_prompts >= ENOUGH


def conclude(results: Results, titles: Mapping[str, str]) -> list[str]:
    """A few sentences; `titles` maps methods to their names on the page."""
    if not is_enough(results):
        return [f"Too few prompts to tell methods apart ({results.num_prompts}): use {ENOUGH} or more."]
    base = next((name for name, title in titles.items() if title == "Base"), None)
    metric = topic_of(results)
    if metric is not None:
        return on_topic(results, metric, titles, base)
    return [said for metric in (PERPLEXITY, REPETITION) if (said := best(results, metric, titles))]


def on_topic(results: Results, metric: str, titles: Mapping[str, str], base: str | None) -> list[str]:
    """Who is on topic most often, what that costs, and who does not differ from the base."""
    cells, topic = results.cells[metric], metric.removeprefix(ATTRIBUTE)
    ordered = sorted((name for name in titles if known(cells.get(name))), key=lambda name: -cells[name].value)
    better = [name for name in ordered if cells[name].difference_low > 0]
    if base is None or base not in ordered:
        return [said] if (said := best(results, metric, titles)) else []
    share = figure(metric, cells[base].value)
    if not better:
        return [f"No method is clearly more often about {topic} than Base ({share} of texts)."]
    figures = listed([f"{titles[name]} {figure(metric, cells[name].value)}" for name in better])
    lines = [f"More often about {topic} than Base ({share} of texts): {figures}."]
    lines += [said for name in better[:2] if (said := cost(results, name, base, titles))]
    same = [titles[name] for name in ordered if name != base and cells[name].tie]
    return [*lines, f"No clear difference on topic: {listed(same)}."] if same else lines


def cost(results: Results, name: str, base: str, titles: Mapping[str, str]) -> str:
    """What a method costs in perplexity and speed, beside the base."""
    parts = []
    fluency = results.cells.get(PERPLEXITY, {})
    if known(fluency.get(name)) and known(fluency.get(base)):
        one, other = fluency[name], fluency[base]
        beside = f"perplexity {figure(PERPLEXITY, one.value)} (Base {figure(PERPLEXITY, other.value)})"
        parts.append("no clear cost in perplexity" if one.tie else beside)
    speed = results.cells.get(SPEED, {}).get(name)
    if speed is not None and known(speed):
        parts.append(f"{figure(SPEED, speed.value)} Base's speed")
    return f"{titles[name]}: {listed(parts)}." if parts else ""


def best(results: Results, metric: str, titles: Mapping[str, str]) -> str:
    """Who is best by a metric; empty without ranks."""
    ranks = results.ranks.get(metric, {})
    if not ranks:
        return ""
    first = [name for name in titles if ranks.get(name) == 1]
    title = results.passports[metric].title
    if len(first) == len(ranks):
        return f"No method clearly differs from another in {title}."
    figures = listed([f"{titles[name]} {figure(metric, results.cells[metric][name].value)}" for name in first])
    return f"Best {title}{' (ties)' if len(first) > 1 else ''}: {figures}."


def by_chance(run: Run, results: Results) -> list[str]:
    """A warning where an A/A row is told apart from the base: only chance differs between them."""
    again = [method.name for method in run.spec.methods if method.seed_offset]
    cells = {metric: [results.cells[metric][name] for name in again] for metric in results.metrics}
    apart = [metric for metric, of in cells.items() if any(math.isfinite(c.difference_low) and not c.tie for c in of)]
    if not apart or not is_enough(results):
        return []
    titles = listed([results.passports[metric].title for metric in apart])
    return [f"The base differs from itself here, in {titles}: read marks with care."]


def known(cell: Cell | None) -> bool:
    return cell is not None and math.isfinite(cell.value)


def listed(parts: Sequence[str]) -> str:
    """Names in a sentence: "a, b and c"."""
    return " and ".join([", ".join(parts[:-1]), *parts[-1:]]) if len(parts) > 1 else "".join(parts)
