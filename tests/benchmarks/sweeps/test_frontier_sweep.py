"""Every strength is a run; the paper's algorithm keeps its published settings."""

import pytest

from adapters.methods import (
    BASE,
    NO_LIMIT,
    PPLM,
    Ask,
    Attribute,
    Push,
    SteeringVector,
    UserError,
    parse_attribute,
)
from benchmarks.sweeps.frontier_points import aim_of, goals
from benchmarks.sweeps.frontier_sweep import (
    ALGORITHMS,
    TARGETS,
    VECTORS,
    Algorithm,
    Sweep,
    read_changes,
    read_targets,
)
from leaderboard.frontier import ASK, BEST, OURS, PAPER, PUSH, VECTOR
from leaderboard.records import Prompt, PromptSet


def sweep(changes: dict[str, dict[str, str]] | None = None) -> Sweep:
    prompts = PromptSet("one", (Prompt("one"),))
    return Sweep(read_targets(TARGETS), prompts, 3, ALGORITHMS, changes or {}, "")


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda algorithm: algorithm.name)
def test_every_strength_is_a_run_of_the_base_and_all_attributes(algorithm: Algorithm) -> None:
    for targets in goals(read_targets(TARGETS)).values():
        for value in algorithm.values:
            spec = sweep().spec(targets, algorithm, value)
            assert spec.methods[0] == BASE
            assert spec.samples == 3
            for target, method in zip(targets, spec.methods[1:], strict=True):
                parts = [method.steering, method.push, method.ask, *method.vectors]
                assert value in [getattr(part, algorithm.strength, None) for part in parts]
                assert set(method.attributes) <= {parse_attribute(name) for name in target}
                assert aim_of(method) == VECTORS.get(target[0], target[0]) if method.vectors else target[0]
                assert method.steering is None or method.steering.carry == (algorithm.name == PAPER)


def test_the_paper_steers_as_published_whatever_the_defaults_are() -> None:
    (paper,) = [algorithm for algorithm in ALGORITHMS if algorithm.name == PAPER]
    bag, head = (paper.method((name,), 0.02, {}).steering for name in ("science", "sentiment:positive"))
    assert bag is not None
    assert head is not None
    assert (bag.num_iterations, bag.gamma, bag.gm_scale, bag.strength) == (3, 1.5, 0.99, NO_LIMIT)
    assert (head.num_iterations, head.gamma, head.gm_scale) == (10, 1.0, 0.95)


def test_simple_ways_are_what_their_names_say() -> None:
    made = {a.name: a.method(("positive", "negative*-1"), a.values[-1], {}) for a in ALGORITHMS}
    pair = (Attribute("positive"), Attribute("negative", -1.0))
    assert made[PUSH].push == Push(pair, nats=4.0)
    assert made[ASK].ask == Ask("positive", gamma=1.5)
    assert made[BEST].steering == PPLM(pair, num_iterations=0, best_of=10)
    assert made[VECTOR].vectors == (SteeringVector("sentiment:positive", 0.5),)


def test_settings_can_be_tried() -> None:
    ours, paper = ALGORITHMS[:2]
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
