"""The X-ray below the texts: a steered text token by token, and all methods beside each other.

Knows which handler fills what; what there is to see is in demo.xray.run, how it is drawn in demo.xray.figures. The
state of a visitor is the deflated record (a step takes about 2 kB of it) and the texts that it is of.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.xray.trace import Record, as_json, pack, unpack
from demo.parts import words as text
from demo.parts.actions import as_file, save_on_click
from demo.parts.events import LIGHT, MODEL
from demo.parts.panes import Marked, Values, head_html, message
from demo.parts.views import build_at_first
from demo.services import Services
from demo.xray import figures as xray_figures
from demo.xray import words as words_xray
from demo.xray.layout import XRayPage, lay_out_xray
from demo.xray.run import Text, View, examine, steered


class Source(NamedTuple):
    """Where texts come from: the buttons that look at them, what the page holds of them, and how that is read."""

    buttons: Sequence[gr.Button]
    held: Sequence[gr.State]
    read: Callable[..., Mapping[int, Text]]


def xray_section(services: Services, source: Source, blocks: gr.Blocks) -> None:
    """The section, built when one of the buttons is first pressed."""
    pressed = [button.click for button in source.buttons]
    build_at_first(pressed, partial(build_xray, services, source, [blocks.load, *pressed]))


def build_xray(services: Services, source: Source, events: Sequence[Any]) -> None:
    """The section, laid out and wired; it looks at the texts at each of the events."""
    page = lay_out_xray()
    outputs = [page.column, page.message, page.record, page.texts, page.pane, page.judged, page.stop, page.save]
    outputs += [page.body, page.under_line, *(part for side in (*page.next, *page.under) for part in side)]
    options: dict[str, Any] = {"show_progress": "minimal", "show_progress_on": page.message}
    options |= {"api_visibility": "private"} | MODEL
    look = partial(on_open, services, page, source.read)
    first = gr.on(events, look, [page.named, *source.held], outputs, **options)
    again = gr.on(
        [page.pane.input, page.named.submit],
        partial(on_again, services, page),
        [page.texts, page.record, page.pane, page.named],
        outputs,
        **options,
    )
    shown = [page.body, page.number, page.text, *page.step.values()]
    for run in (first, again):
        run.then(partial(show_xray, page), page.record, shown, **LIGHT)
    stopped = page.stop.click(None, cancels=[first, again])
    stopped.then(partial(on_stop, page), None, [page.message, page.stop], **LIGHT)
    wire_looking(services, page)


def wire_looking(services: Services, page: XRayPage) -> None:
    """What needs no model: choosing a token or a text, and saving."""
    step = [page.text, *page.step.values()]
    page.text.select(on_select, None, page.number, **LIGHT)
    chosen = [page.record, page.number]
    page.number.change(partial(show_step, page), chosen, step, trigger_mode="always_last", **LIGHT)
    judged = [page.record, page.judged]
    under = [*(part for side in page.under for part in side), page.under_line]
    gr.on([page.judged.input, page.under_tab.select], partial(show_under, services, page), judged, under, **LIGHT)
    shown = [part for side in page.next for part in side]
    page.next_tab.select(partial(show_next, services, page), page.record, shown, **LIGHT)
    for side in page.under:
        side.body.select(on_judged, judged, page.under_line, **LIGHT)  # type: ignore[union-attr]
    save_on_click(page.save, on_save, page.record, page.message)


# Handlers: values in, values out


def on_open(
    services: Services, page: XRayPage, read: Callable[..., Mapping[int, Text]], named: Any, *held: Any
) -> Iterator[Values]:
    """Looks at the texts that are on the page now."""
    texts = dict(read(*held))
    places = steered(texts)
    choices = [(f"{place + 1}: {text.title(texts[place].request.method)}", place) for place in places]
    first = places[0] if places else None
    judged = [(f"{place + 1}: {text.title(one.request.method)}", place) for place, one in enumerate(texts.values())]
    yield {
        page.column: gr.update(visible=True),
        page.body: gr.update(visible=False),
        page.pane: gr.update(choices=choices, value=first),
        page.judged: gr.update(choices=judged, value=0 if judged else None),
        page.texts: texts,
        page.record: None,
    }
    yield from play(services, page, examine(services, texts, first, named), None)


def on_again(
    services: Services, page: XRayPage, texts: Any, data: bytes | None, place: Any, named: Any
) -> Iterator[Values]:
    """Looks at another steered text, or at other words, of the same texts."""
    known = None if data is None else unpack(data)
    yield from play(services, page, examine(services, texts or {}, place, named, known), known)


def play(services: Services, page: XRayPage, views: Iterator[View], shown: Record | None) -> Iterator[Values]:
    """The views one after the other; only what is new is sent."""
    for view in views:
        updates: Values = {page.message: message(view.message, view.is_error)}
        updates[page.stop] = gr.update(interactive=view.running)
        if view.record != shown or not view.running:
            data = pack(view.record)
            updates[page.record] = data
            if shown is None or view.record.next_tokens != shown.next_tokens:
                updates |= show_next(services, page, data)
            if shown is None or view.record.scores != shown.scores:
                updates |= show_under(services, page, data, 0)
            if not view.running:
                updates[page.save] = gr.update(interactive=True)
        shown = view.record
        yield updates


def on_stop(page: XRayPage) -> Values:
    """The section after Stop."""
    return {page.message: message(words_xray.XRAY_STOPPED), page.stop: gr.update(interactive=False)}


def on_select(event: gr.SelectData) -> Any:
    """The number of the token that was clicked."""
    return event.index + 1 if isinstance(event.index, int) else gr.skip()


def on_judged(data: bytes | None, place: Any, event: gr.SelectData) -> Marked:
    """One token's log-probability under every method, in a line."""
    record = unpack(data) if data else Record("", 0, False)
    at = event.index
    if place not in places_of(record) or not isinstance(at, int) or at >= len(record.scores[place].tokens):
        return []
    scored = record.scores[place]
    values = [
        f"{text.title(model)} {words_xray.nats(row[at])}"
        for model, row in zip(record.models, scored.logprobs, strict=True)
    ]
    token = text.quote(scored.tokens[at])
    return message(words_xray.UNDER_LINE.format(number=at + 1, token=token, values=", ".join(values)))


