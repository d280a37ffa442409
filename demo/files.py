"""Files that a person saves: made when they are asked for, handed to the browser, never written here.

Knows bytes and names; knows nothing of what is in them.
"""

import base64
from collections.abc import Callable
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


def as_file(name: str, data: bytes) -> dict[str, str]:
    """A file as the browser's part expects it."""
    return {"name": name, "data": base64.b64encode(data).decode()}


def save_on_click(button: gr.Button, make: Callable[..., Any], inputs: Any, message: gr.HighlightedText) -> None:
    """Saves what `make` returns, (file or None, value of the message line), when the button is clicked."""
    file = gr.JSON(visible=False)
    made = button.click(make, inputs, [file, message], show_progress="hidden", api_visibility="private", queue=False)
    made.then(None, file, None, js=SAVE, show_progress="hidden", api_visibility="private", queue=False)
