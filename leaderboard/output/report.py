"""One HTML file of a run or of a shared comparison, to send to somebody without the app.

Everything that a person or a model wrote is escaped by the template. The file has no script and loads nothing; a
content security policy tells the browser so.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from adapters.methods import Method, from_json, to_json
from leaderboard.metrics.distinct import distinct
from leaderboard.metrics.metric import Passport
from leaderboard.output.trade_off import trade_off
from leaderboard.records import Prompt, RunData, Sample
from leaderboard.tables.display import number, with_interval
from leaderboard.tables.results import Cell, Results

TEMPLATES = Path(__file__).parent / "templates"
ABREAST = 6  # columns of a table that fit a printed page
MAX_CHARACTERS = 400_000  # of texts in a report; the exports hold them all
ENDS = {"eos": "ended by itself", "length": "limit reached", "diverged": "diverged"}
FIGURES = {"tokens_per_second": "tokens/s", "distinct_2": "distinct-2 (words)", "attribute_words": "attribute words"}


class Look(NamedTuple):
    """A method's number, name and colours, the same everywhere in a report."""

    number: int
    name: str
    kinds: str  # classes of the style sheet; the first says the colour


class Entry(NamedTuple):
    """A cell of a table; empty strings for missing parts."""

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
    """A prompt and the texts of each method."""

    row: int
    prompt: Prompt
    texts: list[list[Text]]


def run_report(data: RunData, results: Results) -> str:
    """The report of a run."""
    looks = [look(index, method) for index, method in enumerate(data.run.spec.methods)]
    sections = list(shown_sections(data))
    return render(
        "run.html",
        data=data,
        results=results,
        settings=flat({**to_json(data.run.spec), "methods": None, "judge": data.run.spec.judge_label}),
        methods=all_settings(looks, data.run.spec.methods),
        groups=[looks[start : start + ABREAST] for start in range(0, len(looks), ABREAST)],
        looks=looks,
        rows=table_rows(results),
        cross=[(label, cross_row(results, label)) for label in results.cross],
        prompts=[(title, cells) for title, cells in prompt_rows(results) if cells],
        plot=trade_off(results, {each.name: each.kinds.split()[0] for each in looks}),
        passports=[passport_facts(passport) for passport in results.passports.values()],
        sections=sections,
    )


def comparison_report(record: Mapping[str, Any]) -> str:
    """The report of a shared comparison."""
    methods = [from_json(Method, pane["method"]) for pane in record["panes"]]
    looks = [look(index, method) for index, method in enumerate(methods)]
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
    """The page of a template; an unknown name in it is an error."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def look(index: int, method: Method) -> Look:
    """The number, name and colours of a method."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    kinds = [kind for kind, part in parts.items() if part is not None] or ["base"]
    return Look(index + 1, method.name, " ".join([kinds[0], *(f"and-{kind}" for kind in kinds[1:2])]))


# Settings


def all_settings(looks: Sequence[Look], methods: Sequence[Method]) -> list[tuple[Look, list[tuple[str, str]]]]:
    """The settings of each method."""
    return [(each, flat(method_settings(method))) for each, method in zip(looks, methods, strict=True)]


def method_settings(method: Method) -> dict[str, Any]:
    """The settings of a method."""
    return {**to_json(method), "name": None} | ({"lora_scale": None} if method.lora is None else {})


def flat(settings: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested settings as dotted names and values; None is left out."""
    if isinstance(settings, Mapping):
        return [pair for key, value in settings.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list | tuple):
        if all(isinstance(value, str) for value in settings):
            return [(name, ", ".join(settings))] if settings else []
        return [pair for number, value in enumerate(settings, start=1) for pair in flat(value, f"{name}.{number}")]
    return [] if settings is None else [(name, f"{settings:g}" if isinstance(settings, float) else str(settings))]


# Table and plot


def table_rows(results: Results) -> list[tuple[str, dict[str, Entry]]]:
    """The metrics, each with an entry per method."""
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
    """Title and facts of a column."""
    facts = {"direction": passport.direction, **asdict(passport), "title": None, "higher_is_better": None}
    return passport.title, flat(facts)


# Texts


def shown_sections(data: RunData) -> Iterator[Section]:
    """The first prompts with all their texts, as many as fit a report, but at least one."""
    by_prompt: dict[int, list[Sample]] = {}
    for sample in data.samples:
        by_prompt.setdefault(sample.prompt, []).append(sample)
    room = MAX_CHARACTERS
    for index, prompt in enumerate(data.run.prompts.prompts):
        samples = by_prompt.get(index, [])
        texts: list[list[Text]] = [[] for _ in data.run.spec.methods]
        for sample in samples:
            texts[sample.method].append(Text(sample.text, sample_figures(data, sample)))
        if room < MAX_CHARACTERS and sum(len(sample.text) for sample in samples) > room:
            return
        room -= len(prompt.prompt) + sum(len(sample.text) for sample in samples)
        yield Section(index + 1, prompt, texts)


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
