"""One HTML file of a run or of a shared comparison, to send to somebody without the app.

Everything that a person or a model wrote is escaped by the template. The file has no script and loads nothing; a
content security policy tells the browser so.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from adapters.methods import Method, from_json, to_json
from leaderboard.output import trade_off
from leaderboard.output.looks import flat, look
from leaderboard.output.ranking import board_of
from leaderboard.output.rendering import render
from leaderboard.records import Prompt, RunData, Sample
from leaderboard.tables.results import Results

ABREAST = 6  # columns of a table that fit a printed page
MAX_CHARACTERS = 400_000  # of texts in a report; the exports hold them all


def run_report(data: RunData, results: Results) -> str:
    spec = data.run.spec
    unused = {"title": None, "higher_is_better": None}
    passports = results.passports.values()
    looks = [look(method) for method in spec.methods]
    return render(
        "run.html",
        data=data,
        results=results,
        board=board_of(data.run, results),
        frame=trade_off,
        settings=flat({**to_json(spec), "methods": None, "judge": spec.judge_label}),
        groups=[looks[start : start + ABREAST] for start in range(0, len(looks), ABREAST)],
        looks=looks,
        passports=[(each.title, flat({"direction": each.direction, **asdict(each), **unused})) for each in passports],
        sections=list(shown_sections(data)),
    )


def comparison_report(record: Mapping[str, Any]) -> str:
    looks = [look(from_json(Method, pane["method"])) for pane in record["panes"]]
    return render(
        "comparison.html",
        record=record,
        created=datetime.fromisoformat(record["created"]),
        panes=list(zip(looks, record["panes"], strict=True)),
        settings=flat({name: record[name] for name in ("seed", "chat", "sampling")}),
        looks=looks,
    )


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
