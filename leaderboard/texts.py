"""Finished texts of another system or of people, which stand in a run as rows of their own: file -> rows -> prompts.

A file has the columns `prompt` and `text`, and perhaps `method`: a row of the table for each of its values. Texts are
never changed, but where every text of a row begins with its prompt, what follows is the text. Knows no tokens.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain, cycle
from typing import NamedTuple

from adapters.methods import Method, UserError, from_json, parse_method, to_json
from adapters.reading import Wanted, check_names, needs, quoted, read_records, refuse
from adapters.store.weight_cache import sha256
from leaderboard.prompts import LIMITS, MAX_NAME, Limits, read_values, set_name
from leaderboard.records import PromptSet, RunSpec

ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
MAX_TEXTS = 10_000  # of a file


class Finished(NamedTuple):
    """The texts of one row of a table."""

    name: str
    texts: tuple[tuple[str, str], ...]  # prompt without the blanks around it, text; in the order of the file

    @property
    def method(self) -> Method:
        return Method(self.name, texts=sha256(*chain.from_iterable(self.texts)))

    @property
    def is_exact(self) -> bool:
        """Whether the texts keep the blank that stands between a prompt and its text: then one of them has it."""
        return any(text[0].isspace() for _, text in self.texts)


def read_texts(data: bytes, filename: str, name: str = "", limits: Limits = LIMITS) -> tuple[Finished, ...]:
    """The rows of a file, called `name`, by their method, or both; else after the file. Raises UserError."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    example, empty = '{"prompt": "…", "text": "…"}', "The file holds no text: write at least one row."
    for record in read_records(data, filename, Wanted(ENDINGS, check, example, empty, limits.max_bytes, MAX_TEXTS)):
        values = read_values(record, limits)
        for field in ("prompt", "text"):
            if not values.get(field, "").strip():
                refuse(record.where, field, "it is empty: write something, or remove the row")
        parts = [part for part in (name.strip(), values.get("method", "").strip()) if part]
        found[" ".join(parts) or set_name(filename)].append((values["prompt"].strip(), values["text"]))
    if not found:
        raise UserError(empty)
    return tuple(Finished(checked(name), continuations(pairs)) for name, pairs in found.items())


def check(names: list[str], where: str) -> None:
    check_names(names, where)
    needs("prompt", "text", hint="a row holds a prompt and a text that continues it")(names, where)


def checked(name: str) -> str:
    """The name itself. Raises UserError for one that does not fit on a line, or that a method has."""
    if len(name) > MAX_NAME or not name.isprintable():
        raise UserError(f"{quoted(name)} is no name for texts: use one line of at most {MAX_NAME} characters.")
    try:
        parse_method(name)
    except UserError:
        return name
    raise UserError(f"{quoted(name)} is the name of a method: give your texts another name.")


def continuations(pairs: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    whole = all(text.startswith(prompt) and len(text) > len(prompt) for prompt, text in pairs)
    return tuple((prompt, text[len(prompt) :]) for prompt, text in pairs) if whole else tuple(pairs)


def with_texts(spec: RunSpec, texts: Sequence[Finished]) -> RunSpec:
    """The settings with a row for each. Raises UserError for a name that is taken, and for too many rows."""
    if taken := {each.name for each in texts} & {method.name for method in spec.methods}:
        raise UserError(f"{quoted(min(taken))} is the name of another row: give your texts another name.")
    methods = [to_json(method) for method in (*spec.methods, *(each.method for each in texts))]
    return from_json(RunSpec, to_json(spec) | {"methods": methods})


def only(finished: Finished, prompts: PromptSet, of: PromptSet) -> Finished:
    """Without the texts for prompts that are in the set `of` and not among those of a run."""
    left_out = {each.prompt.strip() for each in of.prompts} - {each.prompt.strip() for each in prompts.prompts}
    return finished._replace(texts=tuple(pair for pair in finished.texts if pair[0] not in left_out))


def match(finished: Finished, prompts: PromptSet, samples: int) -> list[list[str]]:
    """The texts for each prompt, `samples` of them. Raises UserError where the file has not just these.

    A prompt that is in the set several times has the same texts each time, or others if there are enough.
    """
    texts: dict[str, list[str]] = defaultdict(list)
    for prompt, text in finished.texts:
        texts[prompt].append(text)
    wanted = [each.prompt.strip() for each in prompts.prompts]
    count = Counter(wanted)
    for missing, told in (
        ([each for each in texts if each not in count], "not in the run: correct them, or add them to the prompts"),
        ([each for each in count if each not in texts], "without a text: write them, or choose fewer prompts"),
    ):
        if missing:
            number = f"{len(missing):,} prompt{'s' if len(missing) > 1 else ''}"
            raise UserError(f"{finished.name}: {number} {told}; the first is {quoted(missing[0])}.")
    for prompt, own in texts.items():
        if len(own) not in (samples, samples * count[prompt]):
            told = f"the run has {samples} for each prompt: choose {len(own)}, or give {samples}"
            raise UserError(f"{finished.name}: {quoted(prompt)} has {len(own)} text(s), and {told}.")
    turns = {prompt: cycle(own) for prompt, own in texts.items()}
    return [[next(turns[prompt]) for _ in range(samples)] for prompt in wanted]
