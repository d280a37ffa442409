"""A quiet table of texts, which escapes what stands in it.

Knows Gradio's table; knows nothing of what it shows.
"""

from collections.abc import Sequence

import gradio as gr

MAX_HEIGHT = 420  # px; a longer table scrolls inside


def text_table(
    label: str,
    headers: Sequence[str],
    widths: Sequence[int | str] | None = None,
    *classes: str,
    rows: list[list[str]] | None = None,
    max_height: int = MAX_HEIGHT,
) -> gr.Dataframe:
    """A table with these columns, in px or percent, empty where there are no rows yet.

    Columns in px keep their width on a phone, where the table scrolls sideways inside. A table that stays empty may not
    have them: no key would reach it.
    """
    return gr.Dataframe(
        rows,
        headers=list(headers),
        datatype="str",
        type="array",
        interactive=False,
        label=label,
        column_widths=None if widths is None else list(widths),
        wrap=True,
        show_label=False,
        buttons=[],
        max_height=max_height,
        elem_classes=["quiet-table", *classes],
    )
