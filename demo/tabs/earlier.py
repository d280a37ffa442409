"""The list of earlier runs: own ones, and those made on the command line.

Knows which component shows what; opening a run is the business of the tab around it.
"""

from typing import Any

import gradio as gr

from demo import text
from demo.links import owner_of
from demo.services import Services

COLUMNS = [text.MADE_AT, text.PROMPTS, text.METHODS, text.STATUS, text.MADE_BY, text.RUN_ID]


def earlier_table() -> gr.Dataframe:
    """The list, empty; its last column is the id."""
    return gr.Dataframe(
        headers=COLUMNS,
        datatype="str",
        interactive=False,
        show_search="filter",
        label=text.EARLIER,
        show_label=False,
        max_height=360,
        buttons=[],
        elem_classes=["quiet-table", "earlier"],
    )


def earlier_rows(services: Services, secret: Any) -> list[list[str]]:
    """The runs that this browser may open without a link, the newest first."""
    return [
        [
            text.moment(line.created),
            f"{line.name} ({line.num_prompts})",
            ", ".join(line.methods),
            text.STATUSES[line.status],
            text.COMMAND_LINE if line.owner is None else text.HERE,
            line.id,
        ]
        for line in services.database.runs(owner_of(secret))
    ]
