"""The Compare tab's handlers: values in, values out, on the real components but without a server."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import gradio as gr
import pytest

from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, Sampling, parse_method, to_json
from adapters.pplm.word_list import NO_WORDS
from demo.compare.examples import EXAMPLES, Example
from demo.compare.form import PPLM_FIELDS
from demo.compare.run import compare
from demo.compare.tab import (
    Bench,
    board_updates,
    lay_out,
    new_seed,
    on_add,
    on_example,
    on_pane_settings,
    on_remove,
    on_sampling,
    on_stop,
    on_words,
    play,
)
from demo.page import AT_ONCE, TABS, build_app
from demo.parts import words as text
from demo.parts.board import Board, PaneView
from demo.parts.numbers import ATTRIBUTE, PROMPT
from demo.parts.panes import ERROR, Values, figures_html, head_html, pane_text
from demo.parts.views import Page
from demo.services import Services
from demo.xray.tab import Source, build_xray
from tests.demo.fakes import FakeEngine, FakeStore, fake_services


@pytest.fixture
def services() -> Services:
    return fake_services()


@pytest.fixture
def bench(services: Services) -> Iterator[Bench]:
    with gr.Blocks():
        yield lay_out(services)


def fresh(bench: Bench) -> Values:
    """The values of every control on a fresh page, the prompt filled in."""
    controls = [control for pane in bench.panes for control in pane.controls.values()]
    inputs: list[Any] = [bench.prompt, bench.mode, bench.seed, bench.shown, bench.board, *bench.sampling.values()]
    return {component: component.value for component in [*inputs, *controls]} | {bench.prompt: "The movie was"}


def test_a_run_begins_and_ends_with_generate_as_the_primary_button(services: Services, bench: Bench) -> None:
    updates = list(play(services, bench, compare, fresh(bench)))
    assert updates[0][bench.generate]["variant"] == "secondary"
    assert updates[0][bench.stop]["variant"] == "primary"
    assert updates[-1][bench.generate]["variant"] == "primary"
    assert updates[-1][bench.stop]["variant"] == "secondary"


def test_only_what_changed_is_sent(services: Services, bench: Bench) -> None:
    updates = list(play(services, bench, compare, fresh(bench)))
    assert all(bench.message not in update for update in updates)
    sent = [{place for place, pane in enumerate(bench.panes) if pane.text in update} for update in updates]
    assert set().union(*sent) == {0, 1, 2, 3}
    assert {3} in sent, "the steered pane goes on alone"


def test_hidden_panes_do_not_run(bench: Bench) -> None:
    engine = FakeEngine()
    list(play(fake_services(engine), bench, compare, fresh(bench) | {bench.shown: (0, 4)}))
    assert [request.method.name for request in engine.asked[0]] == ["base", "lora:poetry+pplm:science"]


def test_stop_shows_stopped_panes_and_wakes_generate(services: Services, bench: Bench) -> None:
    boards = [update[bench.board] for update in play(services, bench, compare, fresh(bench))]
    updates = on_stop(services, bench, boards[len(boards) // 3])
    assert updates[bench.generate]["variant"] == "primary"
    assert text.STOPPED in updates[bench.panes[3].figures]
    assert bench.panes[3].text in updates


def test_an_error_is_a_message_and_keeps_the_texts(services: Services, bench: Bench) -> None:
    (update,) = play(services, bench, compare, fresh(bench) | {bench.prompt: " "})
    assert update[bench.message] == [(text.NO_PROMPT, ERROR)]
    assert not any(pane.text in update for pane in bench.panes)


def test_an_error_in_one_pane_stands_there_and_the_others_go_on(services: Services, bench: Bench) -> None:
    controls, before = bench.panes[3].controls, list(play(services, bench, compare, fresh(bench)))[-1][bench.board]
    values = fresh(bench) | {controls["attribute"]: text.OWN_WORDS, bench.board: before}
    updates = list(play(services, bench, compare, values))
    assert updates[0][bench.panes[3].note] == [(NO_WORDS, ERROR)]
    assert updates[0][bench.message] == [(text.MEND_SOME, ERROR)]
    last = updates[-1][bench.board]
    assert last.outcome.requests.keys() == {0, 1, 2}
    assert last.panes[3] == before.panes[3]._replace(status=text.CHANGED), "its older text stays, and says so"
    mended = values | {bench.board: last, controls["words"]: "ocean"}
    assert next(play(services, bench, compare, mended))[bench.panes[3].note] == []


def test_the_next_good_run_takes_the_error_away(services: Services, bench: Bench) -> None:
    board = Board().refuse(ValueError("no"))  # type: ignore[arg-type]
    updates = list(play(services, bench, compare, fresh(bench) | {bench.board: board}))
    assert updates[0][bench.message] == []


def test_the_folded_line_says_the_shared_values(bench: Bench) -> None:
    values = fresh(bench) | {bench.sampling["temperature"]: 0, bench.sampling["top_k"]: 40, bench.seed: 12}
    updates = on_sampling(bench, values | {bench.mode: text.CHAT})
    label = updates[bench.folded]["label"]
    assert label == "greedy · top-k 40 · top-p 0.9 · 60 tokens · seed 12 · chat template, the same in every pane"


@pytest.mark.parametrize(("name", "value"), [("temperature", float("nan")), ("max_new_tokens", 10**6)])
def test_bad_shared_values_are_named(bench: Bench, name: str, value: float) -> None:
    ((words, mark),) = on_sampling(bench, fresh(bench) | {bench.sampling[name]: value})[bench.message]
    assert name in words
    assert mark == ERROR


def test_a_pane_is_renamed_with_its_settings(services: Services, bench: Bench) -> None:
    values = fresh(bench) | {
        bench.panes[0].controls["lora"]: "poetry",
        bench.panes[0].controls["attribute"]: "positive",
    }
    updates = on_pane_settings(services, bench, 0, values)
    assert "PPLM positive over LoRA poetry" in updates[bench.panes[0].head]
    assert "kind-lora kind-pplm" in updates[bench.panes[0].head]


def test_a_changed_pane_keeps_its_text_and_says_that_it_is_older(services: Services, bench: Bench) -> None:
    board = [update[bench.board] for update in play(services, bench, compare, fresh(bench))][-1]
    values = fresh(bench) | {bench.board: board, bench.panes[3].controls["strength"]: 0.2}
    updates = on_pane_settings(services, bench, 3, values)
    assert updates[bench.panes[3].text] == list(board.panes[3].spans)
    assert text.CHANGED in updates[bench.panes[3].figures]
    assert "strength 0.2" in updates[bench.panes[3].head]


def test_own_words_get_their_box_and_a_note_while_it_is_empty(services: Services, bench: Bench) -> None:
    controls = bench.panes[3].controls
    updates = on_pane_settings(services, bench, 3, fresh(bench) | {controls["attribute"]: text.OWN_WORDS})
    assert updates[bench.panes[3].own]["visible"] is True
    assert updates[bench.panes[3].note] == [(NO_WORDS, ERROR)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.label)
def test_an_example_fills_what_it_needs(services: Services, bench: Bench, example: Example) -> None:
    updates = on_example(services, bench, example, fresh(bench))
    assert updates[bench.prompt] == example.prompt
    assert updates[bench.mode] == (text.CHAT if example.chat else text.PLAIN)
    if example.lora:
        assert updates[bench.panes[1].controls["lora"]] == example.lora
    assert bench.panes[0].controls["lora"] not in updates, "the base stays the base"


def test_panes_come_back_one_by_one_up_to_six(bench: Bench) -> None:
    updates = on_add(bench, (0, 1, 2, 3))
    assert updates[bench.shown] == (0, 1, 2, 3, 4)
    assert updates[bench.panes[4].column]["visible"] is True
    updates = on_add(bench, (0, 1, 2, 4, 5))
    assert updates[bench.shown] == (0, 1, 2, 3, 4, 5)
    assert updates[bench.add]["interactive"] is False
    assert on_add(bench, (0, 1, 2, 3, 4, 5))[bench.shown] == (0, 1, 2, 3, 4, 5)


def test_a_pane_goes_and_the_last_one_stays(bench: Bench) -> None:
    updates = on_remove(bench, 1, (0, 1))
    assert updates[bench.shown] == (0,)
    assert updates[bench.panes[1].column]["visible"] is False
    assert on_remove(bench, 0, (0,)) == {bench.message: [(text.LAST_PANE, ERROR)]}


def test_seeds_are_valid_and_vary() -> None:
    seeds = {new_seed() for _ in range(50)}
    assert len(seeds) > 10
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_costs_are_computed_from_the_adapters(services: Services) -> None:
    assert text.cost(parse_method("lora:poetry"), services) == "rank r = 8, 0.68\u00a0% of the parameters trained"
    assert (
        text.cost(parse_method("prefix:facts"), services) == "20 virtual tokens, 0.17\u00a0% of the parameters trained"
    )
    composed = text.cost(parse_method("pplm:science+lora:poetry"), services)
    assert "strength" in composed
    assert "0.68\u00a0%" in composed
    assert "nothing trained" not in composed
    steering = PPLM((Attribute("science"),), num_iterations=1, strength=4.5)
    for changes, line in (
        ({}, "strength 4.5, 1 push a token, nothing trained"),
        ({"num_iterations": 3, "best_of": 4}, "strength 4.5, 3 pushes a token, best of 4, nothing trained"),
        ({"kl_budget": 0.6}, "strength 4.5, at most 0.6 nats a token, 1 push a token, nothing trained"),
        ({"strength": NO_LIMIT, "kl_budget": 0.6}, "at most 0.6 nats a token, 1 push a token, nothing trained"),
        ({"strength": NO_LIMIT, "step_size": 0.02}, "no limit, step size 0.02, 1 push a token, nothing trained"),
    ):
        assert text.cost(Method("m", steering=replace(steering, **changes)), services) == line


def test_names_are_escaped_where_they_stand_in_html(services: Services) -> None:
    assert "<b>" not in head_html(parse_method("lora:<b>x</b>"), services)
    assert "<i>" not in figures_html(PaneView(status="<i>"))


def test_a_fresh_pane_says_what_it_does() -> None:
    for name in ("base", "lora:poetry", "prefix:facts", "pplm:science"):
        ((words, mark),) = pane_text(PaneView(parse_method(name)))
        assert len(words) > 20
        assert mark == PROMPT


def test_marks_reach_the_page(services: Services, bench: Bench) -> None:
    view = PaneView(spans=(("a", PROMPT), ("b", None), ("c", ATTRIBUTE)))
    updates = board_updates(services, bench, Board(), Board({2: view}))
    assert updates[bench.panes[2].text] == [("a", PROMPT), ("b", None), ("c", ATTRIBUTE)]


def test_refused_adapters_are_not_offered_and_said_why(services: Services, bench: Bench) -> None:
    offered = [choice for pane in bench.panes for _, choice in pane.controls["lora"].choices]  # type: ignore[attr-defined]
    assert "legal" not in offered
    assert text.refused(services) == "Not offered: legal. It was made for the base model 'gpt2', not for 'fake-135M'."


@pytest.mark.parametrize("store", [FakeStore(), FakeStore((), {})])
def test_every_control_has_a_label_and_a_line_of_explanation(store: FakeStore) -> None:
    blocks = build_app(fake_services(store=store))
    asked = (gr.Textbox, gr.Slider, gr.Dropdown, gr.Radio, gr.Number, gr.Checkbox)
    controls = [block for block in blocks.blocks.values() if isinstance(block, asked)]
    assert len(controls) > 70
    assert all(control.label and control.info and control.info.endswith(".") for control in controls)


def test_whatever_uses_the_model_shares_one_place() -> None:
    services = fake_services()
    with gr.Blocks() as late, gr.Tab() as tab:
        for name, build in TABS.items():
            if name not in AT_ONCE:
                build(services, Page(late, tab, gr.BrowserState(), gr.State("")))
        build_xray(services, Source([gr.Button()], [gr.State()], dict), [late.load])
    heavy = [
        (fn.concurrency_id, fn.concurrency_limit)
        for blocks in (build_app(services), late)
        for fn in blocks.fns.values()
        if fn.fn is not None and fn.queue and fn.concurrency_limit not in ("default", None)
    ]
    assert Counter(heavy) == {
        ("model", 1): 7,
        ("leaderboard", 1): 3,
        ("training", 1): 1,
        ("library", 1): 5,
        ("learned", 1): 1,
        ("costs", 1): 1,
    }


def test_only_compare_is_public() -> None:
    blocks = build_app(fake_services())
    assert [fn.api_name for fn in blocks.fns.values() if fn.fn is not None and fn.api_visibility == "public"] == [
        "compare"
    ]


def test_a_number_beyond_the_scale_reaches_the_form_that_says_so(services: Services, bench: Bench) -> None:
    strength = bench.panes[3].controls["strength"]
    for number in (101, float("nan")):
        values = fresh(bench) | {strength: strength.preprocess(number)}
        last = list(play(services, bench, compare, values))[-1][bench.board]
        assert "strength: " in last.errors[3]
        assert last.outcome.requests.keys() == {0, 1, 2}, "the others go on"


def test_words_that_were_sent_reach_the_panes_with_an_attribute_once(bench: Bench) -> None:
    with gr.Blocks() as blocks, gr.Tab("Compare") as tab:
        page = Page(blocks, tab, gr.BrowserState(), gr.State(""))
    updates = on_words(bench, page, fresh(bench) | {page.words: "whale, shark"})
    steered = [place for place, pane in enumerate(bench.panes) if pane.controls["words"] in updates]
    assert steered == [3, 4]
    assert updates[bench.panes[3].controls["attribute"]] == text.OWN_WORDS
    assert updates[page.words] == ""
    assert on_words(bench, page, fresh(bench) | {page.words: ""}) == {page.words: ""}


def test_several_attributes_are_named_with_their_weights(services: Services, bench: Bench) -> None:
    controls = bench.panes[3].controls
    weighted = {controls["weight"]: 2, controls["attribute_2"]: "sentiment:negative", controls["weight_2"]: -1.5}
    updates = on_pane_settings(services, bench, 3, fresh(bench) | weighted)
    assert "PPLM science ×2 and away from sentiment:negative ×1.5" in updates[bench.panes[3].head]
    ((words, _),) = updates[bench.panes[3].text]
    assert "towards the words of its list and away from what its discriminator is trained to see." in words


def test_every_setting_of_pplm_has_a_control(bench: Bench) -> None:
    assert set(PPLM_FIELDS) < bench.panes[0].controls.keys()


def test_sampling_defaults_are_on_the_sliders(bench: Bench) -> None:
    assert {name: component.value for name, component in bench.sampling.items()} == to_json(Sampling())
