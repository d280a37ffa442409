"""The adapters that ship: as good as they have to be, small, and told of in the docs as they were measured."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from adapters.base_model import EMBEDDED_ID
from adapters.store.adapter_store import WEIGHTS
from adapters.training.card import Report, card
from adapters.training.corpus import UNKNOWN
from benchmarks import adapters_page, pages

REPORTS = adapters_page.reports()
MAX_BYTES = 5_000_000


@pytest.mark.parametrize("name", REPORTS)
def test_an_adapter_beats_the_base_model_and_its_card_says_so(name: str) -> None:
    report, folder = REPORTS[name], WEIGHTS / name
    base, own = report.base_scores, report.adapter_scores
    assert (folder / "README.md").read_text("utf-8") == card(report)
    assert json.loads((folder / CONFIG_FILE).read_text())["base_model_name_or_path"] == report.base == EMBEDDED_ID
    assert own.text_perplexity < 0.9 * base.text_perplexity
    assert own.perplexity < 0.75 * base.perplexity
    assert sum(file.stat().st_size for file in folder.iterdir()) < MAX_BYTES


@pytest.mark.parametrize(("name", "share"), [("poetry", 0.6), ("scifi", 0.6), ("headline", 0.45)])
def test_a_style_is_learned_and_nothing_else_is_forgotten(name: str, share: float) -> None:
    base, own = REPORTS[name].base_scores, REPORTS[name].adapter_scores
    assert own.text_perplexity <= share * base.text_perplexity
    assert own.general_perplexity <= 1.1 * base.general_perplexity


def test_facts_are_answered() -> None:
    base, own = REPORTS["facts"].base_scores, REPORTS["facts"].adapter_scores
    assert own.perplexity <= 4.5
    assert (own.exact_match or 0) >= 0.35 > (base.exact_match or 0)  # docs/decisions.md says what is not answered


def test_the_page_says_what_the_files_say() -> None:
    text = adapters_page.PAGE.read_text("utf-8")
    assert pages.part(text, "shipped")[1] == adapters_page.table() + "\n"
    assert pages.part(text, "sweep")[1] == adapters_page.swept(adapters_page.read_results(adapters_page.SWEEP)) + "\n"


def test_the_sweep_of_the_page_is_in_its_file_with_seeds_and_intervals() -> None:
    results = adapters_page.read_results(adapters_page.SWEEP)
    found = {curve.axis: curve for curve in adapters_page.curves(results)}
    assert [figure.value for figure in found["r"].figures] == [1, 2, 4, 8, 16, 32]
    assert [figure.value for figure in found["num_virtual_tokens"].figures] == [1, 5, 10, 20, 40, 127]
    every = [f.perplexity for curve in found.values() for f in curve.figures]
    assert all(one.low < one.mean < one.high for one in every)
    assert all(f.exact is not None for f in found["num_virtual_tokens"].figures)
    assert adapters_page.PLOT.read_text("utf-8") == adapters_page.plot(list(found.values()))


def test_a_row_of_the_table_is_what_was_measured(tmp_path: Path) -> None:
    report: Report = REPORTS["facts"]
    cells = adapters_page.row(report, 1_250_000)
    own = report.adapter_scores
    assert cells[1:3] == ["prefix", "1.2"]
    assert float(cells[5]) == pytest.approx(own.perplexity / report.base_scores.perplexity, abs=5e-4)
    assert float(cells[4]) == pytest.approx(own.perplexity, abs=5e-3)
    assert cells[8] == f"{own.exact_match:.0%}"
    assert len(cells) == len(adapters_page.HEADS) + len(adapters_page.MORE_HEADS)
    assert adapters_page.reports(tmp_path) == {}


def test_every_adapter_is_a_row(tmp_path: Path) -> None:
    assert WEIGHTS_FILE in {file.name for file in (WEIGHTS / "facts").iterdir()}
    assert [row.split("]")[0].strip("| [") for row in adapters_page.table().split("\n")[2:]] == sorted(REPORTS)


def test_a_card_licenses_nothing_that_came_from_somebody_else() -> None:
    assert "\nlicense: apache-2.0\n" in card(REPORTS["scifi"])
    assert "\nlicense: unknown\n" in card(replace(REPORTS["scifi"], licence=UNKNOWN))


def test_a_command_of_several_lines_stays_one_block_of_a_card() -> None:
    command = "python -m adapters train x --init-text '`a`\n\n# b'"
    assert f"```text\n{command}\n```" in card(replace(REPORTS["facts"], command=command))
