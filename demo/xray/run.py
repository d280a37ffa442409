"""Looking at texts: what every method would write next, each text under the others, and how a steered one came about.

Knows texts, records and the calls that make them; knows nothing of Gradio or figures. Closing a generator cancels.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from adapters.methods import Request, UserError
from adapters.xray.trace import MAX_STEPS, Record, XRay, unsteered
from demo.parts import words as text
from demo.parts.board import Board
from demo.parts.running import closed_at_end
from demo.services import Services
from demo.xray import words as words_xray

MAX_NAMED = 8  # words that a person may name
MAX_CHARACTERS = 200


class Text(NamedTuple):
    """A finished text, of this page or of a kept comparison."""

    request: Request
    token_ids: tuple[int, ...]
    diverged: bool


class View(NamedTuple):
    """What is known so far, and a line that says how far it is."""

    record: Record
    message: str = ""
    is_error: bool = False
    running: bool = True


def texts_of_board(board: Board) -> dict[int, Text]:
    """The finished texts in the panes, by their place."""
    if board.outcome is None:
        return {}
    rows = zip(board.outcome.requests.items(), board.outcome.rows, strict=True)
    return {
        place: Text(request, tuple(row.token_ids), row.finish_reason == "diverged") for (place, request), row in rows
    }


def steered(texts: Mapping[int, Text]) -> list[int]:
    """The places of the texts that were steered."""
    return [place for place, one in texts.items() if one.request.method.steering is not None]


def read_named(value: Any) -> tuple[str, ...]:
    """The words that a person names, separated by commas or blanks; raises UserError."""
    words = value if isinstance(value, str) else ""
    if len(words) > MAX_CHARACTERS or any(c == "\0" or "\ud800" <= c <= "\udfff" for c in words):
        raise UserError(words_xray.BAD_NAMED.format(most=MAX_NAMED))
    found = tuple(dict.fromkeys(words.replace(",", " ").split()))
    if len(found) > MAX_NAMED:
        raise UserError(words_xray.BAD_NAMED.format(most=MAX_NAMED))
    return found


def examine(
    services: Services, texts: Mapping[int, Text], place: Any, named: Any, known: Record | None = None
) -> Iterator[View]:
    """Looks at all texts, and at the steered one at `place`; `known` is a record of the same texts that is there."""
    if not texts:
        yield View(Record("", 0, False), words_xray.NOTHING_TO_XRAY, is_error=True, running=False)
        return
    first = next(iter(texts.values())).request
    record = known or Record(first.prompt, first.seed, first.chat)
    try:
        words = read_named(named)
        for view in compare_all(services, texts, record) if known is None else ():
            record = view.record
            yield view
        record = replace(record, xray=None)
        if place in steered(texts):
            yield from look_at(services, texts[place], words, record)
        else:
            yield View(record, words_xray.XRAY_NOT_STEERED, running=False)
    except UserError as error:
        yield View(record, str(error), is_error=True, running=False)
    except Exception:
        yield View(record, text.SERVER_ERROR, is_error=True, running=False)
        raise


def compare_all(services: Services, texts: Mapping[int, Text], record: Record) -> Iterator[View]:
    """The next tokens of every method, then every text under every method without its steering."""
    requests = [one.request for one in texts.values()]
    with closed_at_end(services.xrays.next_tokens(requests)) as steps:
        for found in steps:
            record = replace(record, next_tokens=tuple(found))
            yield View(record, words_xray.XRAY_NEXT.format(done=len(found), all=len(requests)))
    models = unsteered([request.method for request in requests])
    record = replace(record, models=tuple(models))
    with closed_at_end(services.xrays.scores(requests, [one.token_ids for one in texts.values()], models)) as steps:
        for done, scores in enumerate(steps, 1):
            if done == len(models):
                record = replace(record, scores=tuple(scores))
            yield View(record, words_xray.XRAY_SCORES.format(done=done, all=len(models)))


def look_at(services: Services, one: Text, words: tuple[str, ...], record: Record) -> Iterator[View]:
    """Writes a steered text once more; the last view says what there is to know about it."""
    xray: XRay | None = None
    title, most = text.title(one.request.method), min(len(one.token_ids), MAX_STEPS)
    done = -1
    with closed_at_end(services.xrays.text(one.request, one.token_ids, words)) as steps:
        for xray in steps:
            if len(xray.steps) > done:
                done = len(xray.steps)
                yield View(record, words_xray.XRAY_REPLAY.format(title=title, done=done, all=most))
    wrong = one.diverged or (xray is not None and xray.diverged)
    note = words_xray.XRAY_DIVERGED.format(tokens=text.count(done, "token")) if wrong else ""
    if not wrong and len(one.token_ids) > most:
        note = words_xray.XRAY_LONG.format(most=most)
    yield View(replace(record, xray=xray), note, is_error=wrong, running=False)