def on_save(data: bytes | None) -> tuple[dict[str, str] | None, Marked]:
    """The record as a file."""
    if data is None:
        return None, message(words_xray.NOTHING_TO_XRAY, is_error=True)
    return as_file("xray.json", as_json(unpack(data))), []


# Between components and data


def show_xray(page: XRayPage, data: bytes | None) -> Values:
    """The steered text with its first step, or nothing."""
    xray = unpack(data).xray if data else None
    if xray is None or not xray.steps:
        return {page.body: gr.update(visible=False), page.text: []} | dict.fromkeys(page.step.values())
    steps = len(xray.steps)
    updates: Values = {page.body: gr.update(visible=True), page.number: gr.update(maximum=max(2, steps), value=1)}
    return updates | show_step(page, data, 1)


def show_step(page: XRayPage, data: bytes | None, number: Any) -> Values:
    """Everything about one token, counted from 1."""
    xray = unpack(data).xray if data else None
    if xray is None or not isinstance(number, int | float) or not 1 <= number <= len(xray.steps):
        return {page.text: gr.skip()}
    place = int(number) - 1
    step = xray.steps[place]
    made = {
        "line": message(words_xray.step_line(step, place)),
        "likely": xray_figures.likely(step),
        "words": xray_figures.words(step),
        "followed": xray_figures.followed(xray, place),
        "numbers": xray_figures.candidates_table(step),
        "losses": xray_figures.losses(step),
        "layers": xray_figures.layers(step),
        "heat": xray_figures.heat(xray, place),
        "path_2": xray_figures.path(xray, place, 1),
        "path_3": xray_figures.path(xray, place, 2),
        "costs": xray_figures.costs(xray, place),
    }
    return {page.text: xray_figures.shaded(xray, place)} | {page.step[name]: value for name, value in made.items()}


def show_next(services: Services, page: XRayPage, data: bytes | None) -> Values:
    """The next tokens of every method that is known."""
    known = unpack(data).next_tokens if data else ()
    most = max((share for found in known for _, share in found.tokens), default=1.0)
    updates: Values = {side.column: gr.update(visible=False) for side in page.next}
    for side, found in zip(page.next, known, strict=False):
        updates |= {side.column: gr.update(visible=True), side.head: head_html(found.method, services)}
        updates[side.body] = xray_figures.next_bars(found, most)
    return updates


def show_under(services: Services, page: XRayPage, data: bytes | None, place: Any) -> Values:
    """The chosen text under every method without its steering."""
    updates: Values = {side.column: gr.update(visible=False) for side in page.under} | {page.under_line: []}
    record = unpack(data) if data else None
    if record is None or place not in places_of(record):
        return updates
    scored = record.scores[place]
    for side, method, row in zip(page.under, record.models, scored.logprobs, strict=False):
        mean = f"<p>{words_xray.mean_line(row)}</p>"
        updates |= {side.column: gr.update(visible=True), side.head: head_html(method, services) + mean}
        updates[side.body] = xray_figures.surprises(scored.tokens, row)
    return updates


def places_of(record: Record) -> list[int]:
    """What may stand in the list of judged texts."""
    return list(range(len(record.scores)))
