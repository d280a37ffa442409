"""The Compare tab, one prompt and a pane for each method: which component feeds which handler."""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.decoding.far import Far
from adapters.methods import Sampling, UserError, from_json, to_json
from demo.compare import words
from demo.compare.api import compare_endpoint, methods_endpoint
from demo.compare.board import Board, PaneView
from demo.compare.components import Bench, look_html, variant
from demo.compare.drawer import pane_names
from demo.compare.examples import EXAMPLES, Example, start_of
from demo.compare.form import OFFERS, TOPICAL, pane_form, read_form, read_method, read_seed, used
from demo.compare.panes import FIRST, Pane, View, clicked_word, offer
from demo.compare.run import check_parity, compare, refusal
from demo.compare.shared import SharedPage, kept_rows, on_share, texts_on_page, wire_shared
from demo.look.theme import script
from demo.parts import words as common
from demo.parts.controls import FIRST_SAMPLING
from demo.parts.events import LIGHT, MODEL, VISITORS, Handler, slow, told
from demo.parts.links import COMPARE, address, is_id, owner_of
from demo.parts.marked import MAX_PANES, Marked, Values, message
from demo.parts.running import closed_at_end
from demo.parts.views import Page, cell_of
from demo.services import Services
from demo.xray.tab import Source, xray_section

OPEN_XRAY = script("word.js")
OPEN_LINK = "link => { if (link) location.search = link; }"


def compare_tab(services: Services, page: Page) -> None:
    """The tab, and the public endpoint /compare."""
    with gr.Column(elem_classes="stack live") as live:
        bench = Bench(services)
    wire_runs(services, bench, page)
    wire_settings(services, bench)
    wire_panes(services, bench, page)
    if services.engine.far is not None:
        wire_quota(services, bench, page, services.engine.far)
    shared = SharedPage(services)
    deleted = wire_shared(services, shared, live, page)
    share = partial(on_share, services)
    bench.share.click(share, [bench.board, bench.title, page.owner], [bench.link, bench.message], **LIGHT)
    show = told(bench.message, lambda secret: {bench.kept: kept_rows(services, secret)})
    bench.kept_fold.expand(show, page.owner, [bench.kept, bench.message], **LIGHT)
    chosen = bench.kept.select(on_kept, None, [bench.opened, bench.message], **LIGHT)
    chosen.then(None, bench.opened, None, js=OPEN_LINK, **LIGHT)
    clicked = gr.JSON(visible=False)
    source = Source([bench.xray, shared.xray], [bench.board, shared.id], partial(texts_on_page, services), clicked)
    wire_words([pane.view for pane in bench.panes], bench.board, [clicked, bench.message])
    wire_words(shared.panes, shared.board, [clicked, shared.work.message])
    with gr.Column(elem_classes="stack") as below:
        xray_section(services, source, page.blocks)
    deleted.then(lambda id: gr.update(visible=id is not None), shared.id, below, **LIGHT)
    gr.api(compare_endpoint(services), api_name="compare", concurrency_id=MODEL, concurrency_limit=VISITORS)
    gr.api(methods_endpoint(services), api_name="methods", queue=False)


# Which event calls what


def wire_runs(services: Services, bench: Bench, page: Page) -> None:
    options, inputs = slow(bench.message, MODEL), {page.owner, *bench.inputs}
    write, check = (partial(play, services, bench, page.owner, run) for run in (compare, check_parity))
    starts = [bench.run.click, bench.prompt.submit]
    gr.on(starts, told(bench.message, on_start, bench), bench.board, [bench.run, bench.stop, bench.message], **LIGHT)
    bench.prompt.change(None, None, bench.message, js="() => []", **LIGHT)  # what was wrong is being mended
    events = [
        gr.on(starts, write, inputs, bench.outputs, **options),
        bench.parity.click(check, inputs, bench.outputs, **options),
    ]
    stopped = bench.stop.click(None, cancels=events)
    stopped.then(partial(on_stop, services, bench), bench.board, bench.outputs, **LIGHT)


