"""The Steer tab: topics, classifiers, and how hard to steer.

A topic is a word list, with what the model can do with each word, and a live try.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError, from_json, weighted_word
from adapters.pplm.bags import WordSplit, split_words
from adapters.pplm.word_list import as_text, parse_words
from demo.parts import words as common
from demo.parts.actions import wire_work, work_buttons
from demo.parts.controls import FIRST_SEED, controls, labelled, slider
from demo.parts.events import LIGHT, MODEL, told
from demo.parts.links import owner_of
from demo.parts.marked import Marked, Values, edges, highlighted, marked_text, message, message_line
from demo.parts.numbers import TOPICS, departure, marker, spans
from demo.parts.running import begin, closed_at_end, only
from demo.parts.tables import text_table
from demo.parts.uploads import read_prompt, read_upload
from demo.parts.views import Page
from demo.services import Services
from demo.steer import words
from demo.steer.discriminators import discriminators_section
from demo.steer.strength import FIRST_STRENGTH, stored_goals, strength_section, text_at

FIRST = "space"  # the topic at the beginning
PANES = ((words.WITHOUT, "base"), (words.WITH, "pplm"))
MAX_CHIPS = 300
MAX_PROMPT = 2_000  # characters
SAMPLING = Sampling(max_new_tokens=30)
CHIPS = {words.NOW: "#d55e00", words.LATER: "#d55e01", words.UNUSED: "#d55e02"}  # the style sheet tells them apart
control = partial(labelled, of=controls("topics"))


class Topics:
    """A list with its words at the left, the live try at the right."""

    def __init__(self, services: Services) -> None:
        gr.HTML(words.TOPICS_HTML, elem_classes="section")
        with gr.Row(elem_classes="plots"):
            with gr.Column(min_width=320, elem_classes="stack"):
                self.lay_out_list(services)
            with gr.Column(min_width=320, elem_classes="stack"):
                self.lay_out_try(services)
        with gr.Accordion(words.DETAILS, open=False):
            self.table = text_table(words.DETAILS, words.COLUMNS, [180, 150, 240, 90, 600])
            gr.HTML(f"<p>{words.SPLITS_HELP}</p>", elem_classes="help")

    def lay_out_list(self, services: Services) -> None:
        names = list(services.attributes)
        choices = [(words.readable(name), name) for name in names]
        first = next((name for name in (FIRST, *names) if name in names), common.OWN_WORDS)
        labels = control("topic") | {"info": words.SEARCH.format(topics=len(names))}
        own = (common.OWN_WORDS.capitalize(), common.OWN_WORDS)
        self.chosen = gr.Dropdown([own, *choices], value=first, allow_custom_value=True, **labels)
        text = as_text(services.attributes.get(first, ()))
        self.words = gr.Textbox(text, lines=2, max_lines=4, **control("words"))
        with gr.Row(elem_classes="below"):
            self.send = gr.Button(words.SEND_WORDS, size="sm", min_width=0, scale=0)
            self.upload = gr.UploadButton(common.UPLOAD_LIST, size="sm", min_width=0, scale=0)
        self.message = message_line(words.DETAILS, "shared-note")
        self.chips = highlighted(None, words.DETAILS, CHIPS, ["chips"])
        gr.HTML(words.CHIPS_KEY_HTML, elem_classes="help")

    def lay_out_try(self, services: Services) -> None:
        gr.HTML(words.TRY_HTML, elem_classes="figure-title")
        self.prompt = gr.Textbox(words.PROMPT, max_lines=1, **control("prompt"))
        self.strength = slider(FIRST_STRENGTH, (0, 100, 1), **control("strength"))
        self.work = work_buttons(words.TRY, words.TRY, "step-line")
        stored = stored_try(services, self.chosen.value)
        with gr.Row(elem_classes="pair"):
            self.texts = [try_pane(name, kind, text) for (name, kind), text in zip(PANES, stored, strict=True)]


def try_pane(name: str, kind: str, text: Marked) -> gr.HighlightedText:
    with gr.Column(elem_classes="pane", min_width=220):
        gr.HTML(f"{edges([kind])}<h2>{name}</h2>", elem_classes="pane-head")
        return marked_text(f"{name}: text", "pane-text", text)


def stored_try(services: Services, name: Any) -> tuple[Marked, Marked]:
    """The stored texts of the first prompt without and with steering; a line where there are none."""
    goal = next((goal for goal in stored_goals(services) if goal.steered and goal.steered.attributes == (name,)), None)
    if goal is None:
        return message(words.NO_TRY), message(words.NO_TRY)
    return text_at(services, goal, 0), text_at(services, goal, FIRST_STRENGTH)


def steer_tab(services: Services, page: Page) -> None:
    with gr.Column(elem_classes="stack"):
        topics_section(services, page)
        discriminators_section(services, page)
        strength_section(services, page)


def topics_section(services: Services, page: Page) -> None:
    topics = Topics(services)
    show = told(topics.message, show_list, services, topics)
    shown: list[Any] = [topics.message, topics.chips, topics.table]
    gr.on([page.blocks.load, topics.words.change], show, topics.words, shown, trigger_mode="always_last", **LIGHT)
    fill = told(topics.message, fill_list, services, topics)
    topics.chosen.input(fill, topics.chosen, [topics.words, topics.message], **LIGHT)
    topics.words.input(lambda: common.OWN_WORDS, None, topics.chosen, **LIGHT)
    topics.upload.upload(take_file, topics.upload, [topics.chosen, topics.words, topics.message], **LIGHT)
    chosen = [topics.chosen, topics.words]
    topics.send.click(partial(send_list, services), chosen, [page.words, topics.message], **LIGHT)
    steps = partial(try_topic, services, topics)
    inputs = [*chosen, topics.prompt, topics.strength, page.owner]
    wire_work(topics.work, steps, inputs, MODEL, words.TRY_STOPPED, topics.texts, [topics.prompt.submit])


def show_list(services: Services, topics: Topics, typed: Any) -> Values:
    """What the model can do with each word of a list. Raises UserError."""
    if not str(typed or "").strip():
        return {topics.chips: [], topics.table: []}
    splits = split_words(services.engine.base.tokenizer, parse_words(str(typed)))
    kinds = [words.kind(split) for split in splits]
    line, is_error = words.list_line(kinds), False
    if words.NOW not in kinds:
        line, is_error = words.NO_USABLE_WORD, True
    return {
        topics.chips: chips(splits),
        topics.table: [table_row(split) for split in splits],
        topics.message: message(line, is_error),
    }


def chips(splits: Sequence[WordSplit]) -> Marked:
    """The words with their kinds, those that steer first."""
    order = list(CHIPS)
    ordered = sorted(splits, key=lambda split: order.index(words.kind(split)))
    found: Marked = [(split.word, words.kind(split)) for split in ordered[:MAX_CHIPS]]
    more = len(splits) - len(found)
    return found + ([(words.MORE_WORDS.format(more=more), None)] if more else [])


def table_row(split: WordSplit) -> list[str]:
    pieces = [piece.replace(" ", "·") if place else piece.strip() for place, piece in enumerate(split.pieces)]
    return [split.word, words.kind(split), " | ".join(pieces), f"{split.weight:g}", split.problem]


def fill_list(services: Services, topics: Topics, name: Any) -> Values:
    """The words of a shipped list in the box, where they can be changed. Raises UserError."""
    if name == common.OWN_WORDS:
        return {topics.words: ""}
    if not isinstance(name, str) or name not in services.attributes:
        raise UserError(common.NO_SUCH_LIST)
    return {topics.words: as_text(services.attributes[name])}


def take_file(path: Any) -> tuple[str, str, Marked]:
    return common.OWN_WORDS, as_text(read_upload(path)), []


def topic(services: Services, chosen: Any, typed: Any) -> Attribute:
    """The shipped list, if the box holds its words as they are; else own words. Raises UserError."""
    if isinstance(chosen, str) and typed == as_text(services.attributes.get(chosen, ())):
        return Attribute(chosen)
    return from_json(Attribute, {"name": common.OWN_WORDS, "words": parse_words(str(typed or ""))})


def send_list(services: Services, chosen: Any, typed: Any) -> tuple[tuple[str, str], Marked]:
    """A topic for the panes of Compare: its name, and the words if they are own ones. Raises UserError."""
    found = topic(services, chosen, typed)
    name = common.OWN_WORDS if found.words else words.readable(found.name)
    return (found.name, as_text(found.words)), message(words.WORDS_SENT.format(name=name))


def try_topic(
    services: Services, topics: Topics, chosen: Any, typed: Any, prompt: Any, strength: Any, secret: Any
) -> Iterator[Values]:
    """Write a text without and a text with steering, side by side. Raises UserError."""
    prompt, aim = read_prompt(prompt, MAX_PROMPT), topic(services, chosen, typed)
    steering = from_json(PPLM, {"attributes": (aim,), "strength": strength})
    marked = marker({aim.name: [weighted_word(word)[0] for word in aim.words or services.attributes[aim.name]]})
    requests = [Request(prompt, method, FIRST_SEED) for method in (BASE, Method("try", steering=steering))]
    texts = begin(services, services.engine.generate, requests, SAMPLING)
    with closed_at_end(only(services, owner_of(secret), texts)) as steps:
        for rows in steps:
            base, steered = (row.text for row in rows)
            written = [spans(prompt, base, marked), spans(prompt, steered, marked, departure(steered, base))]
            done = min(len(row.token_ids) for row in rows)
            line = words.TRYING.format(tokens=done, most=SAMPLING.max_new_tokens)
            yield {topics.work.message: message(line)} | dict(zip(topics.texts, written, strict=True))
    counts = [sum((mark or "").startswith(TOPICS[0]) for _, mark in text) for text in written]
    yield {topics.work.message: message(words.TRIED.format(base=counts[0], steered=counts[1], seed=FIRST_SEED))}
