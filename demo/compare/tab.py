"""The Compare tab: one prompt, and a pane for each method.

Knows which component feeds which handler; the runs are in demo.compare.run, a pane is in demo.compare.panes.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from adapters.methods import Sampling, UserError, from_json
from demo.compare import words
from demo.compare.api import compare_endpoint
from demo.compare.board import Board, PaneView
from demo.compare.form import SLOTS, Form, default_panes, first_shown, has_own_words, read_method, read_seed
from demo.compare.panes import Choices, Pane, offer, offered
from demo.compare.run import check_parity, compare
from demo.compare.shared import SharedPage, on_share, texts_on_page, wire_shared
from demo.parts import words as common
from demo.parts.actions import share_link, small_button
from demo.parts.controls import FIRST_SEED, labelled, lay_out_sampling
from demo.parts.events import LIGHT, MODEL, Handler, slow, told
from demo.parts.marked import MAX_PANES, Values, message, message_line
from demo.parts.running import closed_at_end
from demo.parts.views import Page
from demo.services import Services
from demo.xray.tab import Source, xray_section
from demo.xray.words import XRAY


class Bench:
    """The components of the tab, from top to bottom."""

    def __init__(self, services: Services) -> None:
        with gr.Row(elem_classes="top"):
            self.prompt = gr.Textbox(lines=2, max_lines=8, scale=5, elem_id="prompt", **labelled("prompt"))
            with gr.Column(min_width=150, elem_classes="run"):
                self.generate, self.stop = gr.Button("Generate", variant="primary"), gr.Button("Stop")
        self.message = message_line("Message", "shared-note")
        with gr.Row(elem_classes="examples"):
            gr.HTML("Try", elem_classes="try")
            self.examples = [small_button(example.title) for example in words.EXAMPLES]
        with gr.Row(elem_classes="shared"):
            with gr.Accordion(common.sampling_line(Sampling(), FIRST_SEED, False), open=False) as self.folded:
                self.sampling = lay_out_sampling(services)
            self.new_seed = gr.Button("New seed", size="sm", min_width=110, scale=0)
        forms = default_panes(services)
        first = first_shown(forms)
        with gr.Row(elem_classes="panes"):
            self.panes = [Pane(services, place, form, place in first) for place, form in enumerate(forms)]
        with gr.Row(elem_classes="below"):
            self.add, self.parity = small_button("Add a pane"), small_button("Check parity")
            self.xray = small_button(XRAY, interactive=False)
            self.share = small_button(common.SHARE, interactive=False)
        self.link = share_link()
        gr.HTML(f"<p>{words.HELP}</p>", elem_classes="help")
        if refused := services.store.refused:
            lines = "\n".join(f"Not offered: {name}. {reason}" for name, reason in refused.items())
            message_line("Adapters that are not offered", "help", lines)
        self.shown = gr.State(first)  # places of the panes on the page
        self.board = gr.State(Board())
        self.offered = gr.State(offered(services))  # the choices that the page has
        self.shared = [self.sampling.mode, self.sampling.seed, *self.sampling.fields.values()]

    def controls(self, *names: str) -> list[Component]:
        """The controls with these names in every pane."""
        return [pane.controls[name] for pane in self.panes for name in names]


def compare_tab(services: Services, page: Page) -> None:
    """The tab, and the public endpoint /compare."""
    with gr.Column(elem_classes="stack") as live:
        bench = Bench(services)
    wire_runs(services, bench)
    wire_settings(services, bench)
    wire_panes(services, bench, page)
    shared = SharedPage(services)
    deleted = wire_shared(services, shared, live, page)
    share = partial(on_share, services)
    bench.share.click(share, [bench.board, page.owner], [bench.link, bench.message], **LIGHT)
    source = Source([bench.xray, shared.xray], [bench.board, shared.id], partial(texts_on_page, services))
    with gr.Column(elem_classes="stack") as below:
        xray_section(services, source, page.blocks)
    deleted.then(lambda id: gr.update(visible=id is not None), shared.id, below, **LIGHT)
    gr.api(compare_endpoint(services), api_name="compare", concurrency_id=MODEL, concurrency_limit=1)


# Which event calls what


def wire_runs(services: Services, bench: Bench) -> None:
    """Generate, Stop and Check parity."""
    controls = [control for pane in bench.panes for control in pane.controls.values()]
    inputs: set[Block] = {bench.prompt, bench.shown, bench.board, *bench.shared, *controls}
    outputs = [bench.board, bench.message, bench.generate, bench.stop, bench.parity, bench.xray, bench.share]
    outputs += [bench.link, *(part for pane in bench.panes for part in pane.view.parts)]
    options = slow(bench.message, MODEL)
    write, check = (partial(play, services, bench, run) for run in (compare, check_parity))
    events = [
        gr.on([bench.generate.click, bench.prompt.submit], write, inputs, outputs, **options),
        bench.parity.click(check, inputs, outputs, **options),
    ]
    stopped = bench.stop.click(None, cancels=events)
    stopped.then(partial(on_stop, services, bench), bench.board, outputs, **LIGHT)


def wire_settings(services: Services, bench: Bench) -> None:
    """The shared settings, the seed, and the examples."""
    fold = told(bench.message, on_sampling, bench)
    on_any_change(bench.shared, fold, {*bench.shared}, [bench.folded, bench.message])
    bench.new_seed.click(new_seed, None, bench.sampling.seed, **LIGHT)
    chosen = bench.controls("lora", "attribute")
    for button, example in zip(bench.examples, words.EXAMPLES, strict=True):
        use = told(bench.message, on_example, services, bench, example)
        button.click(use, {*chosen}, [bench.message, bench.prompt, bench.sampling.mode, *chosen], **LIGHT)


def wire_panes(services: Services, bench: Bench, page: Page) -> None:
    """Each pane's settings, adding a pane and removing one, and the choices, which change while the app runs."""
    outputs = [bench.shown, bench.message, bench.add, *(pane.view.column for pane in bench.panes)]
    bench.add.click(told(bench.message, on_add, bench), bench.shown, outputs, **LIGHT)
    for place, pane in enumerate(bench.panes):
        controls = list(pane.controls.values())
        change = partial(on_pane_settings, services, bench, place)
        on_any_change(controls, change, {bench.board, *controls}, [*pane.view.parts, pane.own])
        pane.remove.click(told(bench.message, on_remove, bench, place), bench.shown, outputs, **LIGHT)
    dropdowns = bench.controls("lora", "prefix", *(name for name, _ in SLOTS))
    again = [page.tab.select, *(pane.settings.expand for pane in bench.panes)]
    update = partial(on_open, services, bench)
    gr.on(again, update, bench.offered, [bench.message, bench.offered, *dropdowns], **LIGHT)
    chosen = [page.words, *bench.controls("attribute", "words")]
    take = partial(on_words, bench, page)
    page.tab.select(take, {*chosen}, [bench.message, *chosen], **LIGHT)


