"""The Compare tab: one prompt, and a pane for each method.

Knows which component feeds which handler; what the handlers do is in demo.compare.run, what a pane is in
demo.parts.panes.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr
from gradio.components import Component

from adapters.methods import Sampling, UserError, from_json
from demo.compare.api import compare_endpoint
from demo.compare.examples import EXAMPLES, Example
from demo.compare.form import SLOTS, Form, default_panes, first_shown, read_seed
from demo.compare.run import check_parity, compare
from demo.compare.settings import Offered, build_pane, offer, offered, read_pane, settings_updates
from demo.compare.shared import find_texts, lay_out_shared, on_share, wire_shared
from demo.parts import words as text
from demo.parts.actions import share_link
from demo.parts.board import MAX_PANES, Board
from demo.parts.controls import FIRST_SEED, labelled, lay_out_sampling
from demo.parts.events import LIGHT, MODEL
from demo.parts.panes import Pane, Values, message, message_line, pane_note, pane_updates
from demo.parts.running import closed_at_end
from demo.parts.views import Page
from demo.services import Services
from demo.xray import words as words_xray
from demo.xray.run import Text, texts_of_board
from demo.xray.tab import Source, xray_section

Run = Callable[[Services, Form, Board], Iterator[Board]]


class Bench(NamedTuple):
    """The components of the tab."""

    prompt: gr.Textbox
    generate: gr.Button
    stop: gr.Button
    message: gr.HighlightedText
    examples: tuple[gr.Button, ...]
    folded: gr.Accordion  # of the shared settings; its label says their values
    sampling: dict[str, Component]  # by field of Sampling
    mode: gr.Radio
    seed: gr.Number
    new_seed: gr.Button
    panes: tuple[Pane, ...]
    add: gr.Button
    parity: gr.Button
    xray: gr.Button
    share: gr.Button
    link: gr.Textbox
    shown: gr.State  # places of the panes on the page
    board: gr.State
    offered: gr.State  # the choices that the page has


def compare_tab(services: Services, page: Page) -> None:
    """The tab, and the public endpoint /compare."""
    with gr.Column(elem_classes="stack") as live:
        bench = lay_out(services)
    wire_runs(services, bench)
    wire_settings(services, bench)
    wire_panes(services, bench)
    wire_choices(services, bench, page)
    bench.share.click(partial(on_share, services), [bench.board, page.owner], [bench.link, bench.message], **LIGHT)
    shared = lay_out_shared(services)
    deleted = wire_shared(services, shared, live, page)
    source = Source([bench.xray, shared.xray], [bench.board, shared.id], partial(texts_on_page, services))
    with gr.Column(elem_classes="stack") as below:
        xray_section(services, source, page.blocks)
    deleted.then(lambda id: gr.update(visible=id is not None), shared.id, below, **LIGHT)
    gr.api(compare_endpoint(services), api_name="compare", **MODEL)


# What is where


def lay_out(services: Services) -> Bench:
    """Puts the components on the page, from top to bottom."""
    with gr.Row(elem_classes="top"):
        prompt = gr.Textbox(lines=2, max_lines=8, scale=5, elem_id="prompt", **labelled("prompt"))
        with gr.Column(min_width=150, elem_classes="run"):
            generate = gr.Button("Generate", variant="primary")
            stop = gr.Button("Stop")
    note = message_line("Message", "shared-note")
    with gr.Row(elem_classes="examples"):
        gr.HTML("Try", elem_classes="try")
        examples = tuple(gr.Button(example.title, size="sm", min_width=0, scale=0) for example in EXAMPLES)
    with gr.Row(elem_classes="shared"):
        with gr.Accordion(text.sampling_line(Sampling(), FIRST_SEED, False), open=False) as folded:
            sampling, mode, seed = lay_out_sampling(services)
        new_seed = gr.Button("New seed", size="sm", min_width=110, scale=0)
    forms = default_panes(services)
    first = first_shown(forms)
    with gr.Row(elem_classes="panes"):
        panes = tuple(build_pane(services, place, form, place in first) for place, form in enumerate(forms))
    with gr.Row(elem_classes="below"):
        add = gr.Button("Add a pane", size="sm", min_width=0, scale=0)
        parity = gr.Button("Check parity", size="sm", min_width=0, scale=0)
        xray = gr.Button(words_xray.XRAY, size="sm", min_width=0, scale=0, interactive=False)
        share = gr.Button(text.SHARE, size="sm", min_width=0, scale=0, interactive=False)
    link = share_link()
    gr.HTML(f"<p>{text.HELP}</p>", elem_classes="help")
    if services.store.refused:
        message_line("Adapters that are not offered", "help", text.refused(services))
    return Bench(
        prompt=prompt,
        generate=generate,
        stop=stop,
        message=note,
        examples=examples,
        folded=folded,
        sampling=sampling,
        mode=mode,
        seed=seed,
        new_seed=new_seed,
        panes=panes,
        add=add,
        parity=parity,
        xray=xray,
        share=share,
        link=link,
        shown=gr.State(first),
        board=gr.State(Board()),
        offered=gr.State(offered(services)),
    )


# Which event calls what


def wire_runs(services: Services, bench: Bench) -> None:
    """Generate, Stop and Check parity."""
    inputs = {bench.prompt, bench.mode, bench.seed, bench.shown, bench.board, *bench.sampling.values()}
    inputs |= {control for pane in bench.panes for control in pane.controls.values()}
    outputs = [bench.board, bench.message, bench.generate, bench.stop, bench.parity, bench.xray]
    outputs += [bench.share, bench.link]
    outputs += [component for pane in bench.panes for component in (pane.head, pane.text, pane.figures, pane.note)]
    options: dict[str, Any] = {
        "show_progress": "minimal",
        "show_progress_on": bench.message,
        "api_visibility": "private",
    }
    events = [
        gr.on(triggers, partial(play, services, bench, run), inputs, outputs, **options, **MODEL)
        for triggers, run in (
            ([bench.generate.click, bench.prompt.submit], compare),
            ([bench.parity.click], check_parity),
        )
    ]
    stopped = bench.stop.click(None, cancels=events)
    stopped.then(partial(on_stop, services, bench), bench.board, outputs, **LIGHT)


def wire_settings(services: Services, bench: Bench) -> None:
    """The shared settings, the seed, and the examples."""
    shared = {bench.mode, bench.seed, *bench.sampling.values()}
    gr.on(
        [component.change for component in shared],  # type: ignore[attr-defined]
        partial(on_sampling, bench),
        shared,
        [bench.folded, bench.message],
        trigger_mode="always_last",
        **LIGHT,
    )
    bench.new_seed.click(new_seed, None, bench.seed, **LIGHT)
    chosen = [pane.controls[name] for pane in bench.panes for name in ("lora", "attribute")]
    for button, example in zip(bench.examples, EXAMPLES, strict=True):
        use = partial(on_example, services, bench, example)
        button.click(use, set(chosen), [bench.prompt, bench.mode, *chosen], **LIGHT)


def wire_panes(services: Services, bench: Bench) -> None:
    """Each pane's settings, adding a pane and removing one."""
    columns = [pane.column for pane in bench.panes]
    outputs = [bench.shown, bench.message, bench.add, *columns]
    bench.add.click(partial(on_add, bench), bench.shown, outputs, **LIGHT)
    for place, pane in enumerate(bench.panes):
        controls = list(pane.controls.values())
        gr.on(
            [control.change for control in controls],  # type: ignore[attr-defined]
            partial(on_pane_settings, services, bench, place),
            {bench.board, *controls},
            [pane.head, pane.text, pane.figures, pane.note, pane.own],
            trigger_mode="always_last",
            **LIGHT,
        )
        pane.remove.click(partial(on_remove, bench, place), bench.shown, outputs, **LIGHT)


