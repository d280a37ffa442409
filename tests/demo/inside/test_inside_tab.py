"""The handlers of the tab of what adapters have learned, on the real components but without a server."""

import json
from base64 import b64decode
from collections.abc import Iterator
from typing import Any

import gradio as gr
import pytest

from adapters.learned.prefix_attention import Attention, Neighbour, Virtual
from adapters.learned.spectrum import Crop, Update
from adapters.methods import UserError
from adapters.store.adapter_store import AdapterStore
from demo.inside import figures, words
from demo.inside.tab import InsideView, fill_words, on_save, show_adapter, show_module, watch, watch_prefix
from demo.parts.actions import or_no_file
from demo.parts.marked import ERROR
from demo.parts.words import NO_SUCH_ADAPTER, percent
from demo.services import Services
from tests.demo.conftest import UsedUp

QUERY = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def services(lasting: Services) -> Services:
    return lasting


@pytest.fixture
def view() -> Iterator[InsideView]:
    with gr.Blocks():
        yield InsideView()


def update(path: str, relative: float) -> Update:
    """An update of one singular value, of this size relative to W."""
    return Update(path, (4, 4), 8, (relative,), 1.0)


def test_nothing_is_computed_before_the_tab_is_opened(view: InsideView) -> None:
    assert view.adapter.choices == []


def test_a_lora_shows_all_modules_and_the_one_that_changed_most(services: Services, view: InsideView) -> None:
    updates = show_adapter(services, view, "verse")
    names = [adapter.name for adapter in services.store.adapters]
    assert updates[view.adapter] == gr.update(choices=names, value="verse")
    assert (updates[view.lora]["visible"], updates[view.prefix]["visible"]) == (True, False)
    found = sorted(services.explorer.updates("verse"), key=lambda one: -one.relative)
    assert updates[view.module]["value"] == found[0].path
    assert [path for _, path in updates[view.module]["choices"]] == [one.path for one in found]
    ((line, mark),) = updates[view.message]
    assert line == words.stands_out("verse", found)
    ((line, mark),) = updates[view.numbers]
    trained, full = services.store.find("verse").num_parameters, sum(one.size[0] * one.size[1] for one in found)
    assert line == (
        f"verse: {trained:,} trained parameters in {len(found)} modules, {percent(trained / full)} of the {full:,} of "
        f"those modules and {percent(trained / services.num_parameters)} of the model's {services.num_parameters:,}."
    )
    assert mark is None
    ((line, _),) = updates[view.module_line]
    assert line.startswith(words.place_of(found[0]))
    assert line.endswith(" of 3.")
    assert updates[view.model].count("<button") == len(found)
    weight, change, adapted = (updates[square].data[0] for square in view.squares)
    assert weight.zmax == adapted.zmax
    assert weight.zmax != change.zmax
    assert fill_words(services, view, "verse") == {view.message: gr.skip()}
    assert show_adapter(services, view, None)[view.adapter]["value"] == names[0]


def test_squares_share_the_scale_of_w_and_name_rows_and_columns() -> None:
    crop = Crop("q", 64, 32, ((1.0, -2.0), (0.5, 0.0)), ((0.1, 0.0), (0.0, -0.2)), ((1.1, -2.0), (0.5, -0.2)))
    weight, change, adapted = (square.data[0] for square in figures.squares(crop))
    assert (weight.zmax, adapted.zmax, change.zmax) == (2, 2, 0.2)
    assert (weight.x0, weight.y0) == (32, 64)


def test_another_module_is_drawn_alone(services: Services, view: InsideView) -> None:
    updates = show_module(services, view, "verse", QUERY)
    assert set(updates) == {view.model, view.module, view.module_line, view.singular, *view.squares}
    assert f'data-module="{QUERY}"' in updates[view.model]
    assert 'aria-label="layer 1, q_proj: changed by ' in updates[view.model]
    assert updates[view.model].count('aria-pressed="true"') == 1
    values = next(one.singular_values for one in services.explorer.updates("verse") if one.path == QUERY)
    assert list(updates[view.singular].data[0].y) == list(values)
    for path in ("lm_head", None, 7):
        with pytest.raises(UserError, match="does not adapt"):
            show_module(services, view, "verse", path)


def test_a_prefix_shows_its_words(services: Services, view: InsideView) -> None:
    updates = show_adapter(services, view, "facts")
    assert (updates[view.lora]["visible"], updates[view.prefix]["visible"]) == (False, True)
    assert updates[view.words] == []
    assert (updates[view.seen]["visible"], updates[view.far]["visible"]) == (False, False)
    parameters = services.store.find("facts").num_parameters
    assert updates[view.message][0][0].startswith(f"facts: 5 learned tokens before the prompt, {parameters:,} numbers")
    filled = fill_words(services, view, "facts")
    assert [row[0] for row in filled[view.words]] == ["1", "2", "3", "4", "5"]
    assert filled[view.moved] is None, "the start of none of them is known"
    assert not filled[view.far]["visible"]


