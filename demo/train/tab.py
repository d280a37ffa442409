"""The Train tab: a form in three steps, the training that is followed, the queue, and the adapters.

A training runs whether anybody looks or not, so the page asks for its progress by a timer and holds no thread. Of a
stranger's training only the name, the method and the position in the queue can be seen.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.decoding.visitors import TRAININGS
from adapters.methods import UserError
from adapters.training.queue import JobView
from demo.parts import words as common
from demo.parts.events import LIGHT, told
from demo.parts.links import is_own, owner_of
from demo.parts.marked import Values, edges, marked_text, message, message_line
from demo.parts.numbers import PROMPT, Span
from demo.parts.views import Page
from demo.services import Services
from demo.train import words
from demo.train.adapter_list import adapter_rows, adapters_section
from demo.train.figures import loss_curve
from demo.train.form import read_train
from demo.train.settings import FormPart, read_form, wire_form

TO_COMPARE = """() => [...document.querySelectorAll('[role="tab"]')].find(
  tab => tab.textContent.trim() === 'Compare')?.click()"""
PACE = 1.5  # seconds between two looks at the trainings
LIVE = ("waiting", "running")
QUEUE_LENGTH = 30  # trainings in the list
SAMPLES = 12  # newest sample texts that are shown


class Seen(NamedTuple):
    """The content of the page, so that only changes are sent."""

    queue: tuple[tuple[str, str], ...] | None = None  # line and id of each row
    job: tuple[Any, ...] | None = None
    adapters: tuple[str, ...] = ()


class SaysPart:
    """What a model says to the sample prompt."""

    def __init__(self, title: str) -> None:
        with gr.Column(min_width=240, visible=False, elem_classes="says") as self.column:
            self.head = gr.HTML()
            self.text = marked_text(title, "pane-text")

    def values(self, kind: str, title: str, prompt: str, text: str) -> Values:
        return {
            self.column: gr.update(visible=bool(prompt)),
            self.head: f"{edges([kind])}<h3>{title}</h3>",
            self.text: [(prompt, PROMPT), (text, None)] if text else [],
        }


class TrainPage:
    def __init__(self, services: Services, page: Page) -> None:
        with gr.Column(elem_classes="stack setup"):
            self.form = FormPart(services)
        with gr.Column(visible=False, elem_classes="stack training") as self.column:
            self.head = message_line(words.MESSAGE, "training-head")
            self.try_it = gr.Button(words.TRY, variant="primary", visible=False, elem_classes="try-it")
            self.bar = gr.HTML(elem_classes="bar")
            self.figures = message_line(words.MESSAGE, "estimate")
            with gr.Row(elem_classes="plots"):
                with gr.Column(min_width=280):
                    self.curve = gr.Plot(label=words.CURVE, show_label=False)
                self.base, self.now = SaysPart(words.BASE_SAYS), SaysPart(words.NOW_SAYS)
            with gr.Accordion(words.EARLIER, open=False, visible=False) as self.earlier:
                self.samples = marked_text(words.EARLIER, "pane-text")
        with gr.Column(visible=False, elem_classes="stack next-section") as self.queue_column:
            gr.HTML(words.QUEUE_HTML, elem_classes="section")
            self.queue = gr.Radio([], label=words.QUEUE, show_label=False, interactive=True, elem_classes="rows")
        self.adapters = adapters_section(services, page).rows
        self.followed, self.seen, self.timer = gr.State(None), gr.State(Seen()), gr.Timer(PACE)
        self.looked = [self.followed, self.seen, page.owner]  # what a look at the trainings reads
        says = [part for each in (self.base, self.now) for part in (each.column, each.head, each.text)]
        shown = [self.column, self.try_it, self.bar, self.head, self.figures, self.curve, *says, self.earlier]
        shown += [self.samples, self.queue, self.queue_column, self.adapters, self.followed, self.seen, self.timer]
        self.outputs = [self.form.message, self.form.start, self.form.stop, *shown]


def train_tab(services: Services, page: Page) -> None:
    train = TrainPage(services, page)
    form = train.form
    wire_form(services, form, page)
    begin, stop, chosen = (told(form.message, handler, services, train) for handler in (on_start, on_stop, on_follow))
    form.start.click(begin, {*form.inputs.values(), *train.looked}, train.outputs, **LIGHT)
    form.stop.click(stop, train.looked, train.outputs, **LIGHT)
    again = [page.blocks.load, page.tab.select, train.timer.tick]
    gr.on(again, partial(look, services, train), train.looked, train.outputs, **LIGHT)

    def on_select(seen: Seen, secret: Any, event: gr.SelectData) -> Values:
        return chosen(event.value, seen, secret)

    sent = form.message, page.adapter
    tried = train.try_it.click(told(form.message, on_try, services, page), train.followed, [*sent], **LIGHT)
    tried.then(None, None, None, js=TO_COMPARE, **LIGHT)
    train.queue.select(on_select, train.looked[1:], train.outputs, **LIGHT)


def on_start(services: Services, train: TrainPage, values: Values) -> Values:
    _, seen, secret = (values[component] for component in train.looked)
    if (owner := owner_of(secret)) is None:
        raise UserError(common.NO_OWNER)
    order, file = read_train(read_form(train.form, values))
    with services.allowance.spend(TRAININGS):
        id = services.trainer.start(order, file, owner)
    return follow(services, train, id, seen, secret)


def on_stop(services: Services, train: TrainPage, followed: Any, seen: Seen, secret: Any) -> Values:
    """Stop the training that is followed; its best weights so far become the adapter. Raises UserError."""
    if followed is None or (owner := owner_of(secret)) is None:
        raise UserError(words.NOTHING_TO_STOP)
    services.trainer.stop(find_own(services, followed, secret).id, owner)
    return look(services, train, followed, seen, secret)


def on_follow(services: Services, train: TrainPage, id: Any, seen: Seen, secret: Any) -> Values:
    """Follow a training of the list. Raises UserError where it is somebody else's."""
    return follow(services, train, find_own(services, id, secret).id, seen, secret)


