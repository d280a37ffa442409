"""One HTML file of a run or of a shared comparison, to send to somebody without the app.

Everything that a person or a model wrote is escaped by the template. The file has no script and loads nothing; a
content security policy tells the browser so.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.methods import Method, from_json, to_json
from leaderboard.metrics.distinct import distinct
from leaderboard.output import drawing
from leaderboard.records import Prompt, RunData, Sample
from leaderboard.tables.display import bracket, number, with_interval
from leaderboard.tables.results import Cell, Results

TEMPLATES = Path(__file__).parent / "templates"
ABREAST = 6  # columns of a table that fit a printed page
MAX_CHARACTERS = 400_000  # of texts in a report; the exports hold them all
ENDS = {"eos": "finished", "length": "token limit", "diverged": "diverged"}
FIGURES = {"tokens_per_second": "tokens/s", "distinct_2": "distinct-2 (words)", "attribute_words": "attribute words"}
ACROSS, UP = "perplexity", "distinct_2"  # as on the page
KINDS = {"base": "#6b7280", "lora": "#0072b2", "prefix": "#009e73", "pplm": "#d55e00"}
GROUND = "#fefefe"
FROM_PAGE = {drawing.INK: "currentColor", GROUND: "var(--ground)", drawing.STYLE["grid.color"]: "var(--line)"} | {
    color: f"var(--{kind})" for kind, color in KINDS.items()
}


class Look(NamedTuple):
    """A method's number, name and colours, the same everywhere in a report, and its settings."""

    number: int
    name: str
    kinds: str  # classes of the style sheet; the first says the colour
    settings: list[tuple[str, str]]


def run_report(data: RunData, results: Results) -> str:
    """The report of a run."""
    spec = data.run.spec
    unused = {"title": None, "higher_is_better": None}
    passports = results.passports.values()
    looks = [look(index, method) for index, method in enumerate(spec.methods)]
    return render(
        "run.html",
        data=data,
        results=results,
        settings=flat({**to_json(spec), "methods": None, "judge": spec.judge_label}),
        groups=[looks[start : start + ABREAST] for start in range(0, len(looks), ABREAST)],
        looks=looks,
        plot=trade_off(results, {each.name: each.kinds.split()[0] for each in looks}),
        passports=[(each.title, flat({"direction": each.direction, **asdict(each), **unused})) for each in passports],
        sections=list(shown_sections(data)),
    )


def comparison_report(record: Mapping[str, Any]) -> str:
    """The report of a shared comparison."""
    looks = [look(index, from_json(Method, pane["method"])) for index, pane in enumerate(record["panes"])]
    return render(
        "comparison.html",
        record=record,
        created=datetime.fromisoformat(record["created"]),
        panes=list(zip(looks, record["panes"], strict=True)),
        settings=flat({name: record[name] for name in ("seed", "chat", "sampling")}),
        looks=looks,
    )


def render(template: str, **values: Any) -> str:
    """The page of a template; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "with_interval": with_interval, "bracket": bracket, "signed": signed}
    environment.globals |= {"ENDS": ENDS, "FIGURES": FIGURES, "distinct": distinct, "isfinite": math.isfinite}
    return environment.get_template(template).render(**values)


def look(index: int, method: Method) -> Look:
    """The number, name, colours and settings of a method."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    kinds = [kind for kind, part in parts.items() if part is not None] or ["base"]
    settings = to_json(method) | {"name": None} | ({"lora_scale": None} if method.lora is None else {})
    colours = " ".join([kinds[0], *(f"and-{kind}" for kind in kinds[1:2])])
    return Look(index + 1, method.name, colours, flat(settings))


def flat(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and values; None is left out."""
    if isinstance(settings, Mapping):
        return [pair for key, value in settings.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list | tuple):
        if all(isinstance(value, str) for value in settings):
            return [(name, ", ".join(settings))] if settings else []
        return [pair for number, value in enumerate(settings, start=1) for pair in flat(value, f"{name}.{number}")]
    return [] if settings is None else [(name, f"{settings:g}" if isinstance(settings, float) else str(settings))]


def signed(cell: Cell) -> str:
    """The difference to the base with its interval; empty if it is missing."""
    difference = Cell(cell.difference, cell.difference_low, cell.difference_high)
    return f"{'+' if cell.difference > 0 else ''}{with_interval(difference)}" if math.isfinite(cell.difference) else ""


def shown_sections(data: RunData) -> Iterator[tuple[int, Prompt, list[list[Sample]]]]:
    """Row, prompt and texts of each method for the first prompts: as many as fit a report, but at least one."""
    prompts, methods = data.run.prompts.prompts, data.run.spec.methods
    by_prompt: list[list[list[Sample]]] = [[[] for _ in methods] for _ in prompts]
    for sample in data.samples:
        by_prompt[sample.prompt][sample.method].append(sample)
    room = MAX_CHARACTERS
    for row, (prompt, texts) in enumerate(zip(prompts, by_prompt, strict=True), start=1):
        length = sum(len(sample.text) for of_method in texts for sample in of_method)
        if room < MAX_CHARACTERS and length > room:
            return
        room -= len(prompt.prompt) + length
        yield row, prompt, texts


def trade_off(results: Results, kinds: Mapping[str, str]) -> str | None:
    """The plot of the methods, numbered in the order of the table; None if no method has both figures.

    `kinds` maps each method's name to a key of `KINDS`.
    """
    if not {ACROSS, UP} <= set(results.metrics):
        return None
    across, up = results.cells[ACROSS], results.cells[UP]
    known = (name for name in results.methods if math.isfinite(across[name].value + up[name].value))
    points = {name: (across[name], up[name]) for name in known}
    if not points:
        return None
    figure = drawing.blank(6.8, 3.9)
    axes = figure.add_subplot()
    for name, (x, y) in points.items():
        color = KINDS[kinds[name]]
        drawing.points(axes, [x], [y], color=color, marker="o", markersize=14, mfc=GROUND, mew=2, zorder=3)
        place = str(results.methods.index(name) + 1)
        axes.annotate(place, (x.value, y.value), ha="center", va="center", fontsize=9, weight="bold", zorder=4)
    axes.set_xlabel(axis(results, ACROSS))
    axes.set_ylabel(axis(results, UP))
    svg = drawing.svg(figure, f"{axis(results, UP)} by {axis(results, ACROSS)}; the table above has the figures")
    for color, value in FROM_PAGE.items():
        svg = svg.replace(color, value)
    return svg


def axis(results: Results, metric: str) -> str:
    """The title of a metric with its direction."""
    passport = results.passports[metric]
    return ", ".join(part for part in (passport.title, passport.direction) if part)
