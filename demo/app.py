"""The whole page: title, tabs, look, and how it is served.

Knows which tabs there are; a new one is a file in demo/tabs and a line in TABS.
"""

from collections.abc import Callable

import gradio as gr

from demo import text
from demo.services import Services
from demo.tabs.compare import compare_tab
from demo.theme import FAVICON, STYLE_SHEET, theme

TABS: dict[str, Callable[[Services], None]] = {"Compare": compare_tab}
QUEUE_SIZE = 32  # events that may wait; whoever comes later is told that the app is busy
MAX_UPLOAD = "5mb"
# Screen readers say a message when it appears.
ANNOUNCE = "() => document.querySelectorAll('.message').forEach(line => line.setAttribute('role', 'status'))"
SWEEP = (3600, 3600)  # every hour, what is older than an hour
SESSIONS = 200  # visitors whose panes are remembered


def build_app(services: Services) -> gr.Blocks:
    """The page for these services."""
    with gr.Blocks(title=text.TITLE, analytics_enabled=False, fill_width=True, delete_cache=SWEEP) as blocks:
        gr.HTML(f"<h1>{text.TITLE}</h1><p>{text.PURPOSE}</p>", elem_classes="masthead")
        with gr.Tabs():
            for name, build in TABS.items():
                with gr.Tab(name):
                    build(services)
    return blocks.queue(api_open=False, max_size=QUEUE_SIZE)


def start(blocks: gr.Blocks, host: str, port: int) -> str:
    """Serves the page in the background and returns its address; raises OSError if the port is taken."""
    _, address, _ = blocks.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css_paths=STYLE_SHEET,
        js=ANNOUNCE,
        favicon_path=FAVICON,
        footer_links=["api"],
        run_history=False,
        enable_monitoring=False,
        max_file_size=MAX_UPLOAD,
        state_session_capacity=SESSIONS,
        share=False,
        ssr_mode=False,
        show_error=False,
        quiet=True,
        prevent_thread_lock=True,
    )
    return address


def launch(blocks: gr.Blocks, host: str, port: int) -> None:
    """Serves the page and prints its address; returns when it is interrupted. Raises OSError if the port is taken."""
    print(f"{text.TITLE} is at {start(blocks, host, port)}", flush=True)
    blocks.block_thread()