def wire_settings(services: Services, bench: Bench) -> None:
    fold = told(bench.message, on_sampling, bench)
    on_any_change(bench.shared, fold, {*bench.shared}, [bench.settings, bench.message])
    bench.shuffle.click(new_seed, None, bench.sampling.seed, **LIGHT)
    filled = [part for pane in bench.panes for part in (pane.view.column, *pane.outputs)]
    changed = [*bench.outputs, *filled, *bench.drawer.outputs, *bench.shared, *bench.examples]
    outputs = [*changed, bench.prompt, bench.shown, bench.add]
    for button, example in zip(bench.examples, EXAMPLES, strict=True):
        use = told(bench.message, on_example, services, bench, example)
        button.click(use, {bench.board}, outputs, **LIGHT)


def wire_panes(services: Services, bench: Bench, page: Page) -> None:
    """Each pane's settings, adding a pane and removing one, and the choices, which change while the app runs."""
    drawer, inputs = bench.drawer, bench.pane_inputs
    columns = [pane.view.column for pane in bench.panes]
    outputs = [bench.shown, bench.message, bench.add, *columns, *drawer.outputs]
    bench.add.click(told(bench.message, on_add, bench), inputs, outputs, **LIGHT)
    drawer.remove.click(told(bench.message, on_remove, bench), inputs, outputs, **LIGHT)
    drawer.pane.input(told(bench.message, on_choose, bench), {drawer.pane, *inputs}, outputs, **LIGHT)
    settings = {bench.board, *inputs}
    for pane in bench.panes:
        change = partial(on_pane_settings, services, bench, pane)
        on_any_change([*pane.controls.values()], change, settings, [*pane.view.parts, *pane.outputs, drawer.pane])
    outputs = [part for pane in bench.panes for part in (*pane.view.parts, *pane.outputs)]
    on_any_change(drawer.inputs, partial(on_drawer, services, bench), settings, [*outputs, drawer.pane, drawer.forms])
    dropdowns = bench.controls(*(name for name in FIRST if name in OFFERS))
    outputs, opened = [bench.message, bench.offered, *dropdowns], [page.tab.select, bench.settings.expand]
    gr.on(opened, partial(offer, services, bench.panes, bench.offered), bench.offered, outputs, **LIGHT)
    boxes = [*bench.controls("words"), *(pane.own for pane in bench.panes)]
    take, choose, give = (partial(handler, bench, page) for handler in (on_own_words, on_words, on_adapter))
    sent = page.tab.select(take, {page.words, *inputs}, [bench.message, *boxes], **LIGHT)
    outputs = [page.words, bench.message, *bench.controls("attribute")]
    sent.then(choose, {page.words, *inputs}, outputs, **LIGHT)
    outputs = [page.adapter, bench.message, *drawer.outputs, *(part for pane in bench.panes for part in pane.outputs)]
    page.tab.select(give, {page.adapter, *inputs}, outputs, **LIGHT)


def wire_quota(services: Services, bench: Bench, page: Page, far: Far) -> None:
    """What the next run takes of a GPU that is lent."""
    say = partial(on_quota, services, bench, far)
    page.blocks.load(say, {*bench.inputs}, bench.quota, **LIGHT)
    controls = [part for pane in bench.panes for part in pane.controls.values()]
    on_any_change([bench.prompt, *bench.shared, *controls, *bench.drawer.inputs], say, {*bench.inputs}, bench.quota)


def wire_words(views: Sequence[View], board: gr.State, outputs: list[Component]) -> None:
    """A click on a word of a steered text opens the X-ray there: the first output keeps its place."""

    def on_word(place: int) -> Handler:
        def find(board: Board, event: gr.SelectData) -> tuple[Any, Any]:
            at = clicked_word(board.panes.get(place, PaneView()), event.index)
            return None if at is None else (place, at), gr.skip()

        return find

    for place, view in enumerate(views):
        found = view.text.select(on_word(place), board, outputs, **LIGHT)
        found.then(None, outputs[0], None, js=OPEN_XRAY, **LIGHT)


