"""Forms: what controls say becomes methods, or one line that says what to mend."""

import math
from dataclasses import replace
from typing import Any

import pytest

from adapters.methods import (
    PPLM,
    Ask,
    Attribute,
    Experts,
    Method,
    Push,
    Sampling,
    UserError,
    as_in_paper,
    parse_method,
    to_json,
)
from demo.compare.form import (
    DEFAULTS,
    PPLM_FIELDS,
    SLOTS,
    Form,
    PaneForm,
    default_panes,
    first_shown,
    form_of,
    has_own_words,
    pane_form,
    read_form,
    read_method,
    read_seed,
)
from demo.parts.running import PaneErrors
from demo.parts.uploads import read_prompt
from demo.parts.words import NO_PROMPT, OWN_WORDS
from demo.services import Services

SAMPLING = to_json(Sampling())


def pane(name: str) -> PaneForm:
    """The form that stands for a short name."""
    return form_of(parse_method(name))


def test_the_scale_of_no_lora_changes_nothing() -> None:
    assert read_method(pane_form(lora_scale=3.0)) == parse_method("base")


def test_own_words_become_an_attribute() -> None:
    method = read_method(pane_form(attribute=OWN_WORDS, words="ocean, wave;ocean\nsalt  sea"))
    assert method.steering is not None
    assert method.steering.attributes[0].words == ("ocean", "wave", "salt sea")


def test_several_attributes_are_the_method_of_their_short_name() -> None:
    form = pane_form(lora="poetry", attribute="science", weight=2, attribute_3="sentiment:negative", weight_3=-1.0)
    assert read_method(form) == parse_method("lora:poetry+pplm:science*2+pplm:sentiment:negative*-1")


def test_own_words_may_stand_in_any_place() -> None:
    form = pane_form(attribute_2=OWN_WORDS, weight_2=-2, words="laser:2, black hole")
    steering = read_method(form).steering
    assert steering is not None
    assert steering.attributes == (Attribute(OWN_WORDS, -2.0, ("laser:2", "black hole")),)
    assert has_own_words(form)
    assert not has_own_words(pane_form(words="laser"))


def test_an_attribute_is_chosen_once() -> None:
    with pytest.raises(UserError, match="science is chosen twice"):
        read_method(pane_form(attribute="science", attribute_3="science", weight_3=-1))


@pytest.mark.parametrize("value", [math.nan, math.inf, -11, 1e9, "much", None])
@pytest.mark.parametrize("place", range(3))
def test_absurd_weights_are_named(place: int, value: Any) -> None:
    name, weight = SLOTS[place]
    with pytest.raises(UserError, match="weight"):
        read_method(pane_form(**{name: "science", weight: value}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (" ".join(f"w{place}" for place in range(100_000)), "has 100,000 words, at most 5,000"),
        ("laser:0", "weight in 'laser:0' must be above 0"),
        ("  , ;\n", "own words is empty"),
        (None, "own words is empty"),
        ("oce\0an", "NUL character"),
        ("ocean \ud800", "half a surrogate pair"),
    ],
    ids=lambda value: str(value)[:20].encode("ascii", "replace").decode(),
)
def test_a_list_that_cannot_be_used_is_one_line(words: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_method(pane_form(attribute=OWN_WORDS, words=words))
    assert "\n" not in str(caught.value)


def test_a_pane_has_every_setting_of_pplm_at_its_default() -> None:
    steering = read_method(pane("pplm:science")).steering
    assert steering == PPLM((Attribute("science"),))
    assert set(PPLM_FIELDS) < DEFAULTS.keys()


def test_the_papers_algorithm_is_one_switch() -> None:
    plain, paper = (read_method(pane_form(attribute="science", as_in_paper=on)).steering for on in (False, True))
    assert plain is not None
    assert paper == as_in_paper(plain) != plain
    assert read_method(pane_form(as_in_paper=True)) == parse_method("base")


@pytest.mark.parametrize("field", [field for field in PPLM_FIELDS if field not in ("carry", "decay")])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1e9, "much", None])
def test_absurd_pplm_settings_are_named(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=field):
        read_method(pane_form(attribute="science", by=("pplm", "best"), **{field: value}))


ROUND = [
    *("base", "lora:poetry", "prefix:facts", "lora:poetry+prefix:facts+pplm:science", "pplm:sentiment:negative*-1"),
    *("pplm:science*2+pplm:legal*-1", "best:science", "best:science*0.5+best:space", "push:science", "push:science*-2"),
    *("push:science+push:legal*0.5+push:space", "pplm:science+push:science", "ask:science", "ask:science*1.5"),
    *("ask:negative*0", "experts:poetry", "experts:poetry/austen*-0.5", "lora:scifi+best:space+push:space+ask:space"),
    "lora:poetry+prefix:facts+pplm:science+push:science+ask:science*2+experts:scifi",
]


@pytest.mark.parametrize("name", ROUND)
def test_a_method_becomes_a_form_and_a_form_the_method(name: str) -> None:
    method = parse_method(name)
    assert read_method(form_of(method)) == method
    assert pane_form(**form_of(method)) == form_of(method)


@pytest.mark.parametrize(
    "change",
    [
        {"ask": Ask(OWN_WORDS, "A sad poem:", 1.5, "A recipe:")},
        {"push": Push((Attribute(OWN_WORDS, -1, ("sea", "laser:2")),), 4.5, 7)},
        {"experts": Experts("facts", "poetry", -4)},
        {"steering": PPLM((Attribute("science"),), strength=4, num_iterations=0)},
        {"steering": PPLM((Attribute("science"),), num_iterations=3, best_of=4)},
        {"lora": "poetry", "lora_scale": 0.5},
    ],
    ids=str,
)
def test_every_setting_comes_back(change: dict[str, Any]) -> None:
    method = Method("base", **change)
    assert replace(read_method(form_of(method)), name="base") == method


