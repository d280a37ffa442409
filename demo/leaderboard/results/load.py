"""Loads what is stored of a run, by an untrusted id."""

from functools import lru_cache
from typing import Any

from adapters.methods import Method, UserError
from demo.leaderboard import words
from demo.parts import words as common
from demo.parts.links import is_id, is_own, owner_of
from demo.services import Services
from leaderboard.records import PromptSet, Run, RunData, RunLine
from leaderboard.runs.runner import Runner
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate

finished_data = lru_cache(maxsize=4)(Runner.data)  # it never changes, and looking through its texts asks often
MAX_VALUES = 40  # different values of a tag that can be sliced by; more would be one for nearly every prompt


def find_run(services: Services, id: Any) -> Run:
    """The run with this id. Raises UserError where there is none, or a newer release has made it."""
    run = services.database.run(id) if is_id(id) else None
    if run is None:
        raise UserError(common.NOTHING_HERE)
    return run


def find_own(services: Services, id: Any, secret: Any) -> Run:
    """The run with this id. Raises UserError where there is none, or another browser has made it."""
    run = find_run(services, id)
    if not is_own(run.owner, secret):
        raise UserError(common.NOT_YOURS)
    return run


def list_runs(services: Services, secret: Any) -> list[RunLine]:
    """The runs that this browser may open without a link: the newest first, then those that ship."""
    ships = [each.data.run.line for each in services.database.shipped.values()]
    return [*services.database.runs(owner_of(secret)), *ships]


def load_data(services: Services, id: Any) -> RunData:
    run = find_run(services, id)
    return finished_data(services.runner, run.id) if run.status == "done" else services.runner.data(run.id)


def load_results(services: Services, id: Any, chosen: Any = words.ALL_PROMPTS) -> Results:
    """The figures of a run, or of the prompts with one tag. Raises UserError."""
    run = find_run(services, id)
    if chosen in (None, words.ALL_PROMPTS):
        return services.runner.results(run.id)
    tag = slices(run.prompts).get(chosen) if isinstance(chosen, str) else None
    if tag is None:
        raise UserError(words.NO_SUCH_SLICE)
    return tabulate(load_data(services, run.id), lambda prompt: tag in prompt.tags)


def slices(prompts: PromptSet) -> dict[str, tuple[str, str]]:
    """The tags that prompts can be chosen by, by their label on the page."""
    found: dict[str, tuple[str, str]] = {}
    for name in prompts.tag_names:
        values = sorted({dict(prompt.tags)[name] for prompt in prompts.prompts if name in dict(prompt.tags)})
        if len(values) <= MAX_VALUES:
            found |= {f"{name} = {value}": (name, value) for value in values}
    return found


def methods_of(run: Run) -> dict[str, Method]:
    return {method.name: method for method in run.spec.methods}
