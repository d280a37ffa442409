"""The list of adapters: cards, downloads, imports and deleting, on the real components but without a server."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from adapters.training.order import Scores
from demo.compare.board import PaneView
from demo.compare.form import default_panes
from demo.compare.panes import Pane, offer, offered
from demo.parts.actions import or_no_file
from demo.parts.links import owner_of
from demo.parts.uploads import known_methods
from demo.parts.views import Page
from demo.services import Services
from demo.train import words
from demo.train.adapter_list import (
    AdaptersPart,
    adapter_rows,
    new_zip,
    on_delete,
    on_download,
    on_hub,
    on_push,
    on_zip,
    open_card,
)
from tests.demo.conftest import UsedUp
from tests.demo.train.conftest import MINE, TEXT, report

OTHER = "1" * 32  # secret of another browser


@pytest.fixture(scope="module")
def services(shared_services: Services, own_adapter: Callable[[str], Path]) -> Services:
    """With `waves` of this browser's own."""
    own_adapter("waves")
    return shared_services


@pytest.fixture(scope="module")
def part(services: Services) -> Iterator[AdaptersPart]:
    with gr.Blocks() as blocks:
        owner = gr.BrowserState(None)
        with gr.Tab("Train") as own:
            yield AdaptersPart(services, Page(blocks, own, owner, gr.State(""), gr.State(None)))


def cards_of(services: Services, secret: Any) -> dict[str, list[str]]:
    return {name: text.split("\n") for text, name in adapter_rows(services, secret)}


def test_the_cards_say_what_each_adapter_is_and_whose(services: Services) -> None:
    cards = cards_of(services, MINE)
    assert cards["verse"] == ["verse", "LoRA, rank 3 · 0.1 MB · Shipped"]
    assert cards["facts"][1] == "prefix tuning, 5 virtual tokens · 0.1 MB · Shipped"
    assert cards["waves"][1:] == [
        "LoRA, rank 3 · 0.1 MB · Yours",
        "Fit to its text: 1.5 × better",
        "Forgetting: 4\u00a0%",
    ]
    assert cards_of(services, OTHER)["waves"][1].endswith("Shared")


@pytest.mark.parametrize(
    ("own", "general", "lines"),
    [
        (3.92, 50.0, ["Fit to its text: 44 × better", "Forgetting: none"]),
        (180.0, 40.0, ["Fit to its text: no better", "Forgetting: none"]),
        (43.0, 63.5, ["Fit to its text: 4 × better", "Forgetting: 27\u00a0%"]),
    ],
)
def test_fit_and_forgetting_are_words(own: float, general: float, lines: list[str]) -> None:
    made = replace(report("waves"), adapter_scores=Scores(own, own, general, None))
    assert words.fit_lines(made) == lines


def test_a_card_shows_figures_and_texts_and_reads_nothing_as_markup(services: Services, part: AdaptersPart) -> None:
    card, updates = part.card, open_card(services, part, "waves", MINE)
    assert updates[card.figures] == [
        [words.TEXT_PERPLEXITY, "170.00", "110.00", "0.65"],
        [words.PERPLEXITY, "173.00", "113.00", "0.65"],
        [words.GENERAL_PERPLEXITY, "50.00", "52.00", "1.04"],
        [words.EXACT, "10.0\u00a0%", "40.0\u00a0%", ""],
    ]
    assert ["Data", "the file <b>sea.txt</b>"] in updates[card.facts]
    assert ["r", "8"] in updates[card.facts]
    assert ["target_modules", "attention"] in updates[card.facts]
    assert ["use_dora", "no"] in updates[card.facts]
    assert "<img" in updates[card.readme]
    assert isinstance(card.readme, gr.Textbox), "which shows a stranger's text as it stands"
    assert "<b>" not in updates[card.head]
    assert updates[card.samples][-1] == (TEXT, None)
    assert (updates[card.delete.ask]["visible"], updates[card.push_row]["visible"]) == (True, False)
    permitted = services._replace(library=Pushing(services.library))  # type: ignore[arg-type]
    assert open_card(permitted, part, "waves", MINE)[card.push_row]["visible"] is True


def test_an_adapter_without_figures_has_a_card_too(services: Services, part: AdaptersPart) -> None:
    card, updates = part.card, open_card(services, part, "facts", MINE)
    assert updates[card.measured]["visible"] is False
    assert updates[card.merge]["visible"] is False, "a prefix cannot be merged"
    assert (updates[card.delete.ask]["visible"], updates[card.push_row]["visible"]) == (False, False)
    for name in ("nothing", None, ["waves"]):
        with pytest.raises(UserError, match="no such adapter"):
            open_card(services, part, name, MINE)