def on_any_change(controls: Sequence[Component], handler: Handler, inputs: Any, outputs: Any) -> None:
    """Call the handler when a control changes; of changes that come faster than it answers, for the last."""
    changes = [control.change for control in controls]  # type: ignore[attr-defined]
    gr.on(changes, handler, inputs, outputs, trigger_mode="always_last", **LIGHT)


# Handlers: values in, values out


def play(services: Services, bench: Bench, run: Callable[..., Iterator[Board]], values: Values) -> Iterator[Values]:
    """Run the engine and show its boards one after the other."""
    before = values[bench.board]
    with closed_at_end(run(services, read_bench(bench, values), before)) as boards:
        for board in boards:
            yield board_updates(services, bench, before, board)
            before = board


def on_stop(services: Services, bench: Bench, board: Board) -> Values:
    """Mark the running panes as stopped; the run itself has been cancelled by then."""
    return board_updates(services, bench, board, board.stop())


def on_sampling(bench: Bench, values: Values) -> Values:
    """The folded line of the shared settings. Raises UserError."""
    sampling, seed = from_json(Sampling, read_sampling(bench, values)), read_seed(values[bench.sampling.seed])
    line = common.sampling_line(sampling, seed, values[bench.sampling.mode] == common.CHAT)
    return {bench.folded: gr.update(label=line)}


