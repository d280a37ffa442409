"""The Train tab: a form, the training that is followed with its curve and texts, the queue, and the adapters.

A training runs whether anybody looks or not, so the page asks for its progress by a timer and holds no thread.
"""

from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from adapters.training.queue import JobView
from demo.parts import words as common
from demo.parts.events import LIGHT, told
from demo.parts.links import owner_of
from demo.parts.marked import Values, marked_text, message, message_line
from demo.parts.tables import text_table
from demo.parts.views import Page, cell_of
from demo.services import Services
from demo.train import words
from demo.train.adapter_list import adapters_section
from demo.train.cards import adapter_rows
from demo.train.figures import loss_curve
from demo.train.form import read_train
from demo.train.queue_view import LIVE, Queue, find_own, kind_of, newest_own, queue, sample_spans, signature
from demo.train.settings import FormPart, lay_out_form, read_form, wire_form

PACE = 1.5  # seconds between two looks at the trainings


class Seen(NamedTuple):
    """The content of the page, so that only changes are sent."""

    queue: Queue | None = None
    job: tuple[Any, ...] | None = None
    adapters: tuple[str, ...] = ()


class TrainPage(NamedTuple):
    """The components; `followed` is the id of the training that is shown, `adapters` the list of adapters."""

    form: FormPart
    column: gr.Column
    bar: gr.HTML
    head: gr.HighlightedText
    figures: gr.HighlightedText
    curve: gr.Plot
    samples: gr.HighlightedText
    queue: gr.Dataframe
    queue_column: gr.Column
    adapters: gr.Dataframe
    owner: gr.BrowserState
    followed: gr.State
    seen: gr.State
    timer: gr.Timer

    @property
    def outputs(self) -> list[Any]:
        """Everything that a look at the trainings changes."""
        shown = [self.column, self.bar, self.head, self.figures, self.curve, self.samples]
        shown += [self.queue, self.queue_column, self.adapters]
        form = [self.form.message, self.form.start, self.form.stop]
        return [*shown, *form, self.followed, self.seen, self.timer]


def train_tab(services: Services, page: Page) -> None:
    """The tab."""
    train = lay_out(services, page)
    wire_form(services, train.form, page)
    wire_trainings(services, train, page)


def lay_out(services: Services, page: Page) -> TrainPage:
    """The components, from top to bottom."""
    with gr.Column(elem_classes="stack setup"):
        form = lay_out_form(services)
    with gr.Column(visible=False, elem_classes="stack training") as column:
        head = message_line(words.MESSAGE, "training-head")
        bar = gr.HTML(elem_classes="bar")
        figures = message_line(words.MESSAGE, "estimate")
        with gr.Row(elem_classes="plots"):
            with gr.Column(min_width=280):
                curve = gr.Plot(label=words.CURVE, show_label=False)
            with gr.Column(min_width=280, elem_classes="pane samples"):
                samples = marked_text(words.SAMPLES, "pane-text")
    with gr.Column(visible=False, elem_classes="stack next-section") as queue_column:
        gr.HTML(words.QUEUE_HTML, elem_classes="section")
        listed = text_table(words.QUEUE, words.QUEUE_COLUMNS, None, "earlier", max_height=300)
    adapters = adapters_section(services, page)
    states = gr.State(None), gr.State(Seen()), gr.Timer(PACE)
    shown = form, column, bar, head, figures, curve, samples, listed, queue_column, adapters.rows
    return TrainPage(*shown, page.owner, *states)


def wire_trainings(services: Services, train: TrainPage, page: Page) -> None:
    """Start, Stop, the choice of a training, and the looks at their progress."""
    form, looked = train.form, [train.followed, train.seen, train.owner]
    begin = partial(on_start, services, train)
    form.start.click(begin, {*form.inputs, *looked}, train.outputs, **LIGHT)
    form.stop.click(partial(on_stop, services, train), looked, train.outputs, **LIGHT)
    again = [page.blocks.load, page.tab.select, train.timer.tick]
    gr.on(again, partial(look, services, train), looked, train.outputs, **LIGHT)

    chosen = told(form.message, on_follow, services, train)

    def on_select(seen: Seen, secret: Any, event: gr.SelectData) -> Values:
        return chosen(cell_of(event, -1), seen, secret)

    train.queue.select(on_select, [train.seen, train.owner], train.outputs, **LIGHT)


