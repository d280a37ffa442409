"""The handlers of the tab of what adapters have learned, on the real components but without a server."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.methods import UserError
from demo.learned import figures as figures
from demo.learned import words as words_learned
from demo.learned.tab import LearnedView, fill_words, lay_out_learned, on_save, show_adapter, show_module, watch
from demo.parts.panes import ERROR
from demo.services import Services
from tests.demo.fakes import FakeAttention, FakeExplorer, FakeStore, FakeUpdate, fake_services


@pytest.fixture
def services() -> Services:
    return fake_services()


@pytest.fixture
def view() -> Iterator[LearnedView]:
    with gr.Blocks():
        yield lay_out_learned()


def asked(services: Services) -> list[str]:
    assert isinstance(services.explorer, FakeExplorer)
    return services.explorer.asked


def test_nothing_is_computed_before_the_tab_is_opened(services: Services, view: LearnedView) -> None:
    assert asked(services) == []
    assert view.adapter.choices == []


def test_a_lora_shows_all_modules_and_the_one_that_changed_most(services: Services, view: LearnedView) -> None:
    updates = show_adapter(services, view, None)
    assert updates[view.adapter] == gr.update(choices=["poetry", "scifi", "facts"], value="poetry")
    assert (updates[view.lora.column]["visible"], updates[view.prefix.column]["visible"]) == (True, False)
    assert updates[view.lora.module] == gr.update(
        choices=[
            ("layer 2: self_attn.v_proj, 4\u00a0% of W", "model.layers.1.self_attn.v_proj"),
            ("layer 1: self_attn.q_proj, 1\u00a0% of W", "model.layers.0.self_attn.q_proj"),
        ],
        value="model.layers.1.self_attn.v_proj",
    )
    ((line, mark),) = updates[view.message]
    assert line == (
        "poetry: 3,072 trained parameters in 2 modules, 1.4\u00a0% of the 221,184 of those modules and "
        "0.0023\u00a0% of the model's 135,000,000."
    )
    assert mark is None
    ((line, _),) = updates[view.lora.line]
    assert line == (
        "model.layers.1.self_attn.v_proj: W is 576 by 192, 1,536 trained instead of 110,592. The update is 4\u00a0% of "
        "W in size; effective rank 1.9 of 2."
    )
    weight, change, adapted = (updates[square].data[0] for square in view.lora.squares)
    assert (weight.zmax, adapted.zmax, change.zmax) == (2, 2, 0.2)
    assert list(weight.x) == [32, 33]
    assert list(weight.y) == [64, 65]
    assert "words poetry" not in asked(services)
    assert fill_words(services, view, "poetry") == {view.message: gr.skip()}


def test_another_module_is_drawn_alone(services: Services, view: LearnedView) -> None:
    updates = show_module(services, view, "poetry", "model.layers.0.self_attn.q_proj")
    assert set(updates) == {view.lora.line, view.lora.singular, *view.lora.squares}
    assert list(updates[view.lora.singular].data[0].y) == [2, 1]
    for path in ("lm_head", None, 7):
        with pytest.raises(UserError, match="does not adapt"):
            show_module(services, view, "poetry", path)


def test_a_prefix_shows_its_words(services: Services, view: LearnedView) -> None:
    updates = show_adapter(services, view, "facts")
    assert (updates[view.lora.column]["visible"], updates[view.prefix.column]["visible"]) == (False, True)
    assert updates[view.prefix.words] == []
    assert (updates[view.prefix.seen]["visible"], updates[view.prefix.far]["visible"]) == (False, False)
    assert updates[view.message][0][0].startswith("facts: 20 virtual tokens, 230,400 numbers as keys and values")
    filled = fill_words(services, view, "facts")
    assert filled[view.prefix.words] == [
        ["1", "“ sea” 1.00", "“ <b>sea” 0.50, “x” 0.25", "30.0\u00a0%"],
        ["2", "not known", "“ <b>sea” 0.50, “x” 0.25", "–"],
    ]
    assert filled[view.prefix.moved] is None, "the start of one of them is not known"
    assert not filled[view.prefix.far]["visible"]


@pytest.mark.parametrize("name", ["nobody", 7, ["poetry"], "<script>"])
def test_an_adapter_that_is_gone_is_one_line(services: Services, view: LearnedView, name: Any) -> None:
    with pytest.raises(UserError, match="no such adapter"):
        show_adapter(services, view, name)
    (update,) = watch(services, view, name, "Once")
    assert update[view.prefix.line] == [(words_learned.NO_SUCH_ADAPTER, ERROR)]
    assert on_save(services, name) == (None, [(words_learned.NO_SUCH_ADAPTER, ERROR)])


def test_without_adapters_the_tab_says_so(view: LearnedView) -> None:
    with pytest.raises(UserError, match="No adapter works with this base model yet"):
        show_adapter(fake_services(store=FakeStore(adapters=())), view, None)


def test_watching_writes_and_then_shows_what_was_looked_at(services: Services, view: LearnedView) -> None:
    first, last = watch(services, view, "facts", "Once")
    assert first == {view.prefix.line: [("Writing: 1 so far.", None)]}
    assert last[view.prefix.line][0][0] == (
        "Written: “ a<i>”. Its tokens paid 50.0\u00a0% of their attention to the prefix."
    )
    assert last[view.prefix.attention].data[0].z == ([0.1, 0.2], [0.3, 0.4])
    assert last[view.prefix.seen]["visible"]
    names = last[view.prefix.tokens].layout.yaxis.ticktext
    assert names == ("“ a”", "“&lt;i&gt;”"), "plotly reads markup"


@pytest.mark.parametrize(("prompt", "message"), [(" ", "Write a few words"), (None, "Write"), ("x" * 5000, "5,000")])
def test_a_prompt_that_is_none_is_one_line(services: Services, view: LearnedView, prompt: Any, message: str) -> None:
    (update,) = watch(services, view, "facts", prompt)
    ((line, mark),) = update[view.prefix.line]
    assert message in line
    assert mark == ERROR


def test_leaving_ends_the_writing(services: Services, view: LearnedView) -> None:
    steps = watch(services, view, "facts", "Once")
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert services.explorer.left == 1  # type: ignore[attr-defined]


def test_the_numbers_are_saved_as_json(services: Services) -> None:
    file, line = on_save(services, "poetry")
    assert file is not None
    assert (file["name"], json.loads(b64decode(file["data"])), line) == ("poetry.json", {"name": "poetry"}, [])


def test_a_module_outside_of_the_layers_has_a_column_of_its_own() -> None:
    plot = figures.norms([FakeUpdate(None, "lm_head", 0.5), FakeUpdate(3, "self_attn.q_proj", 0.25)])
    assert plot.data[0].z == ([0.5, None], [None, 0.25])
    assert plot.layout.xaxis.ticktext == ("–", "4")


def test_a_figure_of_nothing_but_zeros_has_a_scale() -> None:
    zeros = FakeAttention(((0.0, 0.0),), ((0.0,),))
    assert figures.attention(zeros).data[0].zmax == 1
    assert figures.norms([FakeUpdate(0, "q", 0.0)]).data[0].zmax == 1
