"""The list of earlier runs: own ones, and those made on the command line.

Knows which component shows what; opening a run is the business of the tab around it.
"""

from typing import Any

import gradio as gr

from demo.leaderboard import words as words_leaderboard
from demo.parts import words as text
from demo.parts.links import owner_of
from demo.services import Services

COLUMNS = [
    words_leaderboard.MADE_AT,
    text.PROMPTS,
    text.METHODS,
    words_leaderboard.STATUS,
    words_leaderboard.MADE_BY,
    words_leaderboard.RUN_ID,
]


def earlier_table() -> gr.Dataframe:
    """The list, empty; its last column is the id."""
    return gr.Dataframe(
        headers=COLUMNS,
        datatype="str",
        interactive=False,
        show_search="filter",
        label=words_leaderboard.EARLIER,
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
            words_leaderboard.STATUSES[line.status],
            words_leaderboard.COMMAND_LINE if line.owner is None else words_leaderboard.HERE,
            line.id,
        ]
        for line in services.database.runs(owner_of(secret))
    ]