def on_any_change(controls: Sequence[Component], handler: Handler, inputs: Any, outputs: Any) -> None:
    """Call the handler when a control changes; of changes that come faster than it answers, for the last."""
    changes = [control.change for control in controls]  # type: ignore[attr-defined]
    gr.on(changes, handler, inputs, outputs, trigger_mode="always_last", **LIGHT)


# Handlers: values in, values out


def play(
    services: Services, bench: Bench, owner: Component, run: Callable[..., Iterator[Board]], values: Values
) -> Iterator[Values]:
    """The boards of a run, the only one of its visitor."""
    before = values[bench.board]
    with closed_at_end(run(services, bench.read(values), before, owner_of(values[owner]))) as boards:
        for board in boards:
            yield bench.updates(services, before, board)
            before = board


def on_stop(services: Services, bench: Bench, board: Board) -> Values:
    """Mark the running panes as stopped; the run itself has been cancelled by then."""
    return bench.updates(services, board, board.stop())


def on_start(bench: Bench, board: Board) -> Values:
    """Stop in the place of Run at once, before the run has its turn. Raises UserError while texts grow."""
    if board.running:
        raise UserError(words.STILL_WRITING)
    return {bench.run: gr.update(visible=False), bench.stop: gr.update(value=words.stop_label(None), visible=True)}


def on_sampling(bench: Bench, values: Values) -> Values:
    """The label of the drawer. Raises UserError."""
    sampling, seed = from_json(Sampling, bench.read_sampling(values)), read_seed(values[bench.sampling.seed])
    line = common.sampling_line(sampling, seed, values[bench.sampling.mode] == common.CHAT)
    return {bench.settings: gr.update(label=words.SETTINGS.format(line=line))}


def on_quota(services: Services, bench: Bench, far: Far, values: Values) -> str:
    try:
        requests, sampling, _ = read_form(bench.read(values))
    except UserError:  # Run says what is wrong
        return ""
    begun = [request for request in requests.values() if refusal(services, request, sampling) is None]
    return words.QUOTA.format(seconds=far.seconds(services.engine.cost(begun, sampling))) if begun else ""


def on_pane_settings(services: Services, bench: Bench, pane: Pane, values: Values) -> Values:
    """The pane after a change of its settings; its text stays, is marked as old, and is not sent again."""
    view = values[bench.board].panes.get(pane.place)
    if view is not None and view.running:
        return {pane.view.head: gr.skip()}
    forms = bench.read_panes(values)
    form = forms[pane.place]
    updates = pane.settle(form) | {bench.drawer.pane: gr.update(choices=pane_names(forms, values[bench.shown]))}
    try:
        method = read_method(form)
    except UserError as error:
        return updates | {pane.view.note: message(str(error), is_error=True)}
    if view is None or not view.spans:
        return updates | pane.view.values(PaneView(method), services)
    if method != view.method:
        view = view._replace(method=method, status=words.CHANGED, note="", is_error=False)
    shown = pane.view.values(view, services)
    del shown[pane.view.text]
    return updates | shown


def on_drawer(services: Services, bench: Bench, values: Values) -> Values:
    """The pane whose settings the drawer shows, after a change in it."""
    pane = bench.panes[values[bench.drawer.place]]
    kept = {bench.drawer.forms: tuple(bench.read_panes(values))}
    return kept | on_pane_settings(services, bench, pane, values)


def on_choose(bench: Bench, values: Values) -> Values:
    """The drawer with the settings of the pane that was chosen in it."""
    return bench.drawer.fill(bench.read_panes(values), values[bench.shown], values[bench.drawer.pane])


