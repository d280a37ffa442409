"""The Compare tab's handlers: values in, values out, on the real components but without a server."""

import re
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import pytest

from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, UserError, from_json, parse_method, to_json
from adapters.pplm.word_list import NO_WORDS
from demo.compare import examples, words
from demo.compare.board import Board, PaneView
from demo.compare.components import Bench
from demo.compare.examples import EXAMPLES, Example, records
from demo.compare.figures import legend_html
from demo.compare.form import PPLM_FIELDS, read_method
from demo.compare.panes import clicked_word, pane_text, status_html
from demo.compare.run import compare
from demo.compare.tab import (
    new_seed,
    on_adapter,
    on_add,
    on_choose,
    on_drawer,
    on_example,
    on_own_words,
    on_pane_settings,
    on_remove,
    on_sampling,
    on_start,
    on_stop,
    on_words,
    play,
)
from demo.page import AT_ONCE, TABS, build_app
from demo.parts.controls import FIRST_SAMPLING
from demo.parts.events import VISITORS, or_message
from demo.parts.marked import ERROR, Values, cost, head_html
from demo.parts.numbers import PROMPT, TOPICS
from demo.parts.views import Page
from demo.parts.words import CHAT, NO_PROMPT, OWN_WORDS
from demo.services import Services
from demo.xray.tab import Source, build_xray
from tests.demo.compare.conftest import TOKENS


@pytest.fixture(scope="module")
def services(lasting: Services) -> Services:
    return lasting


@pytest.fixture(scope="module")
def bench(services: Services) -> Bench:
    with gr.Blocks():
        return Bench(services)


@pytest.fixture(scope="module")
def blocks(services: Services) -> gr.Blocks:
    return build_app(services)


OWNER = gr.State()  # nobody's
PARTED = ["base", "lora:verse", "prefix:facts", "ask:science", "experts:verse", "best:science", "pplm:science"]
PARTED += ["push:science"]


def fresh(bench: Bench) -> Values:
    """The values of every control on a fresh page, the prompt filled in, steered by words of the tiny model."""
    inputs: set[Any] = bench.inputs
    values = {component: component.value for component in inputs} | {bench.prompt: "The movie was"}
    assert values[bench.drawer.place] == 3
    steered = bench.panes[3].controls
    return values | {
        OWNER: None,
        bench.panes[1].controls["lora"]: "verse",
        bench.sampling.fields["max_new_tokens"]: TOKENS,
        steered["attribute"]: OWN_WORDS,
        steered["words"]: "a, e, o",
    }


def choose(bench: Bench, values: Values, place: int) -> Values:
    """The values after a pane was chosen in the drawer."""
    return after(values, on_choose(bench, values | {bench.drawer.pane: place}))


def after(values: Values, updates: Values) -> Values:
    """The values of the page after these updates."""
    return values | {
        part: update.get("value", values.get(part)) if isinstance(update, dict) else update
        for part, update in updates.items()
    }


@pytest.fixture(scope="module")
def played(services: Services, bench: Bench) -> list[Values]:
    """The updates of one run."""
    return list(play(services, bench, OWNER, compare, fresh(bench)))


@pytest.fixture(scope="module")
def boards(bench: Bench, played: list[Values]) -> list[Board]:
    return [update[bench.board] for update in played]


def test_stop_stands_in_the_place_of_run_while_texts_grow(bench: Bench, played: list[Values]) -> None:
    for update in (on_start(bench, Board()), *played[:-1]):
        assert update[bench.stop]["visible"]
    for update in (on_start(bench, Board()), played[0]):
        assert not update[bench.run]["visible"]
    assert played[-1][bench.run] == gr.update(value=words.RUN_AGAIN, visible=True)
    assert not played[-1][bench.stop]["visible"]
    labels = [update[bench.stop]["value"] for update in played[:-1]]
    assert labels[0] == "Stop"
    assert any(re.fullmatch(r"Stop · \d+ s left", label) for label in labels)


def test_enter_while_texts_grow_says_why_nothing_starts(bench: Bench, boards: list[Board]) -> None:
    with pytest.raises(UserError, match="Still writing"):
        on_start(bench, boards[0])