def wire_choices(services: Services, bench: Bench, page: Page) -> None:
    """What there is to choose, which changes while the app runs, and the list that is sent from the Attributes tab."""
    names = ["lora", "prefix", *(name for name, _ in SLOTS)]
    dropdowns = [pane.controls[name] for pane in bench.panes for name in names]
    again = [page.tab.select, *(pane.settings.expand for pane in bench.panes)]
    gr.on(again, partial(on_open, services, bench), bench.offered, [bench.offered, *dropdowns], **LIGHT)
    chosen = [pane.controls[name] for pane in bench.panes for name in ("attribute", "words")]
    page.tab.select(partial(on_words, bench, page), {page.words, *chosen}, [page.words, *chosen], **LIGHT)


# Handlers: values in, values out


def play(services: Services, bench: Bench, run: Run, values: Values) -> Iterator[Values]:
    """Runs the engine and shows its boards one after the other."""
    before = values[bench.board]
    with closed_at_end(run(services, read_bench(bench, values), before)) as boards:
        for board in boards:
            yield board_updates(services, bench, before, board)
            before = board


def on_stop(services: Services, bench: Bench, board: Board) -> Values:
    """Shows what was there as stopped; the run itself has been cancelled by then."""
    return board_updates(services, bench, board, board.stop())


