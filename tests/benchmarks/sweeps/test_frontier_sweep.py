"""Every strength is a run; the paper's algorithm keeps its published settings."""

import pytest

from adapters.methods import BASE, PPLM, Attribute, UserError, parse_attribute
from benchmarks.sweeps.frontier_points import goals
from benchmarks.sweeps.frontier_sweep import ALGORITHMS, TARGETS, Algorithm, Sweep, read_changes, read_targets
from leaderboard.frontier import OURS, PAPER
from leaderboard.records import Prompt, PromptSet


def sweep(changes: dict[str, dict[str, str]] | None = None) -> Sweep:
    prompts = PromptSet("one", (Prompt("one"),))
    return Sweep(read_targets(TARGETS), prompts, 3, ALGORITHMS, changes or {}, "")


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_every_strength_is_a_run_of_the_base_and_all_attributes(algorithm: Algorithm) -> None:
    for goal, targets in goals(read_targets(TARGETS)).items():
        for value in algorithm.values:
            spec = sweep().spec(targets, algorithm, value)
            assert spec.methods[0] == BASE
            assert spec.samples == 3
            settings = [method.steering for method in spec.methods[1:] if method.steering is not None]
            assert [s.attributes for s in settings] == [tuple(map(parse_attribute, target)) for target in targets]
            assert {getattr(s, algorithm.strength) for s in settings} == {value}
            assert {s.carry for s in settings} == {algorithm.name == PAPER}, goal


def test_the_paper_steers_as_published_whatever_the_defaults_are() -> None:
    (paper,) = [algorithm for algorithm in ALGORITHMS if algorithm.name == PAPER]
    bag, head = (paper.settings((name,), 0.02, {}) for name in ("science", "sentiment:positive"))
    assert (bag.num_iterations, bag.gamma, bag.gm_scale) == (3, 1.5, 0.99)
    assert (head.num_iterations, head.gamma, head.gm_scale) == (10, 1.0, 0.95)


def test_settings_can_be_tried() -> None:
    ours, paper = ALGORITHMS
    changed = sweep({OURS: read_changes(["num_iterations=1", "gamma=1.25", "carry=true"])})
    (method,) = changed.spec([("science",)], ours, 0.4).methods[1:]
    assert method.steering == PPLM((Attribute("science"),), strength=0.4, num_iterations=1, gamma=1.25, carry=True)
    assert changed.spec([("science",)], paper, 0.02) == sweep().spec([("science",)], paper, 0.02)


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("gamma", "Cannot read the setting 'gamma'"),
        ("gamma=high", "gamma: Input should be a valid number"),
        ("speed=1", "speed: Unexpected keyword argument"),
        ("strength=1", "strength is the strength itself: give its values with --ours"),
    ],
)
def test_a_setting_that_cannot_be_is_said_in_a_line(pair: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        sweep({OURS: read_changes([pair])}).spec([("science",)], ALGORITHMS[0], 0.4)
