"""How events of the page are run.

Knows Gradio's options; knows nothing of what an event does.
"""

from typing import Any

# Light work. Without a place to show progress the browser need not go through all components for each output.
LIGHT: dict[str, Any] = {
    "show_progress": "hidden",
    "show_progress_on": [],
    "api_visibility": "private",
    "queue": False,
}
MODEL: dict[str, Any] = {"concurrency_id": "model", "concurrency_limit": 1}  # one at a time, whoever asks