def on_try(services: Services, page: Page, followed: Any) -> Values:
    """The adapter that was trained, for a pane of the Compare tab. Raises UserError where it is gone."""
    job = next((job for job in services.trainer.jobs() if job.id == followed), None)
    if job is None or services.adapter(job.order.name) is None:
        raise UserError(common.NO_SUCH_ADAPTER)
    return {page.adapter: (job.order.settings.kind, job.order.name)}


def follow(services: Services, train: TrainPage, id: str, seen: Seen, secret: Any) -> Values:
    return {train.followed: id} | look(services, train, id, seen, secret)


def look(services: Services, train: TrainPage, followed: Any, seen: Seen, secret: Any) -> Values:
    """The changes in trainings and adapters since the page last showed them."""
    jobs = services.trainer.jobs()
    own = newest_own(jobs, secret) if followed is None else followed
    listed, job = queue(jobs, secret), next((job for job in jobs if job.id == own), None)
    names = tuple(adapter.name for adapter in services.store.adapters)
    updates: Values = {train.seen: Seen(listed, signature(job), names)}
    if listed != seen.queue:
        updates[train.queue] = gr.update(choices=list(listed))
        updates[train.queue_column] = gr.update(visible=bool(listed))
        updates[train.timer] = gr.Timer(active=any(job.now.state in LIVE for job in jobs))
    if followed is None:
        updates[train.followed] = own
    if signature(job) != seen.job:
        updates |= job_updates(train, job)
    if names != seen.adapters:
        updates[train.adapters] = gr.update(choices=adapter_rows(services, secret))
    return updates


def job_updates(train: TrainPage, job: JobView | None) -> Values:
    if job is None:
        return {train.column: gr.update(visible=False), train.form.stop: gr.update(interactive=False)}
    live, texts = job.now.state in LIVE, {sample.step: sample.text for sample in job.now.samples}
    newest = max(texts, default=0)
    head = job.now.message if job.now.message.startswith(job.order.name) else f"{job.order.name}: {job.now.message}"
    now = words.NOW_SAYS + (f" ({words.SAMPLE_STEP.format(step=newest)})" if newest else "")
    prompt = job.order.sample_prompt
    return {
        train.column: gr.update(visible=True),
        train.head: message(head, job.now.state == "failed"),
        train.figures: message(words.figures_line(job)),
        train.try_it: gr.update(visible=job.now.adapter),
        train.bar: bar_html(job),
        train.curve: loss_curve(job.now.steps, job.now.total, job.order.settings.kind) if job.now.steps else None,
        **train.base.values("base", words.BASE_SAYS, prompt, texts.get(0, "")),
        **train.now.values(job.order.settings.kind, now, prompt, texts[newest] if newest else ""),
        train.earlier: gr.update(visible=len(texts) > 2),
        train.samples: sample_spans(job),
        train.form.stop: gr.update(interactive=live, variant="primary" if live else "secondary"),
        train.form.start: gr.update(variant="secondary" if live else "primary"),
    }


def bar_html(job: JobView) -> str:
    """The progress bar; empty once the training has ended."""
    if job.now.state not in LIVE:
        return ""
    return f'<progress value="{job.pace.done:.3f}" max="1" aria-label="{words.PROGRESS}"></progress>'


def queue(jobs: Sequence[JobView], secret: Any) -> tuple[tuple[str, str], ...]:
    """The list of trainings for this browser: every live one, and its own that have ended."""
    rows = []
    for job in [job for job in jobs if job.now.state in LIVE or is_own(job.owner, secret)][:QUEUE_LENGTH]:
        mine = is_own(job.owner, secret)
        whose, method = words.MINE if mine else words.SOMEBODY, words.METHOD_NAMES[job.order.settings.kind]
        rows.append((" · ".join([job.order.name, method, words.state_line(job, mine), whose]), job.id))
    return tuple(rows)


def find_own(services: Services, id: Any, secret: Any) -> JobView:
    job = next((job for job in services.trainer.jobs() if job.id == id), None)
    if job is None or not is_own(job.owner, secret):
        raise UserError(words.NOT_YOURS)
    return job


def newest_own(jobs: Sequence[JobView], secret: Any) -> str | None:
    """The id of this browser's running training, or else of its newest."""
    own = [job for job in jobs if is_own(job.owner, secret)]
    running = [job for job in own if job.now.state == "running"] or [job for job in own if job.now.state in LIVE]
    return next((job.id for job in [*running, *own]), None)


def signature(job: JobView | None) -> tuple[Any, ...]:
    """Changes whenever there is something new to show of a training."""
    if job is None:
        return ()
    now = job.now
    return job.id, now.state, job.place, now.message, now.steps[-1:], now.samples[-1:], round(job.pace.done, 2)


def sample_spans(job: JobView) -> list[Span]:
    """The sample texts before the newest, the last one first, each under its step."""
    spans: list[Span] = []
    for sample in reversed([sample for sample in job.now.samples if sample.step][-SAMPLES:-1]):
        end = "\n\n" if spans else ""
        spans.append((f"{end}{words.SAMPLE_STEP.format(step=sample.step)}\n", PROMPT))
        spans += [(job.order.sample_prompt, PROMPT), (sample.text, None)]
    return spans
