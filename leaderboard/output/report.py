"""One HTML file of a run or of a shared comparison, to be mailed to somebody without the app.

Knows runs, results and records; knows nothing of pages or databases. Everything that somebody or a model wrote passes
the template's escaping; the file has no script and fetches nothing, and says so to the browser.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.methods import Method, from_json, to_json
from adapters.scatter import Dot, scatter
from leaderboard.metrics.distinct import distinct
from leaderboard.metrics.metric import Passport
from leaderboard.records import Prompt, RunData, Sample
from leaderboard.tables.display import number, with_interval
from leaderboard.tables.results import Cell, Results

TEMPLATES = Path(__file__).parent / "templates"
ABREAST = 6  # columns of a table that fit a printed page
MAX_CHARACTERS = 400_000  # of texts in a report; the exports hold them all
PLOT = ("distinct_2", "perplexity")
ENDS = {"eos": "ended by itself", "length": "limit reached", "diverged": "diverged"}
FIGURES = {"tokens_per_second": "tokens/s", "distinct_2": "distinct-2 (words)", "attribute_words": "attribute words"}


class Look(NamedTuple):
    """How a method is shown everywhere: its number in the plot, its name, its colours."""

    number: int
    name: str
    kinds: str  # classes of the style sheet


class Entry(NamedTuple):
    """A cell of a table; "" where there is nothing to say."""

    value: str
    interval: str
    difference: str
    is_best: bool
    is_tie: bool


class Text(NamedTuple):
    """A text with its figures."""

    text: str
    figures: str


class Section(NamedTuple):
    """A prompt and its texts by method, in the order of the methods."""

    row: int
    prompt: Prompt
    texts: list[list[Text]]


def run_report(data: RunData, results: Results) -> str:
    """A run: settings, table, plot, cross-scores, what the columns are, texts, hashes and versions."""
    looks = [look(place, method) for place, method in enumerate(data.run.spec.methods)]
    sections = list(shown_sections(data))
    return render(
        "run.html",
        data=data,
        results=results,
        settings=flat({**to_json(data.run.spec), "methods": None, "judge": data.run.spec.judge_label}),
        methods=[
            (each, flat(method_settings(method))) for each, method in zip(looks, data.run.spec.methods, strict=True)
        ],
        groups=[looks[start : start + ABREAST] for start in range(0, len(looks), ABREAST)],
        looks=looks,
        rows=table_rows(results),
        cross=[(label, cross_row(results, label)) for label in results.cross],
        prompts=[(title, cells) for title, cells in prompt_rows(results) if cells],
        plot=plot(results, looks),
        passports=[passport_facts(passport) for passport in results.passports.values()],
        sections=sections,
    )


def comparison_report(record: Mapping[str, Any]) -> str:
    """A shared comparison: its texts side by side, and everything that determines them."""
    methods = [from_json(Method, pane["method"]) for pane in record["panes"]]
    looks = [look(place, method) for place, method in enumerate(methods)]
    texts = [Text(pane["text"], pane_figures(pane)) for pane in record["panes"]]
    settings = {"seed": record["seed"], "chat": record["chat"], "sampling": record["sampling"]}
    return render(
        "comparison.html",
        record=record,
        created=datetime.fromisoformat(record["created"]),
        panes=list(zip(looks, texts, strict=True)),
        settings=flat(settings),
        methods=all_settings(looks, methods),
    )


def render(template: str, **values: Any) -> str:
    """The page; an unknown name in a template is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def look(place: int, method: Method) -> Look:
    """The number, name and colours of a method."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    kinds = [kind for kind, part in parts.items() if part is not None] or ["base"]
    return Look(place + 1, method.name, " ".join([kinds[0], *(f"and-{kind}" for kind in kinds[1:2])]))


# Settings


def all_settings(looks: Sequence[Look], methods: Sequence[Method]) -> list[tuple[Look, list[tuple[str, str]]]]:
    """What is set in each method."""
    return [(each, flat(method_settings(method))) for each, method in zip(looks, methods, strict=True)]


def method_settings(method: Method) -> dict[str, Any]:
    """What is set in a method beside its name."""
    return {**to_json(method), "name": None} | ({"lora_scale": None} if method.lora is None else {})


def flat(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as names with dots and values; what is None is left out."""
    if isinstance(settings, Mapping):
        return [pair for key, value in settings.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list | tuple):
        if all(isinstance(value, str) for value in settings):
            return [(name, ", ".join(settings))] if settings else []
        return [pair for place, value in enumerate(settings, start=1) for pair in flat(value, f"{name}.{place}")]
    return [] if settings is None else [(name, f"{settings:g}" if isinstance(settings, float) else str(settings))]


