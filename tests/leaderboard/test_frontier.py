"""The figures of a strength, by hand, and the runs behind them."""

from datetime import UTC, datetime
from xml.etree import ElementTree

import pytest

from adapters.methods import BASE, PPLM, Attribute, Method
from leaderboard.frontier import ALGORITHMS, TOPICS, drawing, point, specs, table
from leaderboard.records import AdapterCost, Prompt, PromptSet, Run, RunData, RunSpec, Sample, Tally

TEXTS = {  # method -> the text for each of two prompts
    0: ("a b c d", "a b c d"),
    1: ("e f g h", "i j k l"),
    2: ("a a a a", "a b a b"),
}


def data() -> RunData:
    steered = [Method(f"pplm:{name}", steering=PPLM((Attribute(name),))) for name in ("science", "space")]
    spec = RunSpec((BASE, *steered))
    prompts = PromptSet("two", (Prompt("one"), Prompt("two")))
    run = Run("0" * 32, datetime.now(UTC), spec, prompts, "model", {}, {}, "done", None)
    samples = tuple(
        Sample(prompt, method, 0, f"{method}{prompt}", 1, TEXTS[method][prompt], 4, "length")
        for prompt in range(2)
        for method in TEXTS
    )
    losses = {"00": -4.0, "01": -4.0, "10": -8.0, "11": -8.0, "20": -4.0, "21": -8.0}
    shown = {"science": {"10", "11", "00"}, "space": {"21"}}
    return RunData(
        run,
        samples,
        {"base": {key: Tally(total, 4) for key, total in losses.items()}}
        | {f"attribute:{n}": {key: Tally(float(key in keys), 1) for key in losses} for n, keys in shown.items()},
        {},
        (),
        (AdapterCost(0, 0),) * 3,
    )


def test_a_point_by_hand() -> None:
    found = point(data(), "budget", 0.4)
    assert (found.algorithm, found.strength) == ("budget", 0.4)
    assert found.figures["success"].value == pytest.approx((2 / 2 + 1 / 2) / 2)
    assert found.unsteered_success.value == pytest.approx((1 / 2 + 0) / 2)
    e = 2.718281828459045
    assert found.figures["perplexity"].value == pytest.approx((e**2 / e + e**1.5 / e) / 2)
    assert found.figures["distinct_1"].value == pytest.approx((8 / 8 / (4 / 8) + 2 / 8 / (4 / 8)) / 2)
    assert found.longest_run == 4
    success = found.figures["success"]
    assert success.low <= success.value <= success.high


def test_every_strength_is_a_run_of_the_base_and_all_topics() -> None:
    for algorithm in ALGORITHMS:
        found = dict(specs(algorithm, TOPICS, 3))
        assert tuple(found) == algorithm.values
        for value, spec in found.items():
            assert spec.methods[0] == BASE
            settings = [method.steering for method in spec.methods[1:]]
            assert [s.attributes[0].name for s in settings if s is not None] == list(TOPICS)
            strengths = {(s.step_size if s.carry else s.kl_budget) for s in settings if s is not None}
            assert strengths == {value}
            assert {s.carry for s in settings if s is not None} == {algorithm.name == "paper"}


def test_points_are_drawn_and_printed() -> None:
    points = [point(data(), "budget", 0.4), point(data(), "paper", 0.02)]
    drawn = ElementTree.fromstring(drawing(points, "two < three"))
    words = [element.text for element in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"0.4", "0.02", "two < three"} <= set(words)
    printed = table(points)
    assert list(printed.index) == ["budget 0.4", "paper 0.02"]
    assert str(printed.loc["budget 0.4", "success"]).startswith("0.750 [")
