"""What a run has found, as tables, plots and texts, on figures worked out by hand."""

import math
import re
from typing import Any

import gradio as gr
import pytest

from adapters.methods import Sampling, UserError, parse_method
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run, load_data, load_results, slices
from demo.leaderboard.results.run_facts import replay_run, verdict
from demo.leaderboard.results.run_figures import beside, cross_scores, edge, leaderboard, passport_html
from demo.leaderboard.results.run_texts import orders, prompt_spans, prompts_table, texts_for
from demo.parts.actions import work_buttons
from demo.parts.numbers import PROMPT
from demo.parts.tables import Column, cell_text, grid
from demo.services import Services
from leaderboard.metrics.passport import Passport
from leaderboard.output.export import FILES
from leaderboard.output.ranking import marks
from leaderboard.records import Prompt, PromptSet, RunSpec
from leaderboard.runs.runner import Difference, Replay
from leaderboard.tables.results import Cell, Results

NAMES = ("base", "lora:verse", "lora:verse+prefix:facts")
METHODS = {name: parse_method(name) for name in NAMES}
PROMPTS = PromptSet(
    "mine",
    (
        Prompt("One <b>day</b>", reference="it rained", tags=(("genre", "a"),)),
        Prompt("Two days", tags=(("genre", "b"), ("year", "1"))),
        Prompt("Three days", tags=(("genre", "a"),)),
    ),
)
FINE = Cell(10.0, 9.0, 11.0)
BETTER = Cell(5.0, 4.0, 6.0, -5.0, -6.0, -4.0, 1.5)
TIED = Cell(9.9, 8.0, 12.0, -0.1, -1.0, 1.0, 1.5)


def results(*cells: Cell, higher_is_better: bool | None = False, best: tuple[str, ...] = ()) -> Results:
    """A table of one metric."""
    column = dict(zip(NAMES, cells, strict=True))
    return Results(
        methods=NAMES,
        metrics=("perplexity", "distinct_2"),
        cells={"perplexity": column, "distinct_2": column},
        best={"perplexity": best},
        cross={"base": column, "lora:verse": {"base": FINE}},
        prompts_perplexity={"base": FINE},
        references_perplexity={},
        passports={
            "perplexity": Passport("perplexity", higher_is_better, "exp of <the mean>", judge="base"),
            "distinct_2": Passport("distinct-2", True, "different over all"),
        },
        num_prompts=20,
        num_texts=40,
    )


def spec(*names: str, samples: int = 1, seed: int = 7) -> RunSpec:
    """Settings of a run of short texts."""
    methods = tuple(METHODS[name] for name in names)
    return RunSpec(methods, samples=samples, sampling=Sampling(max_new_tokens=6), seed=seed)


@pytest.fixture(scope="module")
def id(services: Services) -> str:
    """A finished run of three prompts."""
    run = services.runner.add(spec(*NAMES, samples=2), PROMPTS, None)
    list(services.runner.run(run.id))
    return run.id


# Cells


def test_a_cell_says_figure_mark_and_interval() -> None:
    assert cell_text(FINE, "★") == "10.0 ★\n9.00 to 11.0"
    assert cell_text(Cell(4_938_648), metric="bytes") == "4.94\u00a0MB"
    assert cell_text(Cell(math.nan)) == "–"


def test_the_best_and_ties_are_marked_without_colour() -> None:
    table = results(FINE, BETTER, TIED, best=("lora:verse",))
    assert [marks(table, "perplexity", name) for name in NAMES] == ["", "★", "≈"]


def test_who_ties_with_the_best_is_marked_as_well() -> None:
    table = results(FINE, TIED, BETTER, best=("base", "lora:verse"))
    assert [marks(table, "perplexity", name) for name in NAMES] == ["★", "★ ≈", ""]


def test_nobody_is_best_where_all_tie() -> None:
    table = results(FINE, TIED, TIED, best=NAMES)
    assert [marks(table, "perplexity", name) for name in NAMES] == ["", "≈", "≈"]


# Tables


def shown(columns: list[Column]) -> list[list[str]]:
    """The texts of a table, row by row, as the page shows them."""
    rows: list[list[str]] = grid(columns)["metadata"]["display_value"]
    return rows