# Handlers: values in, values out


def on_start(services: Services, train: TrainPage, values: Values) -> Values:
    """Queue a training and follow it; a refusal is one line."""
    secret = values[train.owner]
    try:
        if (owner := owner_of(secret)) is None:
            raise UserError(common.NO_OWNER)
        order, file = read_train(read_form(train.form, values))
        id = services.trainer.start(order, file, owner)
    except UserError as error:
        return {train.form.message: message(str(error), is_error=True)}
    return {train.form.message: []} | follow(services, train, id, values[train.seen], secret)


def on_stop(services: Services, train: TrainPage, followed: Any, seen: Seen, secret: Any) -> Values:
    """Stop the training that is followed; its best weights so far become the adapter."""
    try:
        if followed is None or (owner := owner_of(secret)) is None:
            raise UserError(words.NOTHING_TO_STOP)
        services.trainer.stop(find_own(services, followed, secret).id, owner)
    except UserError as error:
        return {train.form.message: message(str(error), is_error=True)}
    return {train.form.message: []} | look(services, train, followed, seen, secret)


def on_follow(services: Services, train: TrainPage, id: Any, seen: Seen, secret: Any) -> Values:
    """Follow a training of the list. Raises UserError where it is somebody else's."""
    return follow(services, train, find_own(services, id, secret).id, seen, secret)


def follow(services: Services, train: TrainPage, id: str, seen: Seen, secret: Any) -> Values:
    """The page with this training."""
    return {train.followed: id} | look(services, train, id, seen, secret)


def look(services: Services, train: TrainPage, followed: Any, seen: Seen, secret: Any) -> Values:
    """The changes in trainings and adapters since the page last showed them."""
    jobs = services.trainer.jobs()
    own = newest_own(jobs, secret) if followed is None else followed
    listed, job = queue(jobs, secret), next((job for job in jobs if job.id == own), None)
    names = tuple(adapter.name for adapter in services.store.adapters)
    updates: Values = {train.seen: Seen(listed, signature(job), names)}
    if listed != seen.queue:
        updates[train.queue] = [list(row) for row in listed.rows]
        updates[train.queue_column] = gr.update(visible=bool(listed.rows))
        updates[train.timer] = gr.Timer(active=listed.live)
    if followed is None:
        updates[train.followed] = own
    if signature(job) != seen.job:
        updates |= job_updates(train, job)
    if names != seen.adapters:
        updates[train.adapters] = adapter_rows(services, secret)
    return updates


# Between components and data


def job_updates(train: TrainPage, job: JobView | None) -> Values:
    """The updates for the training that is followed."""
    if job is None:
        return {train.column: gr.update(visible=False), train.form.stop: gr.update(interactive=False)}
    live = job.state in LIVE
    return {
        train.column: gr.update(visible=True),
        train.head: message(": ".join(filter(None, [job.order.name, job.message])), job.state == "failed"),
        train.figures: message(words.figures_line(job)),
        train.bar: bar_html(job),
        train.curve: loss_curve(job.steps, job.total, kind_of(job)) if job.steps else None,
        train.samples: sample_spans(job),
        train.form.stop: gr.update(interactive=live, variant="primary" if live else "secondary"),
        train.form.start: gr.update(variant="secondary" if live else "primary"),
    }


def bar_html(job: JobView) -> str:
    """The progress bar; empty once the training has ended."""
    if job.state not in LIVE:
        return ""
    done = job.steps[-1].step if job.steps else 0
    return f'<progress value="{done}" max="{max(1, job.total)}" aria-label="{words.PROGRESS}"></progress>'
