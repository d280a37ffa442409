"""A table of what texts were made with: settings, hashes, versions.

Knows names and values; knows nothing of where they come from.
"""

from collections.abc import Mapping

import gradio as gr

from demo.parts import words as text
from demo.parts.text_table import text_table


def facts_table(rows: list[list[str]] | None = None) -> gr.Dataframe:
    """A table of two columns, empty where there are no rows yet."""
    headers, widths = [text.FACT, text.VALUE], ["30%", "70%"]
    return text_table(text.MADE_WITH, headers, widths, "facts", rows=rows, max_height=2000)


def model_facts(base: str, hashes: Mapping[str, str], versions: Mapping[str, str]) -> list[list[str]]:
    """The base model, the hashes of everything that was used, and the versions of the libraries."""
    rows = [[text.BASE_MODEL, base]]
    rows += [[text.SHA256.format(name=name), value] for name, value in hashes.items()]
    return rows + [[name, value] for name, value in versions.items()]
