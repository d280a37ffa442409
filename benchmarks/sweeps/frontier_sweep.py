"""Steers at every strength by each way of steering. Each goal at each strength is one run of the leaderboard.

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
from leaderboard.frontier import (
    ASK,
    BEST,
    OURS,
    PAPER,
    PUSH,
    VECTOR,
    WAYS,
    Frontier,
    Goal,
    Point,
    Steered,
    Target,
)
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
    strength: str
    values: tuple[float, ...]
    given: Mapping[str, Any] = {}  # settings beside the defaults of its kind

    @property
    def title(self) -> str:
        return f"{WAYS[self.name].title}: {WAYS[self.name].strength}"

    def method(self, target: Target, value: float, changes: Mapping[str, Any]) -> Method:
        """The method at one strength; `changes` override the defaults. Raises UserError."""
        if self.strength in changes:
            raise UserError(f"{self.strength} is the strength itself: give its values with --{self.name}.")
        attributes = [to_json(parse_attribute(name)) for name in target]
        aim, settings = attributes[0]["name"], {**self.given, self.strength: value, **changes}
        data: dict[str, Any] = {"name": "+".join(f"{self.name}:{name}" for name in target)}
        if self.name == PUSH:
            data["push"] = {"attributes": attributes, **settings}
        if self.name == ASK:
            data["ask"] = {"name": aim, **settings}
        if self.name == VECTOR:
            data["vectors"] = [{"name": VECTORS.get(aim, aim), "weight": value}]
        if self.name in (OURS, BEST):
            data["steering"] = {"attributes": attributes, **settings}
        if self.name == PAPER:
            discriminates = any(attribute["name"].count(":") for attribute in attributes)
            published = PAPER_DISCRIMINATOR if discriminates else PAPER_BAG
            steering = from_json(PPLM, {"attributes": attributes, **published, **settings})
            data["steering"] = to_json(as_in_paper(steering))
        return from_json(Method, data)


ALGORITHMS = (
    Algorithm(OURS, "strength", (5.0, 10.0, 20.0, 40.0)),
    Algorithm(PAPER, "step_size", (0.01, 0.02, 0.03, 0.05)),
    Algorithm(PUSH, "nats", (2.0, 3.0, 4.0)),
    Algorithm(ASK, "gamma", (0.5, 1.0, 1.5)),
    Algorithm(BEST, "best_of", (3.0, 10.0), {"num_iterations": 0}),
    Algorithm(VECTOR, "weight", (0.25, 0.5)),
)
VECTORS = {name: f"sentiment:{name}" for name in ("positive", "negative")}  # of the shipped steering vectors


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
        steered = [algorithm.method(target, value, changes) for target in targets]
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
            method = to_json(algorithm.method(targets[0], algorithm.values[0], changes))
            parts = {k: v for k in ("steering", "push", "ask") for k, v in (method[k] or {}).items()}
            left = ("attributes", "name", algorithm.strength)
            found[algorithm.name] = {k: v for k, v in parts.items() if k not in left}
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