def headings(columns: list[Column]) -> list[str]:
    return [column.heading for column in columns]


def test_the_leaderboard_shows_texts_and_sorts_by_numbers() -> None:
    table = leaderboard(results(FINE, BETTER, Cell(math.nan), best=("lora:verse",)), METHODS)
    assert headings(table) == ["Method", "perplexity ↓", "distinct-2 ↑"]
    assert [row[1] for row in shown(table)] == ["10.0\n9.00 to 11.0", "5.00 ★\n4.00 to 6.00", "–"]
    assert [row[1] for row in grid(table)["data"]] == [10.0, 5.0, None]


def test_a_row_has_the_colours_of_its_method() -> None:
    assert edge(METHODS["base"]) == "box-shadow: inset 4px 0 0 var(--base)"
    assert edge(METHODS["lora:verse+prefix:facts"]).endswith("inset 4px 0 0 var(--lora), inset 8px 0 0 var(--prefix)")
    assert edge(None) == ""


def test_cross_scores_are_a_matrix_with_the_prompts_themselves() -> None:
    table = cross_scores(results(FINE, BETTER, TIED), METHODS)
    assert headings(table) == ["Method", "under base", "under lora:verse"]
    assert [row[0] for row in shown(table)] == [
        "Base",
        "LoRA verse",
        "LoRA verse over prefix facts",
        words.PROMPTS_THEMSELVES,
    ]
    assert shown(table)[1][2] == "–", "no value is a dash"
    assert shown(table)[3][1].startswith("10.0")


def test_two_runs_beside_each_other_mark_intervals_that_lie_apart() -> None:
    table = beside(results(FINE, FINE, FINE), results(BETTER, TIED, Cell(math.nan)), METHODS)
    assert headings(table)[:3] == ["Method", "perplexity ↓, this run", "perplexity ↓, the other"]
    assert [row[2].split("\n")[0] for row in shown(table)] == ["5.00 ≠", "9.90", "–"]


def test_passports_are_escaped_and_leave_out_what_does_not_apply() -> None:
    html = "".join(map(passport_html, results(FINE, BETTER, TIED).passports.values()))
    assert "exp of &lt;the mean&gt;" in html
    assert "lower is better" in html
    assert html.count("<dt>judge</dt>") == 1
    assert "None" not in html


# Texts


def test_prompts_stand_with_their_tags_and_each_methods_perplexity(services: Services, id: str) -> None:
    data = load_data(services, id)
    table = prompts_table(data)
    assert headings(table) == ["No.", "prompt", "tag genre", "tag year", *NAMES]
    assert [row[3] for row in shown(table)] == ["", "1", ""]
    tallies = [data.tallies["base"][s.key] for s in data.samples if (s.prompt, s.method) == (1, 0)]
    expected = math.exp(-sum(t.total for t in tallies) / sum(t.number for t in tallies))
    assert grid(table)["data"][1][:2] == [2, "Two days"]
    assert grid(table)["data"][1][4] == pytest.approx(expected)


def test_the_worst_or_the_best_prompts_of_a_method_come_first(services: Services, id: str) -> None:
    data = load_data(services, id)
    methods = [method.name for method in data.run.spec.methods for _ in ("lowest", "highest")]
    assert [name for name, _ in orders(data).values()] == methods
    lowest, highest = (
        [row[5] for row in grid(prompts_table(data, f"lora:verse: {which}"))["data"]]
        for which in ("lowest perplexity first (best)", "highest perplexity first (worst)")
    )
    assert lowest == sorted(lowest) == highest[::-1]


def test_all_texts_for_a_prompt_stand_side_by_side_with_their_own_figures(services: Services, id: str) -> None:
    data = load_data(services, id)
    sides = texts_for(data, 1)
    assert len(sides) == len(NAMES)
    for number, side in enumerate(sides):
        written = [s.text.removeprefix(" ") for s in data.samples if (s.prompt, s.method) == (1, number)]
        assert [piece for piece, mark in side if mark is None] == written
        heads = [piece.strip() for piece, mark in side if mark == PROMPT]
        assert [head.split(" · ")[0] for head in heads] == ["Text 1", "Text 2"]
        tokens = [s.num_tokens for s in data.samples if (s.prompt, s.method) == (1, number)]
        for head, count in zip(heads, tokens, strict=True):
            assert re.fullmatch(
                rf"Text \d · perplexity [\d.,]+ · distinct-2 \(words\) \S+ · repetition \S+ · {count} tokens?", head
            )


