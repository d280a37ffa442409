"""The components of the Compare tab from top to bottom, and the values that go between them and the data."""

from typing import Any

import gradio as gr
from gradio.blocks import Block
from gradio.components import Component

from demo.compare import words
from demo.compare.board import Board, PaneView
from demo.compare.drawer import Drawer
from demo.compare.examples import EXAMPLES, Example, opening
from demo.compare.figures import figures_html, legend_html
from demo.compare.form import Form, PaneForm, read_method
from demo.compare.panes import Pane, offered
from demo.parts import words as common
from demo.parts.actions import share_link, small_button
from demo.parts.controls import FIRST_SAMPLING, labelled, lay_out_sampling
from demo.parts.marked import MAX_PANES, Values, message, message_line
from demo.parts.tables import text_table
from demo.services import Services
from demo.xray.words import XRAY


class Bench:
    """The components, with the first example in them where its texts ship for this base model."""

    def __init__(self, services: Services) -> None:
        first = opening(services)
        board, shown = first.board, first.shown
        with gr.Row(elem_classes="top"):
            self.prompt = gr.Textbox(
                first.prompt, lines=1, max_lines=8, scale=5, elem_id="prompt", **labelled("prompt")
            )
            with gr.Row(elem_classes="run"):
                run = words.RUN if board.record is None else words.RUN_AGAIN
                self.run = gr.Button(run, variant="primary", min_width=90)
                self.stop = gr.Button(words.stop_label(None), visible=False, min_width=90)
                self.shuffle = gr.Button(words.SHUFFLE, min_width=60)
        self.message = message_line("Message", "shared-note")
        self.quota = gr.HTML(visible=services.engine.far is not None, elem_classes="look")  # of a GPU that is lent
        with gr.Row(elem_classes="examples"):
            gr.HTML("Try", elem_classes="try")
            self.examples = [small_button(one.title, variant=variant(one is first.example)) for one in EXAMPLES]
        self.look = gr.HTML(look_html(first.example), elem_classes="look")
        with gr.Row(elem_classes="panes"):
            views = [board.panes.get(place, PaneView(read_method(form))) for place, form in enumerate(first.forms)]
            self.panes = [
                Pane(services, place, form, view, place in shown)
                for place, (form, view) in enumerate(zip(first.forms, views, strict=True))
            ]
        self.legend = gr.HTML(legend_html(board), elem_classes="legend")
        self.figures = gr.HTML(figures_html(board), elem_classes="figures")
        with gr.Row(elem_classes="below"):
            kept = board.record is not None
            self.parity = small_button(words.PARITY)
            self.xray = small_button(XRAY, interactive=kept, elem_classes="xray-button")
            self.share, self.add = small_button(common.SHARE, interactive=kept), small_button(words.ADD)
            self.title = gr.Textbox(placeholder="Title for the link", elem_classes="title", **labelled("title"))
        self.link = share_link()
        line = words.SETTINGS.format(line=common.sampling_line(FIRST_SAMPLING, first.seed, first.chat))
        with gr.Accordion(line, open=False, elem_classes="drawer") as self.settings, gr.Tabs():
            with gr.Tab(words.SETTINGS_OF_ALL):
                self.sampling = lay_out_sampling(services, first.seed, first.chat)
            with gr.Tab(words.SETTINGS_OF_ONE):
                self.drawer = Drawer(services, first.forms, shown)
        with gr.Accordion(words.KEPT, open=False, elem_classes="drawer") as self.kept_fold:
            headers = [words.KEPT_WHEN, words.KEPT_NAME]
            self.kept = text_table(words.KEPT, headers, [150, "100%"], "earlier")
        if refused := services.store.refused:
            lines = "\n".join(f"Not offered: {name}. {reason}" for name, reason in refused.items())
            message_line("Adapters that are not offered", "help", lines)
        self.opened = gr.JSON(visible=False)  # the address of the kept comparison that was clicked
        self.shown = gr.State(shown)  # places of the panes on the page
        self.board = gr.State(board)
        self.offered = gr.State(offered(services))  # the choices that the page has
        self.shared = [self.sampling.mode, self.sampling.seed, *self.sampling.fields.values()]

    def controls(self, *names: str) -> list[Component]:
        return [pane.controls[name] for pane in self.panes for name in names]

    @property
    def inputs(self) -> set[Block]:
        """What a run reads."""
        return {self.prompt, self.board, *self.shared, *self.pane_inputs}

    @property
    def pane_inputs(self) -> set[Block]:
        """What says how every pane is set."""
        first = (control for pane in self.panes for control in pane.controls.values())
        return {self.shown, self.drawer.forms, self.drawer.place, *self.drawer.inputs, *first}

    @property
    def outputs(self) -> list[Any]:
        """What a board changes."""
        parts = [part for pane in self.panes for part in pane.view.parts]
        buttons = [self.run, self.stop, self.parity, self.xray, self.share, self.link]
        return [self.board, self.message, *buttons, self.look, self.legend, self.figures, *parts]

    def read(self, values: Values) -> Form:
        panes = {place: self.read_pane(values, place) for place in values[self.shown]}
        sampling, chat = self.read_sampling(values), values[self.sampling.mode] == common.CHAT
        return Form(values[self.prompt], panes, sampling, values[self.sampling.seed], chat)

    def read_pane(self, values: Values, place: int) -> PaneForm:
        """The values of one pane's controls, in it and in the drawer."""
        first = {name: values[component] for name, component in self.panes[place].controls.items()}
        return self.drawer.read(values, place, first)

    def read_panes(self, values: Values) -> list[PaneForm]:
        return [self.read_pane(values, pane.place) for pane in self.panes]

    def read_sampling(self, values: Values) -> dict[str, Any]:
        return {name: values[component] for name, component in self.sampling.fields.items()}

    def show_panes(self, shown: Any) -> Values:
        columns: Values = {pane.view.column: gr.update(visible=pane.place in shown) for pane in self.panes}
        return columns | {self.shown: tuple(shown), self.add: gr.update(interactive=len(shown) < MAX_PANES)}

    def updates(self, services: Services, before: Board, board: Board) -> Values:
        """The values that changed from one board to the next."""
        stop = gr.update(value=words.stop_label(board.seconds_left), visible=board.running)
        updates: Values = {self.board: board, self.stop: stop}
        if (board.message, board.is_error) != (before.message, before.is_error):
            updates[self.message] = message(board.message, board.is_error)
        if not (before.running and board.running):
            run = words.RUN if board.record is None else words.RUN_AGAIN
            updates[self.run] = gr.update(value=run, visible=not board.running)
            updates[self.parity] = gr.update(interactive=not board.running)
        if board.record is not before.record:
            finished = gr.update(interactive=board.record is not None)
            updates |= {self.xray: finished, self.share: finished, self.link: gr.update(visible=False)}
        for name, make in ((self.figures, figures_html), (self.legend, legend_html)):
            if (made := make(board)) != make(before):
                updates[name] = made
        for place, view in board.panes.items():
            if view != (old := before.panes.get(place)):
                updates |= self.panes[place].view.updates(old, view, services)
        for place in before.errors.keys() | board.errors.keys():
            view = board.panes.get(place, PaneView())
            note, is_error = board.errors.get(place, view.note), place in board.errors or view.is_error
            updates[self.panes[place].view.note] = message(note, is_error)
        return updates


def look_html(example: Example | None) -> str:
    return f"<p>{example.look if example else ''}</p>"


def variant(chosen: bool) -> str:
    return "primary" if chosen else "secondary"