# Table and plot


def table_rows(results: Results) -> list[tuple[str, dict[str, Entry]]]:
    """The metrics in their order, each with an entry a method."""
    rows = []
    for metric in results.metrics:
        best = results.best.get(metric, ())
        rows.append((metric, {name: entry(cell, name in best) for name, cell in results.cells[metric].items()}))
    return rows


def entry(cell: Cell, is_best: bool) -> Entry:
    """A cell as text."""
    interval = f"[{number(cell.low)}, {number(cell.high)}]" if math.isfinite(cell.low) else ""
    difference = Cell(cell.difference, cell.difference_low, cell.difference_high)
    shown = f"{'+' if cell.difference > 0 else ''}{with_interval(difference)}" if math.isfinite(cell.difference) else ""
    return Entry(number(cell.value), interval, shown, is_best, cell.tie)


def cross_row(results: Results, label: str) -> dict[str, str]:
    """Perplexity of every method's texts under a scorer."""
    return {name: with_interval(cell) for name, cell in results.cross[label].items()}


def prompt_rows(results: Results) -> Iterator[tuple[str, dict[str, str]]]:
    """Perplexity of the prompts and of the references, by scorer."""
    for title, cells in (("prompts", results.prompts_perplexity), ("references", results.references_perplexity)):
        known = [label for label in results.cross if label in cells]
        yield title, {label: with_interval(cells[label]) for label in dict.fromkeys([*known, *cells])}


def passport_facts(passport: Passport) -> tuple[str, list[tuple[str, str]]]:
    """A column's title, and what the column is."""
    facts = {"direction": passport.direction, **asdict(passport), "title": None, "higher_is_better": None}
    return passport.title, flat(facts)


def plot(results: Results, looks: Sequence[Look]) -> Any:
    """The methods in the plane of diversity and perplexity; None where a metric is missing."""
    if not set(PLOT) <= set(results.metrics):
        return None
    across, up = (results.cells[metric] for metric in PLOT)
    dots = [
        Dot(str(look.number), look.name, look.kinds, across[look.name][:3], up[look.name][:3])
        for look in looks
        if math.isfinite(across[look.name].value) and math.isfinite(up[look.name].value)
    ]
    return scatter(dots) if dots else None


# Texts


def shown_sections(data: RunData) -> Iterator[Section]:
    """The first prompts with all their texts, as many as fit a report; at least one."""
    by_prompt: dict[int, list[Sample]] = {}
    for sample in data.samples:
        by_prompt.setdefault(sample.prompt, []).append(sample)
    room = MAX_CHARACTERS
    for place, prompt in enumerate(data.run.prompts.prompts):
        samples = by_prompt.get(place, [])
        texts: list[list[Text]] = [[] for _ in data.run.spec.methods]
        for sample in samples:
            texts[sample.method].append(Text(sample.text, sample_figures(data, sample)))
        if room < MAX_CHARACTERS and sum(len(sample.text) for sample in samples) > room:
            return
        room -= len(prompt.prompt) + sum(len(sample.text) for sample in samples)
        yield Section(place + 1, prompt, texts)


def sample_figures(data: RunData, sample: Sample) -> str:
    """Length, perplexity under the judge and end of a text, in one line."""
    tally = data.tallies.get(data.run.spec.judge_label, {}).get(sample.key)
    parts = [] if tally is None else [f"perplexity {number(tally.perplexity)}"]
    return " · ".join([tokens(sample.num_tokens), *parts, ENDS.get(sample.finish_reason, sample.finish_reason)])


def pane_figures(pane: Mapping[str, Any]) -> str:
    """The figures of a shared pane in one line; those without a value are left out.

    distinct-2 is counted again: older releases counted it otherwise.
    """
    parts = [tokens(len(pane["token_ids"]))]
    figures = pane["figures"]
    if "distinct_2" in figures:
        figures = figures | {"distinct_2": distinct([pane["text"]], 2)}
    for name, value in figures.items():
        if name != "tokens" and value is not None and math.isfinite(value):
            parts.append(f"{FIGURES.get(name, name)} {value if isinstance(value, int) else number(value)}")
    return " · ".join([*parts, ENDS.get(pane["finish_reason"], str(pane["finish_reason"]))])


def tokens(count: int) -> str:
    """A number of tokens."""
    return f"{count:,} token{'' if count == 1 else 's'}"
