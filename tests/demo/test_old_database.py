"""A database of release 1 opens: its runs and links show, export and replay as before.

`data/release_1.db` was made by that release with the tiny Llama: a finished run (base and steered, 2 prompts, 2 texts
each), a stopped run of the command line, and a shared comparison of one pane.
"""

import io
import json
import shutil
from pathlib import Path

import gradio as gr
import pandas as pd
import pytest

from adapters.base_model import BaseModel
from app import Settings, services_of
from demo.compare.record import find_comparison
from demo.compare.run import replay
from demo.leaderboard.results.load import find_run, load_results
from demo.leaderboard.results.run_facts import replay_run
from demo.leaderboard.results.run_texts import texts_for
from demo.parts import words as text
from demo.parts.actions import work_buttons
from demo.parts.links import owner_of
from demo.parts.numbers import if_finite
from demo.services import Services
from leaderboard.metrics.distinct import distinct
from leaderboard.output.export import FILES
from leaderboard.output.report import comparison_report
from leaderboard.store.database import Database

OWNER = owner_of("0" * 31 + "1")
RELEASE_1 = Path(__file__).parent / "data" / "release_1.db"


@pytest.fixture
def old(tiny_llama: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Services:
    """The services around a copy of the old database."""
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")
    shutil.copy(RELEASE_1, tmp_path / "steerboard.db")
    settings = Settings(None, tmp_path, "127.0.0.1", 0)
    return services_of(tiny_llama, Database(f"sqlite:///{tmp_path / 'steerboard.db'}"), settings)


def ids(services: Services) -> dict[str, str]:
    """The runs that their owner sees, by status."""
    return {line.status: line.id for line in services.database.runs(OWNER)}


def test_its_runs_are_listed_shown_and_exported(old: Services) -> None:
    assert set(ids(old)) == {"done", "stopped"}
    id = ids(old)["done"]
    run, results, data = find_run(old, id), load_results(old, id), old.runner.data(id)
    assert (run.owner, run.spec.seed, run.prompts.name) == (OWNER, 11, "openers")
    assert results.methods == ("base", "pplm")
    assert results.cells["distinct_2"]["base"].value == pytest.approx(
        distinct_of(pd.read_parquet(io.BytesIO(FILES["texts.parquet"](data, results))))
    )
    assert [len(of) for of in texts_for(data, 0)] == [4, 4], "two texts by each method, each under its figures"
    assert json.loads(FILES["run.json"](data, results))["run"] == id
    assert all(FILES[name](data, results) for name in FILES)


def distinct_of(table: pd.DataFrame) -> float:
    """Distinct-2 of the base's texts, cut to the shorter text of both methods."""
    words = {(row.method, row.row, row.draw): str(row.text).split() for row in table.itertuples()}
    cut = [of[: min(len(of), len(words["pplm", row, draw]))] for (m, row, draw), of in words.items() if m == "base"]
    return distinct([" ".join(of) for of in cut], 2)


def test_its_runs_replay_identically(old: Services) -> None:
    with gr.Blocks():
        work = work_buttons("Replay", "Verdict", "note")
    *_, last = replay_run(old, work, ids(old)["done"])
    assert last[work.message][0][0].startswith(text.replayed(8, 8))


def test_a_stopped_run_goes_on(old: Services) -> None:
    for _ in old.runner.run(ids(old)["stopped"]):
        pass
    assert len(old.runner.data(ids(old)["done"]).samples) == 8


def test_its_link_opens_reports_and_replays_identically(old: Services) -> None:
    id = "5617e9c10cf665b917d0c5231ea1764d"
    comparison = find_comparison(old, id)
    pane = comparison.board.panes[0]
    written = "".join(piece for piece, _ in pane.spans).removeprefix("The sea, the sea")
    assert pane.figures is not None
    assert pane.figures.distinct_2 == if_finite(distinct([written], 2))
    assert pane.figures.perplexity == pytest.approx(45.7127287544709), "as it was shown then"
    record = old.database.comparison(id)
    assert record is not None
    assert "The sea, the sea" in comparison_report(record)
    *_, last = replay(old, comparison)
    assert last.message.startswith(text.replayed(1, 1))
    assert old.database.owns_comparison(id, str(OWNER))