def on_sampling(bench: Bench, values: Values) -> Values:
    """The folded line of the shared settings, or what is wrong with them."""
    try:
        sampling, seed = from_json(Sampling, read_sampling(bench, values)), read_seed(values[bench.seed])
    except UserError as error:
        return {bench.message: message(str(error), is_error=True)}
    line = text.sampling_line(sampling, seed, values[bench.mode] == text.CHAT)
    return {bench.folded: gr.update(label=line), bench.message: []}


def on_pane_settings(services: Services, bench: Bench, place: int, values: Values) -> Values:
    """What a pane shows after a change of its settings."""
    pane, view = bench.panes[place], values[bench.board].panes.get(place)
    if view is not None and view.running:
        return {pane.head: gr.skip()}
    return settings_updates(pane, read_pane(pane, values), view, services)


def on_example(services: Services, bench: Bench, example: Example, values: Values) -> Values:
    """The example's prompt and mode; its adapter and attribute wherever a pane has one already."""
    mode = text.CHAT if example.chat and services.has_chat else text.PLAIN
    updates: Values = {bench.prompt: example.prompt, bench.mode: mode}
    wanted = {"lora": (example.lora, services.names("lora")), "attribute": (example.attribute, services.attributes)}
    for pane in bench.panes:
        for name, (choice, known) in wanted.items():
            if choice in known and values[pane.controls[name]] != text.NONE:
                updates[pane.controls[name]] = choice
    return updates


def on_open(services: Services, bench: Bench, before: Offered) -> Values:
    """The choices that have changed since the page was built, or since they were last looked at."""
    return {bench.offered: offered(services)} | offer(services, bench.panes, before)


def on_words(bench: Bench, page: Page, values: Values) -> Values:
    """The list that was sent, once, wherever a pane has an attribute already."""
    updates: Values = {page.words: ""}
    for controls in (pane.controls for pane in bench.panes if values[page.words]):
        if values[controls["attribute"]] != text.NONE:
            updates |= {controls["attribute"]: text.OWN_WORDS, controls["words"]: values[page.words]}
    return updates


def on_add(bench: Bench, shown: Sequence[int]) -> Values:
    """One more pane, the first that is not on the page."""
    hidden = [place for place in range(MAX_PANES) if place not in shown]
    return show_panes(bench, sorted([*shown, *hidden[:1]]))


def on_remove(bench: Bench, place: int, shown: Sequence[int]) -> Values:
    """One pane less; the last one stays."""
    if list(shown) == [place]:
        return {bench.message: message(text.LAST_PANE, is_error=True)}
    return show_panes(bench, [other for other in shown if other != place])


def new_seed() -> int:
    """A seed that is easy to read and to type."""
    return random.randrange(10_000)


# Between components and data


def texts_on_page(services: Services, board: Board, id: Any) -> dict[int, Text]:
    """The texts of a shared comparison where one is open, else those that were written last."""
    return texts_of_board(board) if id is None else find_texts(services, id)


def show_panes(bench: Bench, shown: Sequence[int]) -> Values:
    """The page with the panes at these places."""
    columns: Values = {pane.column: gr.update(visible=place in shown) for place, pane in enumerate(bench.panes)}
    add = gr.update(interactive=len(shown) < MAX_PANES)
    return columns | {bench.shown: tuple(shown), bench.message: [], bench.add: add}


def read_bench(bench: Bench, values: Values) -> Form:
    """What the tab's controls say."""
    panes = {place: read_pane(bench.panes[place], values) for place in values[bench.shown]}
    sampling, chat = read_sampling(bench, values), values[bench.mode] == text.CHAT
    return Form(values[bench.prompt], panes, sampling, values[bench.seed], chat)


def read_sampling(bench: Bench, values: Values) -> dict[str, Any]:
    return {name: values[component] for name, component in bench.sampling.items()}


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
        updates[bench.xray] = gr.update(interactive=board.outcome is not None)
        updates[bench.share] = gr.update(interactive=board.outcome is not None)
        updates[bench.link] = gr.update(visible=False)
    for place, view in board.panes.items():
        if view != before.panes.get(place):
            updates |= pane_updates(bench.panes[place], view, services)
    for place in before.errors.keys() | board.errors.keys():
        updates[bench.panes[place].note] = pane_note(board, place)
    return updates