def test_a_virtual_token_stands_with_its_neighbours_and_how_far_it_moved() -> None:
    near = (Neighbour(" <b>sea", 0.5), Neighbour("x", 0.25))
    found = [Virtual((Neighbour(" sea", 1.0),), near, (0.1, 0.3)), Virtual((), near, ())]
    assert figures.words_table(found) == [
        ["1", "“ sea” → “ <b>sea”", "–", "30.0\u00a0%", "“ <b>sea” 0.50, “x” 0.25"],
        ["2", "? → “ <b>sea”", "–", "–", "“ <b>sea” 0.50, “x” 0.25"],
    ]
    seen = Attention(((0.1, 0.2), (0.3, 0.2)), ((0.3, 0.5),))
    assert [row[2] for row in figures.words_table(found, seen)] == ["20.0\u00a0%"] * 2, "means over the layers"
    assert figures.moved(found) is None, "the start of one of them is not known"
    assert figures.moved(found[:1]) is not None


@pytest.mark.parametrize("name", ["nobody", 7, ["verse"], "<script>"])
def test_an_adapter_that_is_gone_is_one_line(services: Services, view: InsideView, name: Any) -> None:
    with pytest.raises(UserError, match="no such adapter"):
        show_adapter(services, view, name)
    with pytest.raises(UserError, match="no such adapter"):
        next(watch(services, view, name, "Once"))
    assert or_no_file(on_save)(services, name) == (None, [(NO_SUCH_ADAPTER, ERROR)])


def test_without_adapters_the_tab_says_so(services: Services, view: InsideView) -> None:
    with pytest.raises(UserError, match="No adapter works with this base model yet"):
        show_adapter(services._replace(store=AdapterStore([], services.engine.base)), view, None)


def test_watching_writes_and_then_shows_what_was_looked_at(services: Services, view: InsideView) -> None:
    first, *_, last = watch(services, view, "facts", "Once")
    assert first == {view.watched: [("Writing: token 1.", None)]}
    ((line, _),) = last[view.watched]
    assert line.startswith("Written: “")
    ((line, mark),) = last[view.message]
    assert line.startswith("facts draws ")
    assert mark is None
    assert [row[2].endswith("%") for row in last[view.words]] == [True] * 5
    attention = last[view.attention].data[0].z
    assert (len(attention), len(attention[0])) == (3, 5), "layers, virtual tokens"
    assert all(0 < share < 1 for row in attention for share in row)
    assert last[view.seen]["visible"]


def test_tokens_are_shown_as_text() -> None:
    plot = figures.by_token(Attention(((0.1, 0.2),), ((0.3,), (0.3,))), (" a", "<i>"))
    assert plot.layout.yaxis.ticktext == ("“ a”", "“&lt;i&gt;”"), "plotly reads markup"


@pytest.mark.parametrize(("prompt", "message"), [(" ", "Write a few words"), (None, "Write"), ("x" * 5000, "5,000")])
def test_a_prompt_that_is_none_is_one_line(services: Services, view: InsideView, prompt: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(watch(services, view, "facts", prompt))


def test_watching_counts_towards_the_hour(services: Services, view: InsideView, used_up: UsedUp) -> None:
    with pytest.raises(UserError, match="1 of 1 X-rays"):
        next(watch(used_up(services), view, "facts", "Once"))


def test_leaving_ends_the_writing(services: Services, view: InsideView) -> None:
    steps = watch(services, view, "facts", "Once")
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert len(list(watch(services, view, "facts", "Once"))) > 1, "the engine is free again"


def test_the_numbers_are_saved_as_json(services: Services) -> None:
    file, line = on_save(services, "verse")
    assert file is not None
    assert (file["name"], line) == ("verse.json", [])
    assert b64decode(file["data"]) == services.explorer.as_json("verse")
    assert json.loads(b64decode(file["data"]))


def test_a_module_outside_of_the_layers_has_a_place_of_its_own() -> None:
    found = [update("lm_head", 0.5), update("model.layers.3.self_attn.q_proj", 0.25)]
    html = figures.model_html(found, "lm_head")
    assert html.count("<button") == 2
    assert "<span>–</span>" in html
    assert "<span>4</span>" in html, "layers count from 1"
    assert figures.ranks(found).layout.xaxis.ticktext == ("–", "4")


def test_names_in_the_picture_are_escaped() -> None:
    assert "<img" not in figures.model_html([update('model.layers.0.x"<img>', 0.5)], "")


def test_the_sentence_names_what_stands_out_with_layers_from_1() -> None:
    paths = {"model.layers.0.a.q_proj": 0.01, "model.layers.29.a.v_proj": 0.12, "model.layers.0.a.v_proj": 0.08}
    said = words.stands_out("poetry", [update(path, share) for path, share in paths.items()])
    assert said == (
        "poetry changed v_proj (values) in layer 30 most: by 12.0\u00a0% of its size. "
        "On average v_proj (values) changed by 10.0\u00a0%, q_proj (queries) by 1\u00a0%."
    )
    one = words.stands_out("one", [update("lm_head", 0.5)])
    assert one == "one changed lm_head outside of the layers most: by 50.0\u00a0% of its size."


def test_choosing_a_lora_measures_no_attention(services: Services, view: InsideView) -> None:
    assert list(watch_prefix(services, view, "verse", "Once")) == [{view.watched: gr.skip()}]
    *_, last = watch_prefix(services, view, "facts", "Once")
    assert view.attention in last


def test_a_figure_of_nothing_but_zeros_has_a_scale() -> None:
    zeros = Attention(((0.0, 0.0),), ((0.0,),))
    assert figures.by_virtual(zeros.layers, ".1%").data[0].zmax == 1
    assert "--share: 0%" in figures.model_html([update("model.layers.0.q", 0.0)], "")
