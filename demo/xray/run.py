"""Next tokens of every method, texts under the others, steps of a steered text; closing a generator cancels."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.decoding.visitors import XRAYS
from adapters.methods import Request, UserError, unsteered
from adapters.xray.trace import MAX_STEPS, TextRecord, XRay
from demo.parts.running import closed_at_end, told
from demo.parts.words import can_xray, count, title
from demo.services import Services
from demo.xray import words

MAX_NAMED = 8  # words that a person may name
MAX_CHARACTERS = 200


class Text(NamedTuple):
    """A finished text, of this page or of a kept comparison."""

    request: Request
    token_ids: tuple[int, ...]
    diverged: bool


class LookView(NamedTuple):
    record: TextRecord
    message: str = ""
    is_error: bool = False
    running: bool = True


def steered(texts: Mapping[int, Text]) -> list[int]:
    return [place for place, one in texts.items() if can_xray(one.request.method)]


def read_named(value: Any) -> tuple[str, ...]:
    """The words to follow, separated by commas or blanks; raises UserError."""
    named = value if isinstance(value, str) else ""
    found = tuple(dict.fromkeys(named.replace(",", " ").split()))
    bad = any(c == "\0" or "\ud800" <= c <= "\udfff" for c in named)
    if bad or len(named) > MAX_CHARACTERS or len(found) > MAX_NAMED:
        raise UserError(words.BAD_NAMED.format(most=MAX_NAMED))
    return found


def examine(
    services: Services, texts: Mapping[int, Text], place: Any, named: Any, known: TextRecord | None = None
) -> Iterator[LookView]:
    """Look at all texts, and at the steered one at `place`; `known` is an earlier record of the same texts."""
    if not texts:
        yield LookView(TextRecord("", 0, False), words.NOTHING_TO_XRAY, is_error=True, running=False)
        return
    first = next(iter(texts.values())).request
    start = LookView(known or TextRecord(first.prompt, first.seed, first.chat))
    views = look(services, texts, place, named, start.record if known is None else replace(known, xray=None))
    yield from told(views, start, lambda last, error: LookView(last.record, str(error), is_error=True, running=False))


def look(
    services: Services, texts: Mapping[int, Text], place: Any, named: Any, record: TextRecord
) -> Iterator[LookView]:
    """The views of all texts, unless the record has them, and of the steered one. Raises UserError."""
    follow = read_named(named)
    with services.allowance.spend(XRAYS):
        for view in () if record.scores else compare_all(services, texts, record):
            record = view.record
            yield view
        if place in steered(texts):
            yield from look_at(services, texts[place], follow, record)
        else:
            yield LookView(record, words.XRAY_NOT_STEERED, running=False)


def compare_all(services: Services, texts: Mapping[int, Text], record: TextRecord) -> Iterator[LookView]:
    """The next tokens of every method, then every text under every method without its steering."""
    requests = [one.request for one in texts.values()]
    with closed_at_end(services.xrays.next_tokens(requests)) as steps:
        for found in steps:
            record = replace(record, next_tokens=tuple(found))
            yield LookView(record, words.XRAY_NEXT.format(done=len(found), all=len(requests)))
    models = list(dict.fromkeys(unsteered(request.method) for request in requests))
    record = replace(record, models=tuple(models))
    with closed_at_end(services.xrays.scores(requests, [one.token_ids for one in texts.values()], models)) as steps:
        for done, scores in enumerate(steps, 1):
            if done == len(models):
                record = replace(record, scores=tuple(scores))
            yield LookView(record, words.XRAY_SCORES.format(done=done, all=len(models)))


def look_at(services: Services, one: Text, follow: tuple[str, ...], record: TextRecord) -> Iterator[LookView]:
    """Replay a steered text; the last view has its steps."""
    xray: XRay | None = None
    name, most, done = title(one.request.method), min(len(one.token_ids), MAX_STEPS), -1
    with closed_at_end(services.xrays.text(one.request, one.token_ids, follow)) as steps:
        for xray in steps:
            if len(xray.steps) > done:
                done = len(xray.steps)
                yield LookView(record, words.XRAY_REPLAY.format(title=name, done=done, all=most))
    wrong = one.diverged or (xray is not None and xray.diverged)
    note = words.XRAY_LONG.format(most=most) if len(one.token_ids) > most else ""
    if wrong:
        note = words.XRAY_DIVERGED.format(tokens=count(done, "token"))
    yield LookView(replace(record, xray=xray), note, is_error=wrong, running=False)
