"""Settings are checked wherever they come from, go to JSON and back, and say in one line what is wrong."""

import json
from typing import Any

import pytest

from adapters.methods import (
    BASE,
    MAX_ATTRIBUTES,
    NO_LIMIT,
    PPLM,
    Attribute,
    Method,
    Sampling,
    SteeringVector,
    UserError,
    as_in_paper,
    effect_off,
    from_json,
    parse_method,
    to_json,
    unsteered,
)

SCIENCE = PPLM((Attribute("science"),))
DOWN = SteeringVector("mood:down")


@pytest.mark.parametrize(
    ("text", "method"),
    [
        ("base", Method("base")),
        ("lora:poetry", Method("lora:poetry", lora="poetry")),
        ("prefix:facts", Method("prefix:facts", prefix="facts")),
        ("pplm:science", Method("pplm:science", steering=SCIENCE)),
        (" lora:a + pplm:science ", Method("lora:a + pplm:science", lora="a", steering=SCIENCE)),
        ("base+lora:a", Method("base+lora:a", lora="a")),
        (
            "vector:mood:up*0.3+vector:mood:down",
            Method("vector:mood:up*0.3+vector:mood:down", vectors=(SteeringVector("mood:up", 0.3), DOWN)),
        ),
        (
            "pplm:science*2+lora:a+pplm:mood:down*-0.5",
            Method(
                "pplm:science*2+lora:a+pplm:mood:down*-0.5",
                lora="a",
                steering=PPLM((Attribute("science", 2.0), Attribute("mood:down", -0.5))),
            ),
        ),
    ],
)
def test_short_names(text: str, method: Method) -> None:
    assert parse_method(text) == method


@pytest.mark.parametrize(
    "text",
    [
        *("", "poetry", "lora", "lora:", "base:x", "lora:a+lora:b", "pplm:science+", "LoRA:a"),
        *("pplm:a+pplm:a*2", "pplm:", "pplm:*2", "lora:a*2+pplm", "vector:", "vector:a:b+vector:a:b*2"),
    ],
)
def test_what_is_no_short_name_is_said_in_one_line(text: str) -> None:
    with pytest.raises(UserError, match=r"^Cannot read the method .*: write base, lora:NAME") as caught:
        parse_method(text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight", ["", "much", "nan", "inf", "11", "-11", "1*2x"])
def test_a_weight_that_is_none_is_said_in_one_line(weight: str) -> None:
    with pytest.raises(UserError, match="^weight: .*got ") as caught:
        parse_method(f"pplm:science*{weight}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weight", ["", "much", "nan", "4.1", "-5"])
def test_a_strength_that_is_none_is_said_in_one_line(weight: str) -> None:
    with pytest.raises(UserError, match="^weight: .*got "):
        parse_method(f"vector:mood:up*{weight}")


def test_a_vector_is_a_part_of_the_model_that_reads() -> None:
    method = parse_method("lora:a+vector:mood:up*-0.3+pplm:science+vector:mood:down")
    assert not method.reads_as_base
    assert unsteered(method).name == "lora:a+vector:mood:up*-0.3+vector:mood:down"
    assert unsteered(method).vectors == method.vectors
    assert {vector.weight for vector in effect_off(method).vectors} == {0.0}
    with pytest.raises(UserError, match="^vectors: .*at most 8 items"):
        parse_method("+".join(f"vector:mood:{number}" for number in range(9)))


def test_a_method_steers_by_a_few_attributes() -> None:
    name = "+".join(f"pplm:list{place}" for place in range(MAX_ATTRIBUTES))
    assert parse_method(name).steering is not None
    with pytest.raises(UserError, match="at most 8 items"):
        parse_method(f"{name}+pplm:another")


def test_an_attribute_has_the_name_that_is_read() -> None:
    for attribute in (Attribute("science"), Attribute("mood:down", -0.5), Attribute("science", 2.0)):
        steering = parse_method(f"pplm:{attribute.weighted_name}").steering
        assert steering is not None
        assert steering.attributes == (attribute,)


@pytest.mark.parametrize("value", [BASE, Sampling(), SCIENCE, parse_method("lora:a+pplm:science+vector:mood:up")])
def test_settings_go_to_json_and_back(value: Any) -> None:
    assert from_json(type(value), json.loads(json.dumps(to_json(value)))) == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), -1, 1e9, "much", None, {}, [1]])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((Sampling, name) for name in ("temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens")),
        *(
            (PPLM, name)
            for name in ("step_size", "num_iterations", "window_length", "gamma", "kl_scale", "gm_scale", "kl_budget")
        ),
        (Method, "lora_scale"),
    ],
)
def test_absurd_numbers_are_refused_by_name(kind: type, name: str, value: Any) -> None:
    needed: dict[type, dict[str, Any]] = {Sampling: {}, PPLM: {"attributes": [{"name": "x"}]}, Method: {"name": "m"}}
    with pytest.raises(UserError, match=f"^{name}: .*got ") as caught:
        from_json(kind, needed[kind] | {name: value})
    assert "\n" not in str(caught.value)


def test_steering_needs_an_attribute_and_unknown_fields_are_refused() -> None:
    with pytest.raises(UserError, match="attributes"):
        from_json(PPLM, {"attributes": []})
    with pytest.raises(UserError, match="recipe"):
        from_json(Method, {"name": "m", "recipe": 1})


def test_the_papers_algorithm_has_none_of_ours() -> None:
    paper = as_in_paper(SCIENCE)
    assert (paper.kl_budget, paper.cooldown, paper.carry) == (NO_LIMIT, 0, True)
    assert paper.step_size == SCIENCE.step_size


def test_effect_off_keeps_everything_but_the_effect() -> None:
    off = effect_off(Method("m", lora="a", lora_scale=0.7, prefix="b", steering=SCIENCE))
    assert (off.lora, off.lora_scale, off.prefix) == ("a", 0.0, None)
    assert off.steering is not None
    assert (off.steering.step_size, off.steering.attributes) == (0.0, SCIENCE.attributes)
