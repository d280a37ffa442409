"""A table of what texts were made with: settings, hashes, versions.

Knows names and values; knows nothing of where they come from.
"""

from collections.abc import Mapping

import gradio as gr

from demo import text


def facts_table(rows: list[list[str]] | None = None) -> gr.Dataframe:
    """A table of two columns, empty where there are no rows yet."""
    return gr.Dataframe(
        rows,
        headers=[text.FACT, text.VALUE],
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        label=text.MADE_WITH,
        show_label=False,
        column_widths=["30%", "70%"],
        max_height=2000,
        elem_classes=["quiet-table", "facts"],
    )


def model_facts(base: str, hashes: Mapping[str, str], versions: Mapping[str, str]) -> list[list[str]]:
    """The base model, the hashes of everything that was used, and the versions of the libraries."""
    rows = [[text.BASE_MODEL, base]]
    rows += [[text.SHA256.format(name=name), value] for name, value in hashes.items()]
    return rows + [[name, value] for name, value in versions.items()]
