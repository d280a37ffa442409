"""What the form of a run says, from the page or from anybody's client."""

import math
from pathlib import Path
from typing import Any

import pytest

from adapters.methods import Attribute, Sampling, UserError, parse_method, to_json
from demo.leaderboard import words
from demo.leaderboard.form import (
    default_methods,
    preview,
    read_run,
    read_set,
    read_upload,
)
from demo.parts import words as common
from demo.parts.uploads import known_methods
from demo.services import Services
from leaderboard.prompts import Limits
from leaderboard.records import Prompt, PromptSet

PROMPTS = PromptSet("two", (Prompt("One", tags=(("genre", "a"),)), Prompt("Two", reference="Drei", id="7")))
GOOD = {
    "methods": ["base", "lora:poetry+pplm:science"],
    "samples": 2,
    "sampling": to_json(Sampling()),
    "seed": 7,
    "judge": words.BASE_JUDGE,
    "chat": False,
}


@pytest.fixture(scope="module")
def services(shared_services: Services) -> Services:
    return shared_services._replace(judges=("org/judge",))


def test_a_run_is_what_the_form_says(services: Services) -> None:
    spec = read_run(GOOD | {"judge": "org/judge", "chat": True}, services)
    assert [method.name for method in spec.methods] == GOOD["methods"]
    assert spec.methods[1].lora == "poetry"
    assert spec.methods[1].steering is not None
    assert (spec.samples, spec.seed, spec.judge, spec.chat, spec.sampling) == (2, 7, "org/judge", True, Sampling())
    assert read_run(GOOD, services).judge is None


def test_a_run_steers_by_discriminators_and_several_attributes(services: Services) -> None:
    names = ["pplm:sentiment:positive", "pplm:science*2+pplm:sentiment:negative*-1"]
    spec = read_run(GOOD | {"methods": names}, services)
    steered = [method.steering and method.steering.attributes for method in spec.methods]
    assert steered[0] == (Attribute("sentiment:positive"),)
    assert steered[1] == (Attribute("science", 2.0), Attribute("sentiment:negative", -1.0))
    assert list(spec.scorers) == ["base"], "without their steering both are the base"


def test_every_method_that_is_offered_can_be_read(services: Services) -> None:
    for name in known_methods(services):
        assert parse_method(name).name == name


BAD: list[tuple[dict[str, Any], str]] = [
    ({"methods": []}, "1 to 12"),
    ({"methods": None}, "1 to 12"),
    ({"methods": "base"}, "1 to 12"),
    ({"methods": ["base"] * 13}, "1 to 12"),
    ({"methods": [["base"]]}, "1 to 12"),
    ({"methods": ["nonsense"]}, "Cannot read the method 'nonsense'"),
    ({"methods": ["base", "base"]}, "same name"),
    ({"methods": ["pplm:science*99"]}, "weight"),
    ({"samples": 0}, "samples"),
    ({"samples": 10**6}, "samples"),
    ({"samples": math.nan}, "samples"),
    ({"samples": "many"}, "samples"),
    ({"seed": -1}, "seed"),
    ({"sampling": {"temperature": math.inf}}, "temperature"),
    ({"sampling": {"max_new_tokens": 10**9}}, "max_new_tokens"),
    ({"sampling": {"evil": 1}}, "evil"),
    ({"judge": "org/other"}, "org/judge"),
    ({"judge": {"id": 1}}, "org/judge"),
    ({"judge": None}, "org/judge"),
]


@pytest.mark.parametrize(("change", "said"), BAD, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_refused_in_one_line(services: Services, change: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError) as caught:
        read_run(GOOD | change, services)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_defaults_are_four_methods_as_far_as_they_are_there(services: Services) -> None:
    assert default_methods(services) == ["base", "lora:burst", "prefix:facts", "pplm:science"]
    assert set(default_methods(services)) < set(known_methods(services))
    assert {"lora:verse", "lora:space", "pplm:military"} < set(known_methods(services))


def test_shipped_sets_are_found_by_name(services: Services) -> None:
    assert len(read_set("essay_openers", services).prompts) >= 20
    for name in ("../records", None, 3, ""):
        with pytest.raises(UserError, match="essay_openers"):
            read_set(name, services)


def test_an_upload_is_read_up_to_the_limit(tmp_path: Path, services: Services) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("prompt,genre\nOne,a\n", encoding="utf-8")
    assert read_upload(str(file), services) == PromptSet("mine", (Prompt("One", tags=(("genre", "a"),)),))
    with pytest.raises(UserError, match="at most 10 "):
        read_upload(str(file), services._replace(limits=Limits(max_bytes=10)))


def test_the_preview_shows_every_column_as_it_was_read() -> None:
    assert preview(PROMPTS) == (
        ["prompt", "reference", "id", "genre"],
        [["One", "", "", "a"], ["Two", "Drei", "7", ""]],
    )
    assert preview(PromptSet("one", (Prompt("One"),))) == (["prompt"], [["One"]])
    assert len(preview(PromptSet("many", (Prompt("x"),) * 50))[1]) == 5


def test_tags_stand_in_the_order_of_their_first_appearance() -> None:
    prompts = PromptSet("x", (Prompt("1", tags=(("b", "1"),)), Prompt("2", tags=(("a", "1"), ("b", "2")))))
    assert prompts.tag_names == ["b", "a"]


def test_the_line_about_the_prompts_counts_duplicates() -> None:
    assert words.prompts_line(PROMPTS) == "2 prompts · no duplicates · with references"
    assert words.prompts_line(PromptSet("x", (Prompt("x"),) * 3)) == "3 prompts · 2 duplicates"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "1 s"), (74, "74 s"), (95, "2 min"), (3000, "50 min"), (9000, "2 h 30 min")]
)
def test_a_duration_is_said_as_one_waits(seconds: float, said: str) -> None:
    assert common.duration(seconds) == said
