"""The values of the controls of a run -> prompts and settings, checked. Nothing is certain about the values."""

from collections.abc import Mapping
from typing import Any

from adapters.methods import UserError, from_json, parse_method, to_json
from adapters.training.batches import evenly
from demo.leaderboard import words
from demo.parts import words as common
from demo.parts.uploads import read_names, uploaded
from demo.services import Services
from leaderboard.prompts import read_prompts, shipped_sets
from leaderboard.records import AGAIN, MAX_METHODS, PromptSet, RunSpec
from leaderboard.texts import Finished, read_texts

PREVIEW = 5  # rows
QUICK_PROMPTS = 8


def default_methods(services: Services) -> list[str]:
    """The base, a LoRA, a prefix and a word list, as far as there are any."""
    lora, prefix, lists = services.names("lora"), services.names("prefix"), list(services.attributes)
    wanted = [("lora", "poetry", lora), ("prefix", "facts", prefix), ("pplm", "science", lists)]
    return ["base", *(f"{kind}:{name if name in known else known[0]}" for kind, name, known in wanted if known)]


def chips(names: list[str]) -> list[tuple[str, str]]:
    return [(common.title(parse_method(name)), name) for name in names]


def read_pasted(text: Any, services: Services) -> PromptSet:
    """The prompts of a text, one a line. Raises UserError."""
    if not isinstance(text, str) or not text.strip():
        raise UserError(common.NO_PROMPT)
    return read_prompts(text.encode(), f"{words.PASTED}.txt", services.limits)


def chosen_prompts(prompts: PromptSet, size: Any) -> PromptSet:
    """The prompts of a run: all, or for a quick one a few of them, evenly spaced."""
    all = prompts.prompts
    if size != words.QUICK or len(all) <= QUICK_PROMPTS:
        return prompts
    return PromptSet(f"{prompts.name} {QUICK_PROMPTS} of {len(all)}", tuple(evenly(all, QUICK_PROMPTS)))


def read_set(name: Any, services: Services) -> PromptSet:
    file = shipped_sets().get(name) if isinstance(name, str) else None
    if file is None:
        raise UserError(words.NO_SUCH_SET.format(known=", ".join(shipped_sets())))
    return read_prompts(file.read_bytes(), file.name, services.limits)


def read_upload(path: Any, services: Services) -> PromptSet:
    return read_prompts(*uploaded(path, services.limits.max_bytes), services.limits)


def read_run(form: Mapping[str, Any], services: Services, again: Any = False) -> RunSpec:
    """The settings of a run from the values of the form by their names, with an A/A row if `again`; UserError."""
    names = read_names(form["methods"], MAX_METHODS, words.BAD_RUN_METHODS)
    judge, judges = form["judge"], [words.BASE_JUDGE, *services.judges]
    if judge not in judges:
        raise UserError(words.BAD_JUDGE.format(known=" or ".join(judges)))
    methods = [to_json(method) for method in (*map(parse_method, names), *([AGAIN] if again else []))]
    return from_json(RunSpec, {**form, "methods": methods, "judge": None if judge == words.BASE_JUDGE else judge})


def read_finished(path: Any, name: Any, services: Services) -> tuple[Finished, ...]:
    """The rows of an uploaded file with finished texts; none without a file. Raises UserError."""
    limits = services.limits
    return () if path is None else read_texts(*uploaded(path, limits.max_bytes), str(name or ""), limits)


def preview(prompts: PromptSet) -> tuple[list[str], list[list[str]]]:
    """Headers and first rows of a prompt set, as they were read."""
    first = prompts.prompts[:PREVIEW]
    columns = {"prompt": [prompt.prompt for prompt in first]}
    if prompts.has_references:
        columns["reference"] = [prompt.reference or "" for prompt in first]
    if any(prompt.id is not None for prompt in prompts.prompts):
        columns["id"] = [prompt.id or "" for prompt in first]
    for tag in prompts.tag_names:
        columns[tag] = [dict(prompt.tags).get(tag, "") for prompt in first]
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]
