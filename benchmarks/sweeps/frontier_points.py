"""Runs -> points of a frontier; and stored frontiers joined. `leaderboard.frontier` defines the figures."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import orjson

from adapters.methods import Method, UserError, parse_attribute, to_json
from leaderboard.frontier import LONGEST_RUN, TOPIC_GOAL, UNSTEERED, Frontier, Goal, Point, Target
from leaderboard.judges import TOPICS, embed, judge_of, judged_name
from leaderboard.metrics.metric import Metric, divide, ratio
from leaderboard.metrics.passport import Array
from leaderboard.records import ATTRIBUTE, RunData
from leaderboard.tables.bootstrap import interval, weights
from leaderboard.tables.comparable import Comparable, comparable
from leaderboard.tables.results import Cell
from leaderboard.tables.table import figures, metrics

RELATIVE = ("perplexity", "distinct_1", "distinct_2", "distinct_3")


def goals(targets: Sequence[Target]) -> dict[str, list[Target]]:
    """Group the targets by goal. Raises UserError unless exactly one judge fits each target."""
    found: dict[str, list[Target]] = {}
    for target in targets:
        attributes = [parse_attribute(name) for name in target]
        names = {judged_name(attribute.name) for attribute in attributes if attribute.weight > 0}
        if len(names) != 1 or judge_of(attributes[0].name) is None:
            raise UserError(
                f"No judge for {'&'.join(target)!r}: choose {', '.join(TOPICS)}, positive, negative, "
                "sentiment:positive or sentiment:negative; join names of one attribute or with weight < 0 by &."
            )
        found.setdefault(TOPIC_GOAL if names & set(TOPICS) else "&".join(target), []).append(target)
    return found


def point(data: RunData, algorithm: str, strength: float) -> Point:
    """The figures of a run's steered texts. Its first method is the base, all others steer."""
    return measured(data, algorithm, strength, range(1, len(data.run.spec.methods)))


def unsteered(data: RunData) -> Point:
    """The figures of the same run's base texts; relative figures are 1."""
    return measured(data, UNSTEERED, 0.0, [0] * (len(data.run.spec.methods) - 1))


def measured(data: RunData, algorithm: str, strength: float, indices: Sequence[int]) -> Point:
    """The figures of the methods at `indices`; the n-th is judged by the attribute of the n-th steered method."""
    seen, methods = comparable(data), data.run.spec.methods
    known = {metric.name: values(metric, seen) for metric in metrics(seen)}
    wanted = [name for method in methods if (name := aim_of(method)) is not None]
    judged = [known[ATTRIBUTE + name] for name in wanted]
    each_success = [each[index] for index, each in zip(indices, judged, strict=True)]
    success = np.mean(each_success, axis=0)
    found = {"success": success, "success_gain": divide(success, np.mean([each[0] for each in judged], axis=0))}
    for name in RELATIVE:
        found[name] = np.mean([divide(known[name][index], known[name][0]) for index in indices], axis=0)
    found["likeness"] = divide(likeness(data, indices), likeness(data, [0]))
    found["repetition"] = np.mean([known["repetition"][index] for index in indices], axis=0)
    runs = np.array([longest_run(sample.text) for sample in data.samples if sample.method in indices])
    whole = {"longest_run": Cell(float(runs.max())), "long_runs": Cell(float((runs > LONGEST_RUN).mean()))}
    return Point(
        algorithm,
        strength,
        data.run.spec.samples,
        {name: cell(each, len(seen.prompts)) for name, each in found.items()} | whole,
        {name: cell(each, len(seen.prompts)) for name, each in zip(wanted, each_success, strict=True)},
    )


def aim_of(method: Method) -> str | None:
    """The attribute that a method steers to first; None for the base."""
    named = [attribute.name for attribute in method.attributes]
    named += [vector.name for vector in method.vectors] + ([method.ask.name] if method.ask else [])
    return named[0] if named else None


def likeness(data: RunData, indices: Sequence[int]) -> Array:
    """Mean cosine of the texts of some methods and their prompts, and its resamples over prompts (1 + R,)."""
    prompts = [prompt.prompt for prompt in data.run.prompts.prompts]
    samples = [sample for sample in data.samples if sample.method in indices and sample.text.strip()]
    given, rows = embed(prompts), np.zeros((len(prompts), 2))  # sum and number of the cosines
    for sample, text in zip(samples, embed([sample.text for sample in samples]), strict=True):
        rows[sample.prompt] += text @ given[sample.prompt], 1
    return ratio(rows, weights(len(prompts)))


def values(metric: Metric, seen: Comparable) -> list[Array]:
    """A metric of each method and its resamples: (1 + R,), NaN for a method without texts."""
    names = [str(number) for number in range(len(seen.texts))]
    return [figure.values for figure in figures(metric, seen, names)]


def cell(found: Array, num_prompts: int) -> Cell:
    """A figure with its interval, from the figure and its resamples (1 + R,)."""
    return Cell(found[0].item(), *interval(found[1:], num_prompts))


def longest_run(text: str) -> int:
    """The most repetitions of one word in a row; case and punctuation are ignored.

    >>> longest_run("of of The the the, end")
    3
    """
    words = [word.strip(".,;:!?\"'()").lower() for word in text.split()]
    return max((len(list(same)) for word, same in groupby(words) if word), default=0)


def merged(old: Frontier, new: Frontier) -> Frontier:
    """Both together; `new` replaces equal points. Raises UserError if they were measured differently."""
    if alike(old) != alike(new):
        raise UserError("The file has another model, prompts, sampling or seed: name another file for --out.")
    goals = {goal.name: goal for goal in old.goals}
    for goal in new.goals:
        goals[goal.name] = merged_goal(goals[goal.name], goal) if goal.name in goals else goal
    commands = tuple(dict.fromkeys([*old.commands, *new.commands]))
    return replace(new, commands=commands, goals=tuple(goals.values()))


def alike(frontier: Frontier) -> tuple[object, ...]:
    """The conditions that comparable frontiers share."""
    return frontier.base_hash, frontier.prompts, frontier.num_prompts, frontier.sampling, frontier.seed


def merged_goal(old: Goal, new: Goal) -> Goal:
    """The points of both. Raises UserError if an algorithm's settings differ."""
    for name in old.settings.keys() & new.settings.keys():
        if old.settings[name] != new.settings[name]:
            raise UserError(f"The file has {new.name} by {name} with other settings: name another file for --out.")
    points = {(point.algorithm, point.strength): point for point in (*old.points, *new.points)}
    unsteered = max(old.unsteered, new.unsteered, key=lambda point: point.samples)
    steered = [point for point in points.values() if point.algorithm != UNSTEERED]
    steered.sort(key=lambda point: (point.algorithm, point.strength))
    return replace(
        new,
        settings=old.settings | new.settings,
        points=(unsteered, *steered),
        steered=new.steered or old.steered,
    )


def write_frontier(frontier: Frontier, file: Path) -> None:
    """Store a frontier for `read_frontier`."""
    file.write_bytes(orjson.dumps(to_json(frontier), option=orjson.OPT_INDENT_2) + b"\n")
