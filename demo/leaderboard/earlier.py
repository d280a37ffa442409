"""The list of earlier runs: own ones, and those made on the command line."""

from typing import Any

import gradio as gr

from demo.leaderboard import words
from demo.parts import words as common
from demo.parts.links import owner_of
from demo.services import Services

COLUMNS = [words.MADE_AT, common.PROMPTS, common.METHODS, words.STATUS, words.MADE_BY, words.RUN_ID]


def earlier_table() -> gr.Dataframe:
    """The list, empty; its last column is the id."""
    return gr.Dataframe(
        headers=COLUMNS,
        datatype="str",
        interactive=False,
        show_search="filter",
        label=words.EARLIER,
        show_label=False,
        max_height=360,
        buttons=[],
        elem_classes=["quiet-table", "earlier"],
    )


def earlier_rows(services: Services, secret: Any) -> list[list[str]]:
    """The runs that this browser may open without a link, the newest first."""
    return [
        [
            common.moment(line.created),
            f"{line.name} ({line.num_prompts})",
            ", ".join(line.methods),
            words.STATUSES[line.status],
            words.COMMAND_LINE if line.owner is None else words.HERE,
            line.id,
        ]
        for line in services.database.runs(owner_of(secret))
    ]