def on_pane_settings(services: Services, bench: Bench, place: int, values: Values) -> Values:
    """The pane after a change of its settings; its text stays, is marked as old, and is not sent again."""
    pane, view = bench.panes[place], values[bench.board].panes.get(place)
    if view is not None and view.running:
        return {pane.view.head: gr.skip()}
    form = pane.read(values)
    own_words: Values = {pane.own: gr.update(visible=has_own_words(form))}
    try:
        method = read_method(form)
    except UserError as error:
        return own_words | {pane.view.note: message(str(error), is_error=True)}
    if view is None or not view.spans:
        return own_words | pane.view.values(PaneView(method), services)
    status = view.status if method == view.method else words.CHANGED
    updates = pane.view.values(view._replace(method=method, status=status, note="", is_error=False), services)
    del updates[pane.view.text]
    return own_words | updates


def on_example(services: Services, bench: Bench, example: words.Example, values: Values) -> Values:
    """The example's prompt and mode; its adapter and attribute in every pane that has one."""
    mode = common.CHAT if example.chat and services.engine.base.tokenizer.chat_template else common.PLAIN
    updates: Values = {bench.prompt: example.prompt, bench.sampling.mode: mode}
    wanted = {"lora": (example.lora, services.names("lora")), "attribute": (example.attribute, services.attributes)}
    for name, (choice, known) in wanted.items():
        for control in bench.controls(name):
            if choice in known and values[control] != common.NONE:
                updates[control] = choice
    return updates


def on_open(services: Services, bench: Bench, before: Choices) -> Values:
    """The choices that have changed since the page was built or last updated."""
    return {bench.offered: offered(services)} | offer(services, bench.panes, before)


def on_words(bench: Bench, page: Page, values: Values) -> Values:
    """The list that was sent, once, in every pane that has an attribute."""
    updates: Values = {page.words: ""}
    for controls in (pane.controls for pane in bench.panes if values[page.words]):
        if values[controls["attribute"]] != common.NONE:
            updates |= {controls["attribute"]: common.OWN_WORDS, controls["words"]: values[page.words]}
    return updates


def on_add(bench: Bench, shown: Sequence[int]) -> Values:
    """Show one more pane, the first hidden one."""
    hidden = [place for place in range(MAX_PANES) if place not in shown]
    return show_panes(bench, sorted([*shown, *hidden[:1]]))


def on_remove(bench: Bench, place: int, shown: Sequence[int]) -> Values:
    """Hide one pane. Raises UserError for the last one."""
    if list(shown) == [place]:
        raise UserError(words.LAST_PANE)
    return show_panes(bench, [other for other in shown if other != place])


def new_seed() -> int:
    """A seed that is easy to read and to type."""
    return random.randrange(10_000)


# Between components and data


def show_panes(bench: Bench, shown: Sequence[int]) -> Values:
    """The page with the panes at these places."""
    columns: Values = {pane.view.column: gr.update(visible=place in shown) for place, pane in enumerate(bench.panes)}
    return columns | {bench.shown: tuple(shown), bench.add: gr.update(interactive=len(shown) < MAX_PANES)}


def read_bench(bench: Bench, values: Values) -> Form:
    """The values of the tab's controls."""
    panes = {place: bench.panes[place].read(values) for place in values[bench.shown]}
    sampling, chat = read_sampling(bench, values), values[bench.sampling.mode] == common.CHAT
    return Form(values[bench.prompt], panes, sampling, values[bench.sampling.seed], chat)


def read_sampling(bench: Bench, values: Values) -> dict[str, Any]:
    return {name: values[component] for name, component in bench.sampling.fields.items()}


def board_updates(services: Services, bench: Bench, before: Board, board: Board) -> Values:
    """The values that changed from one board to the next."""
    updates: Values = {bench.board: board}
    if (board.message, board.is_error) != (before.message, before.is_error):
        updates[bench.message] = message(board.message, board.is_error)
    if board.running != before.running:
        updates[bench.generate] = gr.update(variant="secondary" if board.running else "primary")
        updates[bench.stop] = gr.update(variant="primary" if board.running else "secondary")
        updates[bench.parity] = gr.update(interactive=not board.running)
    if board.outcome is not before.outcome:
        finished = gr.update(interactive=board.outcome is not None)
        updates |= {bench.xray: finished, bench.share: finished, bench.link: gr.update(visible=False)}
    for place, view in board.panes.items():
        if view != (old := before.panes.get(place)):
            updates |= bench.panes[place].view.updates(old, view, services)
    for place in before.errors.keys() | board.errors.keys():
        view = board.panes.get(place, PaneView())
        note, is_error = board.errors.get(place, view.note), place in board.errors or view.is_error
        updates[bench.panes[place].view.note] = message(note, is_error)
    return updates
