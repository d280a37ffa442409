"""What a tab gets of the page around it."""

from typing import NamedTuple

import gradio as gr


class Page(NamedTuple):
    """The whole page, the tab itself, the secret by which this browser knows its own runs and comparisons, and the list
    of words that the Attributes tab sends to the panes."""

    blocks: gr.Blocks
    tab: gr.Tab
    owner: gr.BrowserState
    words: gr.State
