"""The X-ray below the texts: a steered text token by token, and all methods beside each other.

A visitor's state is the deflated record (about 2 kB per step) and its texts; only the records of the last few clicks
are kept inflated.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from adapters.xray.trace import RECORD, Scored, TextRecord, XRay, pack, unpack
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import LIGHT, LOOK, slow
from demo.parts.marked import Marked, Values, head_html, message
from demo.parts.views import build_at_first
from demo.parts.words import quote, title
from demo.services import Services
from demo.xray import words
from demo.xray.figures import next_bars, shaded, step_figures, surprises
from demo.xray.layout import Side, XRayPage
from demo.xray.run import LookView, Text, examine, steered

inflated = lru_cache(maxsize=4)(unpack)  # a record of 256 tokens takes about 25 MB
SCROLL = "() => { document.querySelector('.xray')?.scrollIntoView({block: 'start'}); }"


class Source(NamedTuple):
    """The origin of texts: the buttons that look at them, the states that hold them, and how these are read."""

    buttons: Sequence[gr.Button]
    held: Sequence[gr.State]
    read: Callable[..., Mapping[int, Text]]
    clicked: gr.JSON  # the word that was clicked in a text: [place of the pane, characters before it]; or None


def xray_section(services: Services, source: Source, blocks: gr.Blocks) -> None:
    """The section, built when one of the buttons is first pressed."""
    pressed = [button.click for button in source.buttons]
    build_at_first(pressed, partial(build_xray, services, source, [blocks.load, *pressed]))


def build_xray(services: Services, source: Source, events: Sequence[Any]) -> None:
    """Lay out and wire the section; it looks at the texts at each of the events."""
    page = XRayPage()
    outputs = [page.column, page.message, page.record, page.texts, page.pane, page.judged, page.stop, page.save]
    outputs += [page.body, page.under_line, *parts(page.next), *parts(page.under)]
    options = slow(page.message, LOOK)
    inputs = {page.record, page.texts, page.pane, page.named, source.clicked, *source.held}
    first = gr.on(events, partial(on_open, services, page, source), inputs, outputs, **options)
    look = partial(on_again, services, page)
    held = [page.texts, page.record, page.pane, page.named]
    again = gr.on([page.pane.input, page.named.submit], look, held, outputs, **options)
    shown = [source.clicked, page.message, page.body, page.number, page.text, *page.step.values()]
    for run in (first, again):
        drawn = run.then(partial(show_xray, page, source), [page.record, page.open, source.clicked], shown, **LIGHT)
    drawn.then(None, None, None, js=SCROLL, **LIGHT)
    stopped = page.stop.click(None, cancels=[first, again])
    stopped.then(partial(on_stop, page), None, [page.message, page.stop], **LIGHT)
    wire_looking(services, page)


def wire_looking(services: Services, page: XRayPage) -> None:
    """The events without the model: choosing a token, a text or an inner tab, and saving."""
    page.text.select(on_select, None, page.number, **LIGHT)
    step = partial(show_step, page)
    shown = [page.message, page.text, *page.step.values()]
    chosen = [page.record, page.number, page.open]
    page.number.change(step, chosen, shown, trigger_mode="always_last", **LIGHT)
    given, filled = [page.record, page.number, page.open, page.inner], [page.open, page.inner, *shown]
    for name, tab in page.tabs.items():
        tab.select(partial(on_inner_tab, page, name), given, filled, **LIGHT)
    page.expert_tab.select(partial(on_expert_tab, page), given, filled, **LIGHT)
    judged = [page.record, page.judged]
    under = partial(show_under, services, page)
    sides = [page.message, *parts(page.under), page.under_line]
    gr.on([page.judged.input, page.under_tab.select], under, judged, sides, **LIGHT)
    fill = partial(show_next, services, page)
    page.next_tab.select(fill, page.record, [page.message, *parts(page.next)], **LIGHT)
    for side in page.under:
        side.body.select(on_judged, judged, page.under_line, **LIGHT)
    save_on_click(page.save, on_save, page.record, page.message)


def on_open(services: Services, page: XRayPage, source: Source, values: Values) -> Iterator[Values]:
    """Look at the texts that are on the page now: at the one with the clicked word, unless that has been done."""
    texts = dict(source.read(*(values[state] for state in source.held)))
    wanted = values[source.clicked][0] if values[source.clicked] else None
    if texts == values[page.texts] and values[page.record] is not None and wanted == values[page.pane]:
        yield {page.message: gr.skip()}
        return
    names = {place: f"{place + 1}: {title(one.request.method)}" for place, one in texts.items()}
    choices = [(names[place], place) for place in steered(texts)]
    first = wanted if wanted in steered(texts) else choices[0][1] if choices else None
    judged = [(name, index) for index, name in enumerate(names.values())]
    yield {
        page.column: gr.update(visible=True),
        page.body: gr.update(visible=False),
        page.pane: gr.update(choices=choices, value=first),
        page.judged: gr.update(choices=judged, value=0 if judged else None),
        page.texts: texts,
        page.record: None,
    }
    yield from play(services, page, examine(services, texts, first, values[page.named]), None)


def on_again(
    services: Services, page: XRayPage, texts: Any, data: bytes | None, place: Any, named: Any
) -> Iterator[Values]:
    """Look at another steered text, or at other words, of the same texts."""
    known = None if data is None else opened(data)
    yield from play(services, page, examine(services, texts or {}, place, named, known), known)


def play(services: Services, page: XRayPage, views: Iterator[LookView], shown: TextRecord | None) -> Iterator[Values]:
    """Show the views one after the other; send only what is new."""
    for view in views:
        record = view.record
        updates: Values = {page.message: message(view.message, view.is_error)}
        updates[page.stop] = gr.update(interactive=view.running)
        if record is not shown or not view.running:
            updates[page.record] = pack(record)
            if shown is None or record.next_tokens != shown.next_tokens:
                updates |= show_next(services, page, record)
            if shown is None or record.scores != shown.scores:
                updates |= show_under(services, page, record, 0)
            if not view.running:
                updates[page.save] = gr.update(interactive=True)
        shown = record
        yield updates


def on_stop(page: XRayPage) -> Values:
    return {page.message: message(words.XRAY_STOPPED), page.stop: gr.update(interactive=False)}


def on_select(event: gr.SelectData) -> Any:
    return event.index + 1 if isinstance(event.index, int) else gr.skip()


def on_judged(data: bytes | None, index: Any, event: gr.SelectData) -> Marked:
    """One token's log-probability under every method, in a line."""
    record, at = opened(data), event.index
    scored = scored_text(record, index)
    if scored is None or not isinstance(at, int) or at >= len(scored.tokens):
        return []
    values = [
        f"{title(model)} {words.nats(row[at])}" for model, row in zip(record.models, scored.logprobs, strict=True)
    ]
    token = quote(scored.tokens[at])
    return message(words.UNDER_LINE.format(number=at + 1, token=token, values=", ".join(values)))


