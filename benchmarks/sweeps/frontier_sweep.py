"""Steers at each strength by two algorithms, and measures what comes of it.

Knows algorithms, their settings and runs; knows nothing of figures or pages. Every goal at every strength is a run of
its own, of the base beside a method for each attribute; texts that are stored cost nothing, so a sweep that was stopped
goes on where it was.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adapters.methods import BASE, PPLM, Method, Sampling, UserError, as_in_paper, from_json, parse_attribute, to_json
from leaderboard import frontier
from leaderboard.frontier import OURS, PAPER, Frontier, Goal, Point, Target
from leaderboard.judges import TOPICS
from leaderboard.records import PromptSet, RunSpec
from leaderboard.runs.runner import Progress, Runner

TARGETS = ",".join([*TOPICS, "positive&negative*-1", "negative&positive*-1"])
SAMPLING = Sampling(max_new_tokens=50)
# What the published code says of the paper's settings, for bags of words and for discriminators.
PAPER_BAG = {"num_iterations": 3, "gamma": 1.5, "kl_scale": 0.01, "gm_scale": 0.99, "best_of": 1}
PAPER_HEAD = PAPER_BAG | {"num_iterations": 10, "gamma": 1.0, "gm_scale": 0.95}


class Algorithm(NamedTuple):
    """A way of steering, and which of its settings is the strength."""

    name: str
    title: str
    strength: str
    values: tuple[float, ...]

    def settings(self, target: Target, value: float, changes: Mapping[str, Any]) -> PPLM:
        """Everything of one strength; `changes` go before the defaults. Raises UserError."""
        if self.strength in changes:
            raise UserError(f"{self.strength} is the strength itself: give its values with --{self.name}.")
        given = {"attributes": [to_json(parse_attribute(name)) for name in target], self.strength: value}
        if self.name == OURS:
            return from_json(PPLM, given | dict(changes))
        has_head = from_json(PPLM, given).has_discriminator
        return as_in_paper(from_json(PPLM, given | (PAPER_HEAD if has_head else PAPER_BAG) | dict(changes)))


ALGORITHMS = (
    Algorithm(OURS, "nats that a word is worth", "strength", (5.0, 10.0, 20.0, 40.0)),
    Algorithm(PAPER, "the paper's algorithm, by step size", "step_size", (0.01, 0.02, 0.03, 0.05)),
)


class Sweep(NamedTuple):
    """What to measure: algorithms with their strengths and what is set otherwise, on which prompts."""

    targets: tuple[Target, ...]
    prompts: PromptSet
    samples: int
    algorithms: tuple[Algorithm, ...]
    changes: Mapping[str, Mapping[str, Any]]  # algorithm -> settings that are not the defaults
    command: str

    def spec(self, targets: Sequence[Target], algorithm: Algorithm, value: float) -> RunSpec:
        """The run of one strength. Raises UserError."""
        changes = self.changes.get(algorithm.name, {})
        steered = [
            Method("+".join(f"pplm:{name}" for name in target), steering=algorithm.settings(target, value, changes))
            for target in targets
        ]
        methods = [to_json(method) for method in (BASE, *steered)]
        return from_json(RunSpec, {"methods": methods, "samples": self.samples, "sampling": SAMPLING})


def read_targets(text: str) -> tuple[Target, ...]:
    """The targets of a line: names with commas, those that one method steers by together joined by &.

    >>> read_targets("science, positive&sentiment:positive")
    (('science',), ('positive', 'sentiment:positive'))
    """
    return tuple(tuple(name.strip() for name in target.split("&")) for target in text.split(","))


def read_changes(pairs: Sequence[str]) -> dict[str, str]:
    """Settings by name, as text that PPLM reads. Raises UserError.

    >>> read_changes(["num_iterations=1", "gamma=1"])
    {'num_iterations': '1', 'gamma': '1'}
    """
    for pair in pairs:
        if "=" not in pair:
            raise UserError(f"Cannot read the setting {pair!r}: write its name and value, such as num_iterations=1.")
    return {name: value for name, _, value in (pair.partition("=") for pair in pairs)}


def measure(runner: Runner, sweep: Sweep) -> Iterator[Progress | Point | Frontier]:
    """Yields how far each run is, each point when it is there, and everything in the end. Raises UserError."""
    goals = frontier.goals(sweep.targets)
    for targets in goals.values():  # all of it is checked before any of it is written
        for algorithm in sweep.algorithms:
            for value in algorithm.values:
                sweep.spec(targets, algorithm, value)
    found = []
    for name, targets in goals.items():
        points = []
        for step in points_of(runner, sweep, targets):
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


def points_of(runner: Runner, sweep: Sweep, targets: Sequence[Target]) -> Iterator[Progress | Point]:
    """Runs every strength of a goal in turn; the unsteered point comes with the first."""
    begun = False
    for algorithm in sweep.algorithms:
        for value in algorithm.values:
            run = runner.add(sweep.spec(targets, algorithm, value), sweep.prompts, None)
            yield from runner.run(run.id)
            data = runner.data(run.id)
            if not begun:
                yield frontier.unsteered(data)
            begun = True
            yield frontier.point(data, algorithm.name, value)


def settings_of(sweep: Sweep, targets: Sequence[Target]) -> dict[str, dict[str, Any]]:
    """What each algorithm was set to, beside its strength and what it steered towards."""
    found = {}
    for algorithm in sweep.algorithms:
        if algorithm.values:
            changes = sweep.changes.get(algorithm.name, {})
            settings = to_json(algorithm.settings(targets[0], algorithm.values[0], changes))
            found[algorithm.name] = {k: v for k, v in settings.items() if k not in ("attributes", algorithm.strength)}
    return found
