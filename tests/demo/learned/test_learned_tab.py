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
from demo.learned import figures, words
from demo.learned.tab import LearnedView, fill_words, on_save, show_adapter, show_module, watch
from demo.parts.actions import or_no_file
from demo.parts.marked import ERROR
from demo.parts.words import percent
from demo.services import Services

QUERY = "model.layers.0.self_attn.q_proj"


@pytest.fixture
def services(lasting: Services) -> Services:
    return lasting


@pytest.fixture
def view() -> Iterator[LearnedView]:
    with gr.Blocks():
        yield LearnedView()


def update(path: str, relative: float) -> Update:
    """An update of one singular value, of this size relative to W."""
    return Update(path, (4, 4), 8, (relative,), 1.0)


def test_nothing_is_computed_before_the_tab_is_opened(view: LearnedView) -> None:
    assert view.adapter.choices == []


def test_a_lora_shows_all_modules_and_the_one_that_changed_most(services: Services, view: LearnedView) -> None:
    updates = show_adapter(services, view, "verse")
    names = [adapter.name for adapter in services.store.adapters]
    assert updates[view.adapter] == gr.update(choices=names, value="verse")
    assert (updates[view.lora]["visible"], updates[view.prefix]["visible"]) == (True, False)
    found = sorted(services.explorer.updates("verse"), key=lambda one: -one.relative)
    assert updates[view.module]["value"] == found[0].path
    assert [path for _, path in updates[view.module]["choices"]] == [one.path for one in found]
    ((line, mark),) = updates[view.message]
    trained, full = services.store.find("verse").num_parameters, sum(one.size[0] * one.size[1] for one in found)
    assert line == (
        f"verse: {trained:,} trained parameters in {len(found)} modules, {percent(trained / full)} of the {full:,} of "
        f"those modules and {percent(trained / services.num_parameters)} of the model's {services.num_parameters:,}."
    )
    assert mark is None
    ((line, _),) = updates[view.module_line]
    assert line.startswith(f"{found[0].path}: W is ")
    assert line.endswith(" of 3.")
    weight, change, adapted = (updates[square].data[0] for square in view.squares)
    assert weight.zmax == adapted.zmax
    assert weight.zmax != change.zmax
    assert fill_words(services, view, "verse") == {view.message: gr.skip()}
    assert show_adapter(services, view, None)[view.adapter]["value"] == names[0]


def test_squares_share_the_scale_of_w_and_name_rows_and_columns() -> None:
    crop = Crop("q", 64, 32, ((1.0, -2.0), (0.5, 0.0)), ((0.1, 0.0), (0.0, -0.2)), ((1.1, -2.0), (0.5, -0.2)))
    weight, change, adapted = (square.data[0] for square in figures.squares(crop))
    assert (weight.zmax, adapted.zmax, change.zmax) == (2, 2, 0.2)
    assert list(weight.x) == [32, 33]
    assert list(weight.y) == [64, 65]


def test_another_module_is_drawn_alone(services: Services, view: LearnedView) -> None:
    updates = show_module(services, view, "verse", QUERY)
    assert set(updates) == {view.module_line, view.singular, *view.squares}
    values = next(one.singular_values for one in services.explorer.updates("verse") if one.path == QUERY)
    assert list(updates[view.singular].data[0].y) == list(values)
    for path in ("lm_head", None, 7):
        with pytest.raises(UserError, match="does not adapt"):
            show_module(services, view, "verse", path)


def test_a_prefix_shows_its_words(services: Services, view: LearnedView) -> None:
    updates = show_adapter(services, view, "facts")
    assert (updates[view.lora]["visible"], updates[view.prefix]["visible"]) == (False, True)
    assert updates[view.words] == []
    assert (updates[view.seen]["visible"], updates[view.far]["visible"]) == (False, False)
    parameters = services.store.find("facts").num_parameters
    assert updates[view.message][0][0].startswith(f"facts: 5 virtual tokens, {parameters:,} numbers as keys and values")
    filled = fill_words(services, view, "facts")
    assert [row[0] for row in filled[view.words]] == ["1", "2", "3", "4", "5"]
    assert filled[view.moved] is None, "the start of none of them is known"
    assert not filled[view.far]["visible"]


def test_a_virtual_token_stands_with_its_neighbours_and_how_far_it_moved() -> None:
    near = (Neighbour(" <b>sea", 0.5), Neighbour("x", 0.25))
    found = [Virtual((Neighbour(" sea", 1.0),), near, (0.1, 0.3)), Virtual((), near, ())]
    assert figures.words_table(found) == [
        ["1", "“ sea” 1.00", "“ <b>sea” 0.50, “x” 0.25", "30.0\u00a0%"],
        ["2", "not known", "“ <b>sea” 0.50, “x” 0.25", "–"],
    ]
    assert figures.moved(found) is None, "the start of one of them is not known"
    assert figures.moved(found[:1]) is not None


@pytest.mark.parametrize("name", ["nobody", 7, ["verse"], "<script>"])
def test_an_adapter_that_is_gone_is_one_line(services: Services, view: LearnedView, name: Any) -> None:
    with pytest.raises(UserError, match="no such adapter"):
        show_adapter(services, view, name)
    with pytest.raises(UserError, match="no such adapter"):
        next(watch(services, view, name, "Once"))
    assert or_no_file(on_save)(services, name) == (None, [(words.NO_SUCH_ADAPTER, ERROR)])


def test_without_adapters_the_tab_says_so(services: Services, view: LearnedView) -> None:
    with pytest.raises(UserError, match="No adapter works with this base model yet"):
        show_adapter(services._replace(store=AdapterStore([], services.engine.base)), view, None)


def test_watching_writes_and_then_shows_what_was_looked_at(services: Services, view: LearnedView) -> None:
    first, *_, last = watch(services, view, "facts", "Once")
    assert first == {view.watched: [("Writing: 1 so far.", None)]}
    ((line, mark),) = last[view.watched]
    assert line.startswith("Written: “")
    assert line.endswith(" of their attention to the prefix.")
    assert mark is None
    attention = last[view.attention].data[0].z
    assert (len(attention), len(attention[0])) == (3, 5), "layers, virtual tokens"
    assert all(0 < share < 1 for row in attention for share in row)
    assert last[view.seen]["visible"]


def test_tokens_are_shown_as_text() -> None:
    plot = figures.by_token(Attention(((0.1, 0.2),), ((0.3,), (0.3,))), (" a", "<i>"))
    assert plot.layout.yaxis.ticktext == ("“ a”", "“&lt;i&gt;”"), "plotly reads markup"


@pytest.mark.parametrize(("prompt", "message"), [(" ", "Write a few words"), (None, "Write"), ("x" * 5000, "5,000")])
def test_a_prompt_that_is_none_is_one_line(services: Services, view: LearnedView, prompt: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        next(watch(services, view, "facts", prompt))


def test_leaving_ends_the_writing(services: Services, view: LearnedView) -> None:
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


def test_a_module_outside_of_the_layers_has_a_column_of_its_own() -> None:
    plot = figures.norms([update("lm_head", 0.5), update("model.layers.3.self_attn.q_proj", 0.25)])
    assert plot.data[0].z == ([0.5, None], [None, 0.25])
    assert plot.layout.xaxis.ticktext == ("–", "4")


def test_a_figure_of_nothing_but_zeros_has_a_scale() -> None:
    zeros = Attention(((0.0, 0.0),), ((0.0,),))
    assert figures.by_virtual(zeros.layers, ".1%").data[0].zmax == 1
    assert figures.norms([update("model.layers.0.q", 0.0)]).data[0].zmax == 1
