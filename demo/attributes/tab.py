"""The Attributes tab: lists of words and how they are split; below them the discriminators."""

from typing import Any

import gradio as gr

from adapters.pplm.bags import split_words
from adapters.pplm.word_list import as_text, parse_words
from demo.attributes import words
from demo.attributes.discriminators import discriminators_section
from demo.parts import words as common
from demo.parts.controls import labelled
from demo.parts.events import LIGHT, told
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.tables import text_table
from demo.parts.views import Page
from demo.parts.word_table import list_text, read_upload, summary, table
from demo.services import Services


class Lists:
    """A list of words and its table."""

    def __init__(self, services: Services) -> None:
        gr.HTML(words.LISTS_HTML, elem_classes="section")
        names = [common.OWN_WORDS, *services.attributes]
        first = names[1] if len(names) > 1 else common.OWN_WORDS
        typed = as_text(services.attributes.get(first, ()))
        with gr.Row(elem_classes="bring"):
            self.chosen = gr.Dropdown(names, value=first, allow_custom_value=True, min_width=200, **labelled("list"))
            self.words = gr.Textbox(typed, lines=2, max_lines=6, scale=3, min_width=260, **labelled("list_words"))
            with gr.Column(min_width=150, elem_classes="run"):
                self.upload = gr.UploadButton(common.UPLOAD_LIST, size="sm")
                self.send = gr.Button(words.SEND_WORDS, size="sm")
        self.message = message_line(words.SPLITS, "shared-note")
        self.table = text_table(words.SPLITS, words.COLUMNS, [180, 110, 240, 90, 600])


def attributes_tab(services: Services, page: Page) -> None:
    with gr.Column(elem_classes="stack"):
        lists = Lists(services)
        discriminators_section(services, page)
    show = told(lists.message, show_list, services, lists)
    shown: list[Any] = [lists.message, lists.table]
    gr.on([page.blocks.load, lists.words.change], show, lists.words, shown, trigger_mode="always_last", **LIGHT)
    fill = told(lists.message, fill_list, services, lists)
    lists.chosen.input(fill, lists.chosen, [lists.words, lists.message], **LIGHT)
    lists.words.input(lambda: common.OWN_WORDS, None, lists.chosen, **LIGHT)
    lists.upload.upload(take_file, lists.upload, [lists.chosen, lists.words, lists.message], **LIGHT)
    lists.send.click(send_list, lists.words, [page.words, lists.message], **LIGHT)


def show_list(services: Services, lists: Lists, typed: Any) -> Values:
    """The table of a list. Raises UserError."""
    if not str(typed or "").strip():
        return {lists.table: []}
    splits = split_words(services.engine.base.tokenizer, parse_words(str(typed)))
    return {lists.table: table(splits), lists.message: message(summary(splits))}


def fill_list(services: Services, lists: Lists, name: Any) -> Values:
    """The words of a shipped list in the box, where they can be changed. Raises UserError."""
    return {lists.words: "" if name == common.OWN_WORDS else list_text(services, name)}


def take_file(path: Any) -> tuple[str, str, Marked]:
    """The words of an uploaded list in the box. Raises UserError."""
    return common.OWN_WORDS, as_text(read_upload(path)), []


def send_list(typed: Any) -> tuple[str, Marked]:
    """The list for the panes of the Compare tab. Raises UserError."""
    return as_text(parse_words(str(typed or ""))), message(words.WORDS_SENT)