def test_the_panes_offer_what_has_come_and_what_is_deleted_is_offered_nowhere(
    services: Services, part: AdaptersPart, own_adapter: Callable[[str], Path]
) -> None:
    with gr.Blocks():
        pane, known = Pane(services, 0, default_panes(services)[0], PaneView(), True), gr.State()
    before, lora, expert = offered(services), pane.controls["lora"], pane.controls["expert"]
    assert offer(services, [pane], known, before) == {known: before}, "nothing new, nothing sent"
    folder = own_adapter("foam")
    sent = offer(services, [pane], known, before)
    assert sent[lora] == gr.update(choices=services.names("lora")), "what is chosen stays"
    assert "foam" in sent[expert]["choices"]
    assert "lora:foam" in known_methods(services)
    before = offered(services)
    for name, secret in (("foam", OTHER), ("foam", None), ("verse", MINE)):
        with pytest.raises(UserError):
            on_delete(services, part, name, secret)
    updates = on_delete(services, part, "foam", MINE)
    assert "foam" not in [name for _, name in updates[part.rows]["choices"]]
    assert updates[part.card.column]["visible"] is False
    assert "lora:foam" not in known_methods(services)
    sent = offer(services, [pane], known, before)
    assert sent.keys() == {known, lora, expert}
    assert sent[lora] == gr.update(choices=services.names("lora"))
    assert not folder.exists()


def test_an_adapter_is_downloaded_imported_and_its_card_opened(
    services: Services, part: AdaptersPart, tmp_path: Path
) -> None:
    make = partial(new_zip, services)
    path, note = on_download(make, tmp_path, "waves")
    assert note == []
    assert Path(path).is_relative_to(tmp_path)
    assert on_download(make, tmp_path, "waves")[0] != path, "two visitors do not write one file"
    updates = on_zip(services, part, path, " tides ", MINE)
    assert updates[part.name] == "tides"
    assert updates[part.message] == [(words.IMPORTED.format(name="tides"), None)]
    assert "tides" in [name for _, name in updates[part.rows]["choices"]]
    bad = tmp_path / "tides.bin"
    bad.write_bytes(b"PK")
    refused: list[tuple[Any, Any]] = [(str(bad), MINE), (path, None), (None, MINE), (str(tmp_path / "x"), MINE)]
    for file, secret in refused:
        with pytest.raises(UserError):
            on_zip(services, part, file, "more", secret)
    with pytest.raises(UserError, match="Hub"):
        on_hub(services, part, "some/one", "more", MINE)


def test_fetching_from_the_hub_counts_as_an_upload(services: Services, part: AdaptersPart, used_up: UsedUp) -> None:
    with pytest.raises(UserError, match="1 of 1 uploads"):
        on_hub(used_up(services), part, "some/one", "more", MINE)


def test_only_a_lora_can_be_merged_and_what_there_is_none_of_is_one_line(services: Services, tmp_path: Path) -> None:
    for made, name in ((services.library.merged, "facts"), (services.library.zip, None), (services.library.zip, "no")):
        path, ((line, _),) = or_no_file(on_download)(made, tmp_path, name)
        assert path is None
        assert "\n" not in line


class Pushing:
    """A library that may push: remembers what was sent, asks the real one for the rest."""

    can_push = True

    def __init__(self, library: Any) -> None:
        self.library = library
        self.pushed: list[tuple[str, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.library, name)

    def push(self, name: str, repo: str) -> str:
        self.pushed.append((name, repo))
        return f"https://huggingface.co/{repo}"


def test_only_its_own_browser_pushes_an_adapter(services: Services, part: AdaptersPart) -> None:
    library = Pushing(services.library)
    permitted = services._replace(library=library)  # type: ignore[arg-type]
    updates = on_push(permitted, part, "waves", " me/waves ", MINE)
    assert updates[part.message] == [("Pushed to https://huggingface.co/me/waves", None)]
    for name, secret in (("waves", OTHER), ("verse", MINE), (None, MINE)):
        with pytest.raises(UserError):
            on_push(permitted, part, name, "me/waves", secret)
    assert library.pushed == [("waves", "me/waves")]
    assert services.library.owner("waves") == owner_of(MINE)