def on_save(data: bytes | None) -> tuple[dict[str, str] | None, Marked]:
    if data is None:
        raise UserError(words.NOTHING_TO_XRAY)
    return as_file("xray.json", RECORD.dump_json(opened(data))), []


def on_inner_tab(page: XRayPage, name: str, data: bytes | None, number: Any, open: str, inner: str) -> Values:
    """The step in the tab that was opened. (One for researchers says so when it is laid out, too: it is not seen.)"""
    last = {page.inner: inner if name == words.TOKEN_TAB else name}
    seen = name == words.TOKEN_TAB or open != words.TOKEN_TAB
    return last | ({page.open: name} | show_step(page, data, number, name) if seen else {})


def on_expert_tab(page: XRayPage, data: bytes | None, number: Any, open: str, inner: str) -> Values:
    """The step in the tab for researchers that was open last."""
    return {page.open: inner} | show_step(page, data, number, inner)


def show_xray(page: XRayPage, source: Source, data: bytes | None, tab: str, clicked: Any) -> Values:
    """The steered text with the step of the clicked word, or its first step, or nothing."""
    done: Values = {source.clicked: None}
    xray = opened(data).xray
    if xray is None or not xray.steps:
        return done | {page.body: gr.update(visible=False), page.text: []} | dict.fromkeys(page.step.values())
    first = number_at(xray, clicked[1]) if clicked else 1
    number = gr.update(maximum=max(2, len(xray.steps)), value=first)
    return done | {page.body: gr.update(visible=True), page.number: number} | show_step(page, data, first, tab)


def number_at(xray: XRay, at: int) -> int:
    """The number, from 1, of the token that holds the character at this place of the text; the last one beyond it."""
    ends = accumulate(len(step.chosen.text) for step in xray.steps)
    return next((number for number, end in enumerate(ends, 1) if end > at), len(xray.steps))


def show_step(page: XRayPage, data: bytes | None, number: Any, tab: str) -> Values:
    """One token, counted from 1, in the open inner tab: the others are drawn when they are opened."""
    xray = opened(data).xray
    if xray is None or not isinstance(number, int | float) or not 1 <= number <= len(xray.steps):
        return {page.text: gr.skip()}
    made = step_figures(xray, int(number) - 1, tab)
    return {page.text: shaded(xray, int(number) - 1)} | {page.step[name]: value for name, value in made.items()}


def show_next(services: Services, page: XRayPage, data: bytes | TextRecord | None) -> Values:
    record = opened(data)
    most = max((share for found in record.next_tokens for _, share in found.tokens), default=1.0)
    updates: Values = {side.column: gr.update(visible=False) for side in page.next}
    for side, found in zip(page.next, record.next_tokens, strict=False):
        updates |= {side.column: gr.update(visible=True), side.head: head_html(found.method, services)}
        updates[side.body] = next_bars(found, most)
    return updates


def show_under(services: Services, page: XRayPage, data: bytes | TextRecord | None, index: Any) -> Values:
    """The chosen text, shaded by every method without its steering."""
    record = opened(data)
    updates: Values = {side.column: gr.update(visible=False) for side in page.under} | {page.under_line: []}
    if (scored := scored_text(record, index)) is None:
        return updates
    for side, method, row in zip(page.under, record.models, scored.logprobs, strict=False):
        head = f"{head_html(method, services)}<p>{words.mean_line(row)}</p>"
        updates |= {side.column: gr.update(visible=True), side.head: head}
        updates[side.body] = surprises(scored.tokens, row)
    return updates


def opened(data: bytes | TextRecord | None) -> TextRecord:
    """The record, inflated; an empty one before anything has been looked at."""
    if isinstance(data, TextRecord):
        return data
    return TextRecord("", 0, False) if data is None else inflated(data)


def scored_text(record: TextRecord, index: Any) -> Scored | None:
    """The text with this index in the list of judged texts, if there is one."""
    return record.scores[index] if isinstance(index, int) and 0 <= index < len(record.scores) else None


def parts(sides: Sequence[Side]) -> list[Any]:
    return [part for side in sides for part in side]
