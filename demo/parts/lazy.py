"""Parts of the page that are built in the browser when they are first wanted: what nobody opens costs nobody time.

Knows when; knows nothing of what is built. What is built is told to fill itself by the `load` of the whole page, which
Gradio sends once more to the new parts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import gradio as gr

from demo.parts.events import LIGHT


def build_at_first(events: Sequence[Any], build: Callable[[], None]) -> None:
    """Calls `build`, where this stands on the page, at the first of the events, in each browser."""
    wanted = gr.State(False)
    # Gradio tells of a changed state, and draws, only through the queue.
    gr.on(events, lambda: True, None, wanted, **LIGHT | {"queue": True})

    @gr.render(triggers=[wanted.change], show_progress="hidden")
    def parts() -> None:
        build()