def test_a_method_without_a_text_says_so(services: Services) -> None:
    run = services.runner.add(spec("base", "lora:verse", seed=8), PROMPTS, None)
    steps = services.runner.run(run.id)
    while not next(steps).samples:
        pass
    steps.close()  # type: ignore[attr-defined]
    sides = texts_for(load_data(services, run.id), 0)
    assert sides[0][0][0].startswith("Text 1")
    assert sides[1] == [(words.NO_TEXT, PROMPT)]


def test_a_prompt_stands_with_its_reference(services: Services, id: str) -> None:
    data = load_data(services, id)
    assert [piece for piece, _ in prompt_spans(data, 0)] == [
        "Prompt 1\n",
        "One <b>day</b>",
        "\nReference\n",
        "it rained",
    ]
    assert len(prompt_spans(data, 1)) == 2


# Slices, files, replay


def test_slices_are_the_tags(services: Services, id: str) -> None:
    assert slices(PROMPTS) == {"genre = a": ("genre", "a"), "genre = b": ("genre", "b"), "year = 1": ("year", "1")}
    assert load_results(services, id).num_prompts == 3
    assert load_results(services, id, "genre = a").num_prompts == 2


def test_a_tag_that_is_another_for_each_prompt_is_no_slice() -> None:
    prompts = PromptSet("many", tuple(Prompt("x", tags=(("row", str(n)),)) for n in range(100)))
    assert slices(prompts) == {}


@pytest.mark.parametrize("chosen", ["genre = z", 3, ["genre = a"], {}])
def test_other_slices_are_refused(services: Services, id: str, chosen: Any) -> None:
    with pytest.raises(UserError):
        load_results(services, id, chosen)


@pytest.mark.parametrize("id", [None, "", "0" * 32, 5, {}, "../x"])
def test_ids_are_checked(services: Services, id: Any) -> None:
    for load in (find_run, load_data, load_results):
        with pytest.raises(UserError, match="mistyped"):
            load(services, id)


def test_a_deleted_run_is_gone_for_who_has_just_looked_at_it(services: Services) -> None:
    run = services.runner.add(spec("base"), PROMPTS, "me")
    list(services.runner.run(run.id))
    load_data(services, run.id)
    services.runner.delete(run.id, "me")
    with pytest.raises(UserError):
        load_data(services, run.id)


def test_the_report_shows_a_hostile_prompt_as_text(services: Services, id: str) -> None:
    assert b"One &lt;b&gt;day" in FILES["report.html"](load_data(services, id), load_results(services, id))


def replayed(services: Services, id: Any) -> list[str]:
    """What a replay says."""
    with gr.Blocks():
        work = work_buttons("Replay", "Verdict", "note")
    return [update[work.message][0][0] for update in replay_run(services, work, id)]


def test_a_replay_says_identical(services: Services, id: str) -> None:
    first, *_, last = replayed(services, id)
    assert first == "Writing every text again: 0 of 18."
    assert last == "✓ Re-written just now: 18 texts, identical."


def test_a_replay_names_the_first_tokens_that_differ_and_what_changed(services: Services, id: str) -> None:
    run = find_run(services, id)
    differences = tuple(Difference("base", 0, draw, 4) for draw in range(7))
    changed = run._replace(hashes={**run.hashes, "base": "another"})
    said = verdict(services, changed, Replay(18, 18, differences))
    assert said.startswith("✗ Re-written just now: 7 of 18 texts differ. base, prompt 1, text 1: token 4 differs.")
    assert "And 2 more." in said
    assert said.endswith("Changed since: base.")


@pytest.mark.parametrize("id", [None, "0" * 32, "x"])
def test_nothing_is_replayed_where_there_is_no_run(services: Services, id: Any) -> None:
    with pytest.raises(UserError, match="Cannot be re-written here: It may be mistyped"):
        replayed(services, id)
