"""Steers at every strength by two algorithms. Each goal at each strength is one run of the leaderboard.

Texts that the database holds already are not written again, so an interrupted sweep goes on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.decoding.engine import Engine
from adapters.methods import (
    BASE,
    PPLM,
    Method,
    Request,
    Sampling,
    UserError,
    as_in_paper,
    from_json,
    parse_attribute,
    to_json,
)
from benchmarks.sweeps import frontier_points
from leaderboard.frontier import OURS, PAPER, Frontier, Goal, Point, Steered, Target
from leaderboard.judges import TOPICS
from leaderboard.records import PromptSet, RunSpec
from leaderboard.runs.plan import Progress
from leaderboard.runs.runner import Runner

TARGETS = ",".join([*TOPICS, "positive&negative*-1", "negative&positive*-1"])
SAMPLING = Sampling(max_new_tokens=50)
STEPS, SEED = tuple(float(value) for value in range(0, 70, 10)), 5  # strengths and seed of the texts to read
# The published code's settings for bags of words and for discriminators.
PAPER_BAG = {"num_iterations": 3, "gamma": 1.5, "kl_scale": 0.01, "gm_scale": 0.99, "best_of": 1}
PAPER_DISCRIMINATOR = PAPER_BAG | {"num_iterations": 10, "gamma": 1.0, "gm_scale": 0.95}


class Algorithm(NamedTuple):
    """A way of steering; `strength` names the setting that varies."""

    name: str
    title: str
    strength: str
    values: tuple[float, ...]

    def settings(self, target: Target, value: float, changes: Mapping[str, Any]) -> PPLM:
        """All settings at one strength; `changes` override the defaults. Raises UserError."""
        if self.strength in changes:
            raise UserError(f"{self.strength} is the strength itself: give its values with --{self.name}.")
        given = {"attributes": [to_json(parse_attribute(name)) for name in target], self.strength: value}
        if self.name == OURS:
            return from_json(PPLM, given | dict(changes))
        published = PAPER_DISCRIMINATOR if from_json(PPLM, given).has_discriminator else PAPER_BAG
        return as_in_paper(from_json(PPLM, given | published | dict(changes)))


ALGORITHMS = (
    Algorithm(OURS, "strengths of our algorithm, in nats per word", "strength", (5.0, 10.0, 20.0, 40.0)),
    Algorithm(PAPER, "step sizes of the paper's algorithm", "step_size", (0.01, 0.02, 0.03, 0.05)),
)


Strength = tuple[str, float, RunSpec]  # algorithm, strength, run


class Sweep(NamedTuple):
    """What to measure."""

    targets: tuple[Target, ...]
    prompts: PromptSet
    samples: int
    algorithms: tuple[Algorithm, ...]
    changes: Mapping[str, Mapping[str, Any]]  # algorithm -> settings that differ from the defaults
    command: str

    def spec(self, targets: Sequence[Target], algorithm: Algorithm, value: float) -> RunSpec:
        """The run of one goal at one strength. Raises UserError."""
        changes = self.changes.get(algorithm.name, {})
        steered = [
            Method("+".join(f"pplm:{name}" for name in target), steering=algorithm.settings(target, value, changes))
            for target in targets
        ]
        methods = [to_json(method) for method in (BASE, *steered)]
        return from_json(RunSpec, {"methods": methods, "samples": self.samples, "sampling": SAMPLING})

    def specs(self, targets: Sequence[Target]) -> Iterator[Strength]:
        """The runs of one goal. Raises UserError."""
        for algorithm in self.algorithms:
            for value in algorithm.values:
                yield algorithm.name, value, self.spec(targets, algorithm, value)


def read_targets(text: str) -> tuple[Target, ...]:
    """Parse targets: names with commas; & joins names that one method steers towards.

    >>> read_targets("science, positive&sentiment:positive")
    (('science',), ('positive', 'sentiment:positive'))
    """
    return tuple(tuple(name.strip() for name in target.split("&")) for target in text.split(","))


def read_changes(pairs: Sequence[str]) -> dict[str, str]:
    """Parse settings into text that PPLM validates. Raises UserError.

    >>> read_changes(["num_iterations=1", "gamma=1"])
    {'num_iterations': '1', 'gamma': '1'}
    """
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"Cannot read the setting {pair!r}: write NAME=VALUE, such as num_iterations=1.")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def measure(runner: Runner, sweep: Sweep) -> Iterator[Progress | Point | Frontier]:
    """Run everything: yields progress, each point when it is measured, and the frontier last. Raises UserError."""
    goals = frontier_points.goals(sweep.targets)
    specs = {name: [*sweep.specs(targets)] for name, targets in goals.items()}  # checks all before the first run
    found = []
    for name, targets in goals.items():
        points = []
        for step in points_of(runner, sweep.prompts, specs[name]):
            yield step
            if isinstance(step, Point):
                points.append(step)
        found.append(Goal(name, tuple(targets), settings_of(sweep, targets), tuple(points)))
    yield Frontier(
        commands=(sweep.command,),
        base=runner.engine.base.id,
        base_hash=runner.hashes.base,
        versions=runner.versions(),
        prompts=sweep.prompts.name,
        num_prompts=len(sweep.prompts.prompts),
        sampling=SAMPLING,
        seed=RunSpec.seed,
        goals=tuple(found),
    )


def points_of(runner: Runner, prompts: PromptSet, specs: Sequence[Strength]) -> Iterator[Progress | Point]:
    """Run every strength of a goal; the first run gives the unsteered point too."""
    for number, (algorithm, value, spec) in enumerate(specs):
        run = runner.add(spec, prompts, None)
        yield from runner.run(run.id)
        data = runner.data(run.id)
        if number == 0:
            yield frontier_points.unsteered(data)
        yield frontier_points.point(data, algorithm, value)


def settings_of(sweep: Sweep, targets: Sequence[Target]) -> dict[str, dict[str, Any]]:
    """The settings of each algorithm, without strength and attributes."""
    found = {}
    for algorithm in sweep.algorithms:
        if algorithm.values:
            changes = sweep.changes.get(algorithm.name, {})
            settings = to_json(algorithm.settings(targets[0], algorithm.values[0], changes))
            found[algorithm.name] = {k: v for k, v in settings.items() if k not in ("attributes", algorithm.strength)}
    return found


def with_texts(engine: Engine, frontier: Frontier, prompt: str, targets: Sequence[Target]) -> Iterator[Goal]:
    """The goals; those of a target with the prompt continued at every one of STEPS. Raises UserError."""
    for goal in frontier.goals:
        target = next((each for each in targets if each in goal.attributes), None)
        if target is None:
            yield goal
            continue
        attributes = [to_json(parse_attribute(name)) for name in target]
        ours = goal.settings.get(OURS, {}) | {"attributes": attributes}
        methods = [Method(f"{value:g}", steering=from_json(PPLM, ours | {"strength": value})) for value in STEPS[1:]]
        requests = [Request(prompt, method, SEED) for method in (BASE, *methods)]
        *_, rows = engine.generate(requests, frontier.sampling)
        texts = tuple((strength, row.text) for strength, row in zip(STEPS, rows, strict=True))
        yield replace(goal, steered=Steered(target, prompt, SEED, texts))