def test_figures_stand_there_once_all_texts_have_ended(bench: Bench, played: list[Values]) -> None:
    assert not any(bench.figures in update for update in played[:-1])
    strip = played[-1][bench.figures]
    assert all(name in strip for name in ("Words on topic", "Perplexity", "Different word pairs", "Speed"))
    assert strip.count('class="track"') == 4 * 4
    (legend,) = [update[bench.legend] for update in played if bench.legend in update]
    assert legend.startswith('<span class="topic-0">own words word</span>')


def test_only_what_changed_is_sent(bench: Bench, played: list[Values]) -> None:
    assert all(bench.message not in update for update in played)
    sent = [{place for place, pane in enumerate(bench.panes) if pane.view.text in update} for update in played]
    assert set().union(*sent) == {0, 1, 2, 3}
    assert {3} in sent, "the steered pane goes on alone"
    heads = [pane.view.head in update for update in played[1:] for pane in bench.panes]
    assert not any(heads), "the method of a pane stays the same while it writes"


def test_hidden_panes_do_not_run(services: Services, bench: Bench) -> None:
    values = fresh(bench) | {bench.shown: (0, 1), bench.sampling.fields["max_new_tokens"]: 1}
    last = list(play(services, bench, OWNER, compare, values))[-1][bench.board]
    assert [pane["method"]["name"] for pane in last.record["panes"]] == ["base", "lora:verse"]