def test_a_topic_is_reached_by_whatever_a_pane_uses() -> None:
    """One list for a gradient and a push: together they are one method."""
    assert read_method(pane_form(attribute="science", by=("push",))) == parse_method("push:science")
    assert read_method(pane_form(attribute="science", by=("pplm", "push"), nats=1)).name == "pplm:science+push:science"
    assert read_method(pane_form(attribute="science", by=("best",), num_iterations=3)) == parse_method("best:science")
    both = read_method(pane_form(attribute="science", by=("pplm", "best"), best_of=4)).steering
    assert both == PPLM((Attribute("science"),), best_of=4), "the paper's BCR"
    assert read_method(pane_form(by=("push",))) == parse_method("base"), "no topic"


PUSHED = {"attribute": "science", "by": ("push",)}
BAD: list[tuple[dict[str, Any], str]] = [
    *((PUSHED | {"nats": value}, "nats: ") for value in (math.nan, -1, 1e9, "much", None)),
    *((PUSHED | {"push_cooldown": value}, "cooldown: ") for value in (math.inf, -1, 1.5)),
    ({"attribute": "sentiment:positive", "by": ("push",)}, "A push needs words"),
    ({"attribute": OWN_WORDS, "by": ("push",)}, "own words is empty"),
    ({"attribute": ["science"], "by": ("push",)}, "name: "),
    *(({"ask": "science", "guidance": value}, "gamma: ") for value in (math.nan, -math.inf, -1, 6, "much", None)),
    ({"ask": "science", "negative": "x" * 2_001}, "negative: String should have at most 2000"),
    ({"ask": "science", "negative": {}}, "negative: "),
    ({"ask": OWN_WORDS, "instruction": "x" * 2_001}, "text: String should have at most 2000"),
    ({"ask": OWN_WORDS, "instruction": " \n"}, "The instruction is empty"),
    ({"ask": OWN_WORDS}, "There is no instruction for 'own words'"),
    ({"ask": OWN_WORDS, "instruction": None}, "text: "),
    ({"ask": "cooking"}, "There is no instruction for 'cooking'"),
    ({"ask": 7}, "name: "),
    *(({"expert": "poetry", "alpha": value}, "alpha: ") for value in (math.nan, math.inf, 5, "much", None)),
    ({"expert": 7}, "expert: "),
    ({"expert": "poetry", "against": ["austen"]}, "against: "),
]


@pytest.mark.parametrize(("values", "said"), BAD, ids=lambda value: str(value)[:50])
def test_absurd_settings_of_the_other_methods_are_named(values: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_method(pane_form(**values))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [math.nan, -math.inf, -0.5, 100])
def test_absurd_scales_are_named(value: float) -> None:
    with pytest.raises(UserError, match="lora_scale"):
        read_method(pane_form(lora="poetry", lora_scale=value))


@pytest.mark.parametrize("value", ["", " \n\t", None, {"text": "hi"}, ["hi"], 7])
def test_a_prompt_without_text_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match=NO_PROMPT):
        read_prompt(value)


def test_a_prompt_beyond_any_context_is_refused_with_its_numbers() -> None:
    with pytest.raises(UserError, match="20,001 characters: shorten it to 20,000"):
        read_prompt("x" * 20_001)


@pytest.mark.parametrize("value", [-1, 2**32, 1.5, math.nan, math.inf, "seven", None])
def test_a_bad_seed_is_refused(value: Any) -> None:
    with pytest.raises(UserError, match="whole number"):
        read_seed(value)


def test_a_seed_from_a_number_box_may_be_a_float() -> None:
    assert read_seed(7.0) == 7


def test_every_pane_shares_prompt_seed_and_mode() -> None:
    requests, sampling, errors = read_form(Form("Hi", {1: pane("base"), 4: pane("lora:poetry")}, SAMPLING, 3, True))
    assert (sampling, errors) == (Sampling(), {})
    assert [(place, *request[:1], *request[2:]) for place, request in requests.items()] == [
        (1, "Hi", 3, True),
        (4, "Hi", 3, True),
    ]


def test_panes_at_fault_are_named_by_their_place() -> None:
    panes = {0: pane_form(), 2: pane_form(attribute="science", gamma=math.nan), 5: pane_form(attribute=OWN_WORDS)}
    reading = read_form(Form("Hi", panes, SAMPLING))
    assert (set(reading.requests), set(reading.errors)) == ({0}, {2, 5})
    assert "gamma" in reading.errors[2]
    with pytest.raises(PaneErrors) as caught:
        read_form(Form("Hi", {2: panes[2]}, SAMPLING))
    assert caught.value.notes == {2: reading.errors[2]}


@pytest.mark.parametrize("field", ["temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -3, 1e9, "hot"])
def test_absurd_sampling_is_named(field: str, value: Any) -> None:
    with pytest.raises(UserError, match=field):
        read_form(Form("Hi", {0: pane_form()}, SAMPLING | {field: value}))


def test_the_first_panes_are_the_four_methods(lasting: Services) -> None:
    forms = default_panes(lasting)
    assert [read_method(form).name for form in forms] == [
        "base",
        "lora:burst",
        "prefix:facts",
        "pplm:science",
        "push:science",
        "lora:burst+pplm:science",
    ], "the first LoRA where poetry is not there"
    assert first_shown(forms) == (0, 1, 2, 3)


def test_without_adapters_no_pane_repeats_another(lasting: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Services, "names", lambda *_: [])
    assert first_shown(default_panes(lasting)) == (0, 3)