def on_example(services: Services, bench: Bench, example: Example, values: Values) -> Values:
    """Everything on the tab as the example has it, with its texts where they ship for this base model."""
    start, before = start_of(services, example), values[bench.board]
    sampling = to_json(FIRST_SAMPLING)
    updates: Values = {bench.prompt: start.prompt, bench.sampling.seed: start.seed}
    updates[bench.sampling.mode] = common.CHAT if start.chat else common.PLAIN
    updates |= {component: sampling[name] for name, component in bench.sampling.fields.items()}
    updates |= {
        button: gr.update(variant=variant(one is example)) for button, one in zip(bench.examples, EXAMPLES, strict=True)
    }
    for pane, form in zip(bench.panes, start.forms, strict=True):
        updates |= pane.fill(form)
    updates |= bench.show_panes(start.shown) | bench.updates(services, before, start.board)
    updates |= bench.drawer.fill(start.forms, start.shown, start.shown[-1])
    return updates | {bench.look: look_html(example)}


def on_own_words(bench: Bench, page: Page, values: Values) -> Values:
    """Own words that were sent, in a visible box of every steered pane: a hidden box would give its old value."""
    updates: Values = {bench.message: gr.skip()}
    for pane in steered(bench, values) if values[page.words] and values[page.words][1] else ():
        updates |= {pane.controls["words"]: values[page.words][1], pane.own: gr.update(visible=True)}
    return updates


def on_words(bench: Bench, page: Page, values: Values) -> Values:
    """The topic that was sent, once, in every steered pane."""
    panes = steered(bench, values) if values[page.words] else []
    return {page.words: ""} | {pane.controls["attribute"]: values[page.words][0] for pane in panes}


def steered(bench: Bench, values: Values) -> list[Pane]:
    """The panes that steer to a topic."""
    panes = zip(bench.panes, bench.read_panes(values), strict=True)
    return [pane for pane, form in panes if any(kind in TOPICAL for kind in used(form))]


def on_adapter(bench: Bench, page: Page, values: Values) -> Values:
    """The adapter that was sent, once, in the first pane of its kind, or else in the last pane."""
    updates: Values = {bench.message: gr.skip(), page.adapter: None}
    if values[page.adapter] is None:
        return updates
    kind, name = values[page.adapter]
    forms, shown = bench.read_panes(values), values[bench.shown]
    fitting = next((place for place in shown if kind in used(forms[place])), None)
    if fitting is not None:
        return updates | {bench.panes[fitting].controls[kind]: name}
    forms[shown[-1]] = pane_form(**{kind: name})
    return updates | bench.panes[shown[-1]].fill(forms[shown[-1]]) | bench.drawer.fill(forms, shown, shown[-1])


def on_add(bench: Bench, values: Values) -> Values:
    """Show one more pane, the first hidden one."""
    shown = values[bench.shown]
    hidden = [place for place in range(MAX_PANES) if place not in shown]
    return show_and_choose(bench, values, sorted([*shown, *hidden[:1]]), *hidden[:1])


def on_remove(bench: Bench, values: Values) -> Values:
    """Hide the pane whose settings the drawer shows. Raises UserError for the last one."""
    shown = [place for place in values[bench.shown] if place != values[bench.drawer.place]]
    if not shown:
        raise UserError(words.LAST_PANE)
    return show_and_choose(bench, values, shown)


def show_and_choose(bench: Bench, values: Values, shown: Sequence[int], place: int | None = None) -> Values:
    """The panes at these places, and one of them in the drawer: the last unless it is named."""
    drawer = bench.drawer.fill(bench.read_panes(values), shown, shown[-1] if place is None else place)
    return bench.show_panes(shown) | drawer


def on_kept(event: gr.SelectData) -> tuple[str | None, Marked]:
    """The address of the comparison in the clicked row."""
    id = cell_of(event, 2)
    return address(COMPARE, id) if is_id(id) else None, []


def new_seed() -> int:
    """A seed that is easy to read and to type."""
    return random.randrange(10_000)