def test_stop_shows_stopped_panes_and_wakes_generate(services: Services, bench: Bench, boards: list[Board]) -> None:
    updates = on_stop(services, bench, boards[len(boards) // 3])
    assert updates[bench.run]["visible"]
    assert words.STOPPED in updates[bench.panes[3].view.status]
    assert bench.panes[3].view.text not in updates, "the text stays"


def test_an_error_is_a_message_and_keeps_the_texts(services: Services, bench: Bench) -> None:
    (update,) = play(services, bench, OWNER, compare, fresh(bench) | {bench.prompt: " "})
    assert update[bench.message] == [(NO_PROMPT, ERROR)]
    assert not any(pane.view.text in update for pane in bench.panes)


def test_an_error_in_one_pane_stands_there_and_the_others_go_on(
    services: Services, bench: Bench, boards: list[Board]
) -> None:
    controls, before = bench.panes[3].controls, boards[-1]
    values = fresh(bench) | {controls["words"]: "", bench.board: before}
    updates = list(play(services, bench, OWNER, compare, values))
    assert updates[0][bench.panes[3].view.note] == [(NO_WORDS, ERROR)]
    assert updates[0][bench.message] == [(words.MEND_SOME, ERROR)]
    last = updates[-1][bench.board]
    assert [pane["place"] for pane in last.record["panes"]] == [0, 1, 2]
    assert last.panes[3] == before.panes[3]._replace(status=words.CHANGED), "its older text stays, and says so"
    mended = values | {bench.board: last, controls["words"]: "a"}
    assert next(play(services, bench, OWNER, compare, mended))[bench.panes[3].view.note] == []


def test_the_next_good_run_takes_the_error_away(services: Services, bench: Bench) -> None:
    board = Board().refuse(UserError("no"))
    assert next(play(services, bench, OWNER, compare, fresh(bench) | {bench.board: board}))[bench.message] == []


def test_the_folded_line_says_the_shared_values(bench: Bench) -> None:
    fields = bench.sampling.fields
    values = fresh(bench) | {fields["temperature"]: 0, fields["top_k"]: 40, bench.sampling.seed: 12}
    updates = on_sampling(bench, values | {bench.sampling.mode: CHAT})
    label = updates[bench.settings]["label"]
    assert label == "Settings · greedy · top-k 40 · top-p 0.9 · 8 tokens · seed 12 · answer as chat"


@pytest.mark.parametrize(("name", "value"), [("temperature", float("nan")), ("max_new_tokens", 10**6)])
def test_bad_shared_values_are_named(bench: Bench, name: str, value: float) -> None:
    values = fresh(bench) | {bench.sampling.fields[name]: value}
    ((line, mark),) = or_message(bench.message, partial(on_sampling, bench), values)[bench.message]
    assert name in line
    assert mark == ERROR


def test_a_pane_is_renamed_with_its_settings(services: Services, bench: Bench) -> None:
    pane = bench.panes[0]
    values = choose(bench, fresh(bench), 0) | {pane.controls["attribute"]: "positive", pane.controls["lora"]: "verse"}
    updates = on_drawer(services, bench, values | {bench.drawer.uses: ["lora", "pplm"]})
    assert "PPLM positive over LoRA verse" in updates[bench.panes[0].view.head]
    assert re.findall(r'<i class="kind-(\w+)"', updates[bench.panes[0].view.head]) == ["lora", "pplm"]


def test_a_changed_pane_keeps_its_text_and_says_that_it_is_older(
    services: Services, bench: Bench, boards: list[Board]
) -> None:
    values = fresh(bench) | {bench.board: boards[-1], bench.panes[3].controls["strength"]: 0.2}
    updates, shown = on_pane_settings(services, bench, bench.panes[3], values), bench.panes[3].view
    assert shown.text not in updates, "the text is not sent again"
    assert words.CHANGED in updates[shown.status]
    assert "strength 0.2" in updates[shown.head]


def test_the_drawer_keeps_the_settings_of_each_pane(services: Services, bench: Bench) -> None:
    values = fresh(bench) | {bench.drawer.controls["cooldown"]: 4}
    assert read_method(bench.read(values).panes[3]).steering.cooldown == 4, "a change counts at once"  # type: ignore[union-attr]
    values = choose(bench, after(values, on_drawer(services, bench, values)), 1)
    assert values[bench.drawer.uses] == ["lora"]
    assert values[bench.drawer.controls["cooldown"]] == PPLM.cooldown
    values = values | {bench.drawer.controls["cooldown"]: 7, bench.drawer.uses: ["lora", "pplm"]}
    values = choose(bench, values, 3)
    assert values[bench.drawer.controls["cooldown"]] == 4
    names = [read_method(form).name for form in bench.read(values).panes.values()]
    assert names == ["base", "lora:verse+pplm:science", "prefix:facts", "pplm:own words"]
    assert bench.read(values).panes[1]["cooldown"] == 7, "what was typed last is kept by the next choice"


def test_a_pane_shows_the_levers_of_what_it_uses(services: Services, bench: Bench) -> None:
    controls = bench.panes[3].controls
    every = ["pplm", "best", "push", "ask", "experts"]
    values = fresh(bench) | {bench.drawer.uses: every, controls["attribute"]: "science", controls["ask"]: OWN_WORDS}
    values |= {controls["expert"]: "verse", controls["instruction"]: "A sad <b>poem</b>:", controls["guidance"]: 2}
    updates = on_drawer(services, bench, values)
    shown = {name for name in controls if name != "words" and updates[controls[name]]["visible"]}
    levers = {"strength", "best_of", "nats", "guidance", "alpha"}
    assert shown == {"attribute", "ask", "expert", "instruction"} | levers
    head = updates[bench.panes[3].view.head]
    assert "PPLM science + push science + ask own words ×2 + experts verse" in head
    assert "best of 10) · adds 3 nats to the words of a list before each draw" in head
    assert "“A sad &lt;b&gt;poem&lt;/b&gt;:” stands before the prompt · guidance 2" in head
    assert "adds 0.5 × what verse finds likelier than Base" in head
    assert head.count("no training") == 1
    less = on_drawer(services, bench, values | {bench.drawer.uses: ["push"]})
    assert {name for name in levers | {"ask", "expert"} if less[controls[name]]["visible"]} == {"nats"}
    assert "Push science" in less[bench.panes[3].view.head]
    none = on_drawer(services, bench, values | {bench.drawer.uses: [], bench.drawer.controls["attribute_2"]: "space"})
    assert "<h2>" in none[bench.panes[3].view.head]
    assert "Base</h2>" in none[bench.panes[3].view.head], "a topic that nothing steers to"


def test_own_words_get_their_box_and_a_note_while_it_is_empty(services: Services, bench: Bench) -> None:
    controls = bench.panes[3].controls
    updates = on_pane_settings(services, bench, bench.panes[3], fresh(bench) | {controls["words"]: ""})
    assert updates[bench.panes[3].own]["visible"] is True
    assert updates[bench.panes[3].view.note] == [(NO_WORDS, ERROR)]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_an_example_sets_the_whole_tab(
    services: Services, bench: Bench, example: Example, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fresh(bench) | {bench.shown: (0, 5), bench.sampling.fields["temperature"]: 2}
    record = records()[example.title]
    here = {"name": "lora:verse", "lora": "verse"}  # one that is here
    panes = [{"method": pane["method"] | (here if pane["method"]["lora"] else {})} for pane in record["panes"]]
    monkeypatch.setattr(examples, "records", lambda: {example.title: {**record, "panes": panes}})
    updates = on_example(services, bench, Example(*example), before)
    values = after(before, updates)
    form = bench.read(values)
    assert (form.prompt, form.seed, form.sampling) == (record["prompt"], record["seed"], to_json(FIRST_SAMPLING))
    assert [read_method(pane) for pane in form.panes.values()] == [from_json(Method, pane["method"]) for pane in panes]
    assert values[bench.shown] == (0, 1, 2, 3)
    assert all(updates[button]["variant"] == "secondary" for button in bench.examples), "this is none of them"
    assert example.look in updates[bench.look]


def test_panes_come_back_one_by_one_up_to_six(bench: Bench) -> None:
    values = fresh(bench)
    updates = on_add(bench, values | {bench.shown: (0, 1, 2, 3)})
    assert updates[bench.shown] == (0, 1, 2, 3, 4)
    assert updates[bench.panes[4].view.column]["visible"] is True
    assert updates[bench.drawer.place] == 4, "its settings are the next that one wants"
    assert updates[bench.drawer.pane]["choices"][4] == ("5 · Push science", 4)
    updates = on_add(bench, values | {bench.shown: (0, 1, 2, 4, 5)})
    assert updates[bench.shown] == (0, 1, 2, 3, 4, 5)
    assert updates[bench.add]["interactive"] is False
    assert on_add(bench, values | {bench.shown: (0, 1, 2, 3, 4, 5)})[bench.shown] == (0, 1, 2, 3, 4, 5)


def test_a_pane_goes_and_the_last_one_stays(bench: Bench) -> None:
    values = choose(bench, fresh(bench) | {bench.shown: (0, 1)}, 1)
    updates = on_remove(bench, values)
    assert updates[bench.shown] == (0,)
    assert updates[bench.drawer.place] == 0
    assert updates[bench.panes[1].view.column]["visible"] is False
    with pytest.raises(UserError, match=words.LAST_PANE):
        on_remove(bench, values | {bench.shown: (1,)})


def test_seeds_are_valid_and_vary() -> None:
    seeds = {new_seed() for _ in range(50)}
    assert len(seeds) > 10
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_costs_are_computed_from_the_adapters(services: Services) -> None:
    lora, prefix = services.adapter("verse"), services.adapter("facts")
    assert lora is not None
    assert prefix is not None
    share = 100 * lora.num_parameters / services.num_parameters
    assert cost(parse_method("lora:verse"), services) == f"trained on verse · {share:.1f}\u00a0% extra weights (rank 3)"
    assert cost(parse_method("prefix:facts"), services).startswith("5 learned tokens before the prompt · ")
    for name, line in (
        ("best:science", "no training · writes 10 texts and keeps the one most on topic · 10 rows for each text"),
        ("push:science", "no training · adds 3 nats to the words of a list before each draw · no extra time"),
        ("ask:science", "no training · “An essay about science:” stands before the prompt · no extra time"),
        ("experts:verse/facts*-1", "takes away 1 × what verse finds likelier than facts · a row for each"),
    ):
        assert cost(parse_method(name), services).endswith(line)
    composed = cost(parse_method("pplm:science+lora:verse"), services)
    assert composed.startswith(
        "no training · a gradient nudges the memory before each token (strength 20) · trained on verse"
    )
    steering = PPLM((Attribute("science"),), num_iterations=1, strength=4.5)
    for changes, line in (
        ({}, "(strength 4.5)"),
        ({"num_iterations": 3, "best_of": 4}, "(strength 4.5, 3 steps, best of 4)"),
        ({"kl_budget": 0.6}, "(strength 4.5, at most 0.6 nats per token)"),
        ({"strength": NO_LIMIT, "kl_budget": 0.6}, "(at most 0.6 nats per token)"),
        ({"strength": NO_LIMIT, "step_size": 0.02}, "(no limit, step size 0.02)"),
    ):
        assert cost(Method("m", steering=replace(steering, **changes)), services).endswith(line)
    assert cost(parse_method("base"), services) == "tiny llama, unchanged"


def test_names_are_escaped_where_they_stand_in_html(services: Services) -> None:
    assert "<b>" not in head_html(parse_method("lora:<b>x</b>"), services)
    assert "<i>" not in status_html(PaneView(status="<i>"))
    assert "<i>" not in legend_html(Board({0: PaneView(spans=(("a", None),))}, topics=("<i>",)))


def test_a_fresh_pane_says_what_it_does() -> None:
    for name in PARTED:
        ((line, mark),) = pane_text(PaneView(parse_method(name)))
        assert len(line) > 20
        assert mark == PROMPT


def test_the_words_of_a_steered_text_can_be_clicked() -> None:
    spans = (
        ("The sea", PROMPT),
        (" ", None),
        ("is", TOPICS[0]),
        (" a  blue\n", None),
        ("ship", TOPICS[0]),
        (".", None),
    )
    view = PaneView(parse_method("pplm:space"), spans=spans)
    pieces = ["The sea ", "is", " a", "  blue\n", "ship", "."]
    assert [piece for piece, _ in pane_text(view)] == pieces
    text = "".join(pieces)[len("The sea") :]
    found = [clicked_word(view, index) for index in range(1, 6)]
    assert found == [text.index(word) for word in ("is", "a ", "blue", "ship", ".")]
    for index in (0, len(pieces), None, [1, 2]):
        assert clicked_word(view, index) is None, "neither the prompt nor what is not there"
    assert clicked_word(view._replace(running=True), 1) is None
    assert clicked_word(view._replace(method=parse_method("base")), 1) is None


def test_marks_reach_the_page(services: Services, bench: Bench) -> None:
    view = PaneView(spans=(("a", PROMPT), ("b", None), ("c", TOPICS[0])))
    updates = bench.updates(services, Board(), Board({2: view}))
    assert updates[bench.panes[2].view.text] == [("a", PROMPT), ("b", None), ("c", TOPICS[0])]


def test_refused_adapters_are_not_offered_and_said_why(bench: Bench, blocks: gr.Blocks) -> None:
    offered = [choice for pane in bench.panes for _, choice in pane.controls["lora"].choices]  # type: ignore[attr-defined]
    assert "poetry" not in offered
    assert "verse" in offered
    shown = (block for block in blocks.blocks.values() if isinstance(block, gr.HighlightedText))
    (line,) = [block.value for block in shown if block.label == "Adapters that are not offered"]
    assert "Not offered: poetry. It was made for the base model 'SmolLM2-135M-Instruct-Q4_1'" in line[0]["token"]


def test_every_control_has_a_label_and_a_line_of_help(blocks: gr.Blocks) -> None:
    asked = (gr.Textbox, gr.Slider, gr.Dropdown, gr.Radio, gr.Number, gr.Checkbox)
    controls = [block for block in blocks.blocks.values() if isinstance(block, asked)]
    assert len(controls) > 70
    assert all(control.label and control.info and control.info.endswith(".") for control in controls)


@pytest.fixture(scope="module")
def late(services: Services) -> gr.Blocks:
    """The tabs and the section that are built when they are first opened."""
    with gr.Blocks() as late, gr.Tab() as tab:
        for name, build in TABS.items():
            if name not in AT_ONCE:
                build(services, Page(late, tab, gr.BrowserState(), gr.State(""), gr.State(None)))
        build_xray(services, Source([gr.Button()], [gr.State()], dict, gr.JSON()), [late.load])
    return late


def test_the_model_has_places_and_other_work_goes_one_by_one(blocks: gr.Blocks, late: gr.Blocks) -> None:
    heavy = [
        (fn.concurrency_id, fn.concurrency_limit)
        for page in (blocks, late)
        for fn in page.fns.values()
        if fn.fn is not None and fn.queue and fn.concurrency_limit not in ("default", None)
    ]
    assert Counter(heavy) == {
        ("model", VISITORS): 5,
        ("look", 1): 4,
        ("leaderboard", 1): 4,
        ("training", 1): 1,
        ("library", 1): 5,
        ("learned", 1): 1,
    }


def test_only_the_named_endpoints_are_public(blocks: gr.Blocks) -> None:
    named = [fn.api_name for fn in blocks.fns.values() if fn.fn is not None and fn.api_visibility == "public"]
    assert named == ["compare", "methods", "score"]


def test_a_number_beyond_the_scale_reaches_the_form_that_says_so(services: Services, bench: Bench) -> None:
    strength = bench.panes[3].controls["strength"]
    for number in (101, float("nan")):
        values = fresh(bench) | {strength: strength.preprocess(number)}
        last = list(play(services, bench, OWNER, compare, values))[-1][bench.board]
        assert "strength: " in last.errors[3]
        assert [pane["place"] for pane in last.record["panes"]] == [0, 1, 2], "the others go on"


def test_a_topic_that_was_sent_reaches_the_steered_panes_once_and_keeps_its_name(bench: Bench) -> None:
    with gr.Blocks() as other, gr.Tab("Compare") as tab:
        page = Page(other, tab, gr.BrowserState(), gr.State(""), gr.State(None))
    steered = [bench.panes[place].controls["attribute"] for place in (3, 4, 5)]
    sent = fresh(bench) | {page.words: ("space", "")}
    assert on_words(bench, page, sent) == {page.words: "", **dict.fromkeys(steered, "space")}
    assert on_own_words(bench, page, sent).keys() == {bench.message}, "a shipped list brings no words"
    assert on_words(bench, page, fresh(bench) | {page.words: ""}) == {page.words: ""}


def test_own_words_that_were_sent_stand_in_their_box_before_they_are_chosen(bench: Bench) -> None:
    with gr.Blocks() as other, gr.Tab("Compare") as tab:
        page = Page(other, tab, gr.BrowserState(), gr.State(""), gr.State(None))
    sent = fresh(bench) | {page.words: (OWN_WORDS, "whale, shark")}
    first, then = on_own_words(bench, page, sent), on_words(bench, page, sent)
    for pane in (bench.panes[3], bench.panes[4]):
        assert first[pane.controls["words"]] == "whale, shark"
        assert first[pane.own]["visible"], "a hidden box would send its old value"
        assert pane.controls["attribute"] not in first
        assert then[pane.controls["attribute"]] == OWN_WORDS


def test_an_adapter_that_was_sent_is_chosen_in_the_first_pane_of_its_kind(bench: Bench) -> None:
    with gr.Blocks() as other, gr.Tab("Compare") as tab:
        page = Page(other, tab, gr.BrowserState(), gr.State(""), gr.State(None))
    sent = fresh(bench) | {page.adapter: ("lora", "waves")}
    updates = on_adapter(bench, page, sent)
    assert updates[bench.panes[1].controls["lora"]] == "waves"
    assert updates[page.adapter] is None
    alone, first = on_adapter(bench, page, sent | {bench.shown: [0]}), bench.panes[0]
    assert alone[bench.drawer.uses] == ["lora"], "no pane shows a LoRA: the last one does now"
    assert alone[bench.drawer.place] == 0
    assert alone[first.controls["lora"]]["value"] == "waves"


def test_several_attributes_are_named_with_their_weights(services: Services, bench: Bench) -> None:
    controls = bench.panes[3].controls
    weighted = {
        controls["attribute"]: "science",
        bench.drawer.controls["weight"]: 2,
        bench.drawer.controls["attribute_2"]: "sentiment:negative",
        bench.drawer.controls["weight_2"]: -1.5,
    }
    updates = on_drawer(services, bench, fresh(bench) | weighted)
    assert "PPLM science ×2 and away from sentiment:negative ×1.5" in updates[bench.panes[3].view.head]
    ((line, _),) = updates[bench.panes[3].view.text]
    assert "towards the words of its list and away from what its discriminator recognises." in line


def test_every_setting_of_pplm_has_a_control(bench: Bench) -> None:
    assert set(PPLM_FIELDS) < bench.panes[0].controls.keys() | bench.drawer.controls.keys()


def test_sampling_defaults_are_on_the_sliders(bench: Bench) -> None:
    assert {name: component.value for name, component in bench.sampling.fields.items()} == to_json(FIRST_SAMPLING)
