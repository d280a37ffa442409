"""What the controls of a run say -> prompts and settings, checked.

Knows the values of controls as they arrive, where nothing about them is certain; knows nothing of Gradio.
"""

from pathlib import Path
from typing import Any, NamedTuple

from adapters.methods import UserError, from_json, parse_method, to_json
from demo.leaderboard import words as words_leaderboard
from demo.parts import words as text
from demo.services import Services
from leaderboard.prompts import read_prompts, shipped_sets
from leaderboard.records import PromptSet, RunSpec

MAX_METHODS = 12
PREVIEW = 5  # rows


class RunForm(NamedTuple):
    """What the tab says."""

    prompts: PromptSet
    methods: Any
    samples: Any
    sampling: dict[str, Any]
    seed: Any
    judge: Any = words_leaderboard.BASE_JUDGE
    chat: Any = False


def default_methods(services: Services) -> list[str]:
    """The four methods of the card, as far as there are adapters and word lists for them."""
    lora, prefix, words = services.names("lora"), services.names("prefix"), list(services.attributes)
    wanted = [("lora", "poetry", lora), ("prefix", "facts", prefix), ("pplm", "science", words)]
    return ["base", *(f"{kind}:{name if name in known else known[0]}" for kind, name, known in wanted if known)]


def known_methods(services: Services) -> list[str]:
    """Every method that consists of one part."""
    kinds = {"lora": services.names("lora"), "prefix": services.names("prefix"), "pplm": services.attribute_names()}
    return ["base", *(f"{kind}:{name}" for kind, names in kinds.items() for name in names)]


def read_set(name: Any, services: Services) -> PromptSet:
    """A set that comes with the app; raises UserError for another name."""
    file = shipped_sets().get(name) if isinstance(name, str) else None
    if file is None:
        raise UserError(words_leaderboard.NO_SUCH_SET.format(known=", ".join(shipped_sets())))
    return read_prompts(file.read_bytes(), file.name, services.limits)


def read_upload(path: Any, services: Services) -> PromptSet:
    """The prompts of an uploaded file; raises UserError."""
    if not isinstance(path, str):
        raise UserError(text.NO_FILE)
    file = Path(path)
    with file.open("rb") as opened:
        data = opened.read(services.limits.max_bytes + 1)  # enough to see that there is more
    return read_prompts(data, file.name, services.limits)


def read_run(form: RunForm, services: Services) -> tuple[RunSpec, PromptSet]:
    """The settings and the prompts of a run; raises UserError."""
    names = form.methods
    if (
        not isinstance(names, list)
        or not 1 <= len(names) <= MAX_METHODS
        or not all(isinstance(name, str) for name in names)
    ):
        raise UserError(words_leaderboard.BAD_RUN_METHODS.format(most=MAX_METHODS))
    if form.judge != words_leaderboard.BASE_JUDGE and form.judge not in services.judges:
        raise UserError(
            words_leaderboard.BAD_JUDGE.format(known=", ".join([words_leaderboard.BASE_JUDGE, *services.judges]))
        )
    data = {
        "methods": [to_json(parse_method(name)) for name in names],
        "samples": form.samples,
        "sampling": form.sampling,
        "seed": form.seed,
        "judge": None if form.judge == words_leaderboard.BASE_JUDGE else form.judge,
        "chat": form.chat is True,
    }
    return from_json(RunSpec, data), form.prompts


def preview(prompts: PromptSet) -> tuple[list[str], list[list[str]]]:
    """Headers and first rows of a prompt set, as they were read."""
    first = prompts.prompts[:PREVIEW]
    columns = {"prompt": [prompt.prompt for prompt in first]}
    if prompts.has_references:
        columns["reference"] = [prompt.reference or "" for prompt in first]
    if any(prompt.id is not None for prompt in prompts.prompts):
        columns["id"] = [prompt.id or "" for prompt in first]
    for tag in tag_names(prompts):
        columns[tag] = [dict(prompt.tags).get(tag, "") for prompt in first]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def tag_names(prompts: PromptSet) -> list[str]:
    """The columns that mean nothing to the app, in the order of their first appearance."""
    return list(dict.fromkeys(tag for prompt in prompts.prompts for tag, _ in prompt.tags))
