"""Files that a person saves: made when they are asked for and handed to the browser.

Knows bytes, names and the folder that Gradio serves and sweeps; knows nothing of what is in the files.
"""

import base64
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

SAVE = """(file) => {
  if (!file) return;
  const bytes = Uint8Array.from(atob(file.data), character => character.charCodeAt(0));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], {type: 'application/octet-stream'}));
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}"""

FETCH = """(file) => {
  if (!file) return;
  const link = document.createElement('a');
  link.href = file.url;
  link.download = file.orig_name;
  link.click();
}"""


def as_file(name: str, data: bytes) -> dict[str, str]:
    """A file as the browser's part expects it."""
    return {"name": name, "data": base64.b64encode(data).decode()}


def save_on_click(button: gr.Button, make: Callable[..., Any], inputs: Any, message: gr.HighlightedText) -> None:
    """Saves what `make` returns, (file or None, value of the message line), when the button is clicked."""
    file = gr.JSON(visible=False)
    made = button.click(make, inputs, [file, message], show_progress="hidden", api_visibility="private", queue=False)
    made.then(None, file, None, js=SAVE, show_progress="hidden", api_visibility="private", queue=False)


def hand_out_on_click(
    button: gr.Button, make: Callable[..., Any], inputs: Any, message: gr.HighlightedText, **turn: Any
) -> None:
    """Fetches the file that `make` writes, when the button is clicked: one too large to be sent as a value.

    `make` gets the folder to write into, which is swept, and the inputs; it returns (path or None, value of the message
    line).
    """
    file = gr.File(visible=False)
    made = button.click(
        partial(make, Path(file.GRADIO_CACHE)),
        inputs,
        [file, message],
        show_progress_on=message,
        api_visibility="private",
        **turn,
    )
    made.then(None, file, None, js=FETCH, show_progress="hidden", api_visibility="private", queue=False)
