"""The list of adapters: cards, downloads, taking in and deleting, on the real components but without a server."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pytest

from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.training.order import TrainOrder, TrainSettings
from demo.compare.form import default_panes
from demo.compare.settings import build_pane, offer, offered
from demo.leaderboard.form import known_methods
from demo.parts import words as text
from demo.parts.links import owner_of
from demo.parts.views import Page
from demo.services import Services
from demo.train import words as words_train
from demo.train.adapter_list import (
    AdaptersPart,
    lay_out,
    new_zip,
    on_delete,
    on_download,
    on_hub,
    on_push,
    on_zip,
    open_card,
    show_rows,
)
from tests.demo.fake_training import FakeAdapter, FakeLibrary, fake_report
from tests.demo.fakes import fake_services

MINE, OTHER = "0" * 32, "1" * 32  # secrets of two browsers


class Tab(NamedTuple):
    services: Services
    part: AdaptersPart
    library: FakeLibrary


@pytest.fixture
def tab() -> Iterator[Tab]:
    """The section, with an adapter of this browser's own among those of the app."""
    services = fake_services()
    library = services.library
    assert isinstance(library, FakeLibrary)
    report = fake_report(TrainOrder("waves", TrainSettings(LoraSettings())))
    library.add(FakeAdapter("waves", "lora", 921_600, 8), owner_of(MINE), report)
    with gr.Blocks() as blocks:
        owner = gr.BrowserState(None)
        with gr.Tab("Train") as own:
            yield Tab(services, lay_out(services, Page(blocks, own, owner, gr.State(""))), library)


def test_the_list_says_what_each_adapter_is_and_whose(tab: Tab) -> None:
    rows = show_rows(tab.services, tab.part, MINE)[tab.part.rows]
    assert rows[0] == ["poetry", "LoRA", "r = 8", "920,000", "–", "–", words_train.SHIPPED]
    assert rows[2][1:3] == ["prefix tuning", "20 virtual tokens"]
    assert rows[3] == ["waves", "LoRA", "r = 8", "921,600", "113, base 173 (× 0.65)", "× 1.04", words_train.MINE]
    assert show_rows(tab.services, tab.part, OTHER)[tab.part.rows][3][-1] == words_train.SOMEBODY


def test_a_card_shows_figures_and_texts_and_reads_nothing_as_markup(tab: Tab) -> None:
    card, updates = tab.part.card, open_card(tab.services, tab.part, "waves", MINE)
    assert updates[card.figures] == [
        ["Held-out rows, perplexity of the text", "170.00", "110.00", "0.65"],
        ["The same with the end tokens", "173.00", "113.00", "0.65"],
        ["General text, perplexity", "50.00", "52.00", "1.04"],
        ["Held-out answers that are exact", "10.0\u00a0%", "40.0\u00a0%", ""],
    ]
    assert ["Data", "the file <b>sea.txt</b>"] in updates[card.facts]
    assert ["r", "8"] in updates[card.facts]
    assert ["target_modules", "attention"] in updates[card.facts]
    assert ["use_dora", "no"] in updates[card.facts]
    assert "<img" in updates[card.readme]
    assert isinstance(card.readme, gr.Textbox), "which shows a stranger's text as it stands"
    assert "<b>" not in updates[card.head]
    assert updates[card.samples][-1][1] is None
    assert (updates[card.delete.ask]["visible"], updates[card.push_row]["visible"]) == (True, True)


def test_an_adapter_without_figures_has_a_card_too(tab: Tab) -> None:
    card, updates = tab.part.card, open_card(tab.services, tab.part, "facts", MINE)
    assert updates[card.measured]["visible"] is False
    assert updates[card.merge]["visible"] is False, "a prefix cannot be merged"
    assert (updates[card.delete.ask]["visible"], updates[card.push_row]["visible"]) == (False, False)
    for name in ("nothing", None, ["waves"]):
        with pytest.raises(UserError, match="no such adapter"):
            open_card(tab.services, tab.part, name, MINE)


def test_what_is_deleted_is_offered_nowhere(tab: Tab) -> None:
    for name, secret in (("waves", OTHER), ("waves", None), ("poetry", MINE)):
        with pytest.raises(UserError):
            on_delete(tab.services, tab.part, name, secret)
    assert "lora:waves" in known_methods(tab.services)
    updates = on_delete(tab.services, tab.part, "waves", MINE)
    assert [row[0] for row in updates[tab.part.rows]] == ["poetry", "scifi", "facts"]
    assert updates[tab.part.card.column]["visible"] is False
    assert "lora:waves" not in known_methods(tab.services)


def test_the_panes_offer_what_has_come_and_not_what_has_gone(tab: Tab) -> None:
    with gr.Blocks():
        pane = build_pane(tab.services, 0, default_panes(tab.services)[0], True)
    before, lora = offered(tab.services), pane.controls["lora"]
    assert offer(tab.services, [pane], before) == {}, "nothing new, nothing sent"
    on_delete(tab.services, tab.part, "waves", MINE)
    assert offer(tab.services, [pane], before) == {lora: gr.update(choices=[text.NONE, "poetry", "scifi"])}
    before = offered(tab.services)
    on_hub(tab.services, tab.part, "some/one", "foam", MINE)
    (update,) = offer(tab.services, [pane], before).values()
    assert update == gr.update(choices=[text.NONE, "facts", "foam"]), "what is chosen stays"


def test_an_adapter_is_taken_in_and_its_card_opened(tab: Tab, tmp_path: Path) -> None:
    good, bad = tmp_path / "tides.zip", tmp_path / "tides.bin"
    good.write_bytes(b"PK")
    bad.write_bytes(b"PK")
    updates = on_zip(tab.services, tab.part, str(good), " tides ", MINE)
    assert updates[tab.part.name] == "tides"
    assert updates[tab.part.message] == [(words_train.IMPORTED.format(name="tides"), None)]
    assert updates[tab.part.rows][-1][0] == "tides"
    assert on_hub(tab.services, tab.part, "some/one", "foam", MINE)[tab.part.name] == "foam"
    refused: list[tuple[Any, Any]] = [(str(bad), MINE), (str(good), None), (None, MINE), (str(tmp_path / "x"), MINE)]
    for path, secret in refused:
        with pytest.raises(UserError):
            on_zip(tab.services, tab.part, path, "more", secret)
    with pytest.raises(UserError, match="not a Hub id"):
        on_hub(tab.services, tab.part, "some", "more", MINE)


def test_a_download_is_a_file_in_the_folder_that_is_swept(tab: Tab, tmp_path: Path) -> None:
    make = partial(new_zip, tab.services)
    path, note = on_download(make, tmp_path, "waves")
    assert note == []
    assert path is not None
    assert Path(path).is_relative_to(tmp_path)
    assert on_download(make, tmp_path, "waves")[0] != path, "two visitors do not write one file"
    for made, name in ((tab.library.merged, "facts"), (tab.library.zip, None)):
        path, ((line, _),) = on_download(made, tmp_path, name)
        assert path is None
        assert "\n" not in line


def test_only_its_own_browser_pushes_an_adapter(tab: Tab) -> None:
    updates = on_push(tab.services, tab.part, "waves", " me/waves ", MINE)
    assert updates[tab.part.message] == [("Pushed to https://huggingface.co/me/waves", None)]
    for name, secret in (("waves", OTHER), ("poetry", MINE), (None, MINE)):
        with pytest.raises(UserError):
            on_push(tab.services, tab.part, name, "me/waves", secret)
    assert tab.library.pushed == [("waves", "me/waves")]
