"""The look: a Gradio theme with fonts that come along, and a style sheet; nothing is fetched from elsewhere.

A method has one colour everywhere, from leaderboard.output.looks.
"""

import tomllib
from pathlib import Path
from typing import Any

import gradio as gr
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from leaderboard.output.looks import KINDS

STYLE_SHEET = Path(__file__).with_name("style.css")
FAVICON = Path(__file__).with_name("favicon.svg")
COLORS = {name: kind.colors[0] for name, kind in KINDS.items()}
PAPER_COLOR = "#aa4499"  # the paper's own algorithm, where it stands beside PPLM as it is here
SHADES = tomllib.loads(Path(__file__).with_name("shades.toml").read_text("utf-8"))
# Gradio brings this font along; its 600 lacks most letters, so that 700 stands in.
SANS = (gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "Liberation Mono", "monospace")


TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).with_name("templates")),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def render(template: str, **values: Any) -> str:
    """HTML from a template, which escapes the values."""
    return TEMPLATES.get_template(template).render(values)


def script(name: str) -> str:
    """What the browser runs, from a file of this folder."""
    return Path(__file__).with_name(name).read_text()


def theme() -> gr.themes.Base:
    """Calm: slate on white, thin lines, no shadows."""
    slate = gr.themes.colors.slate
    base = gr.themes.Base(primary_hue=slate, neutral_hue=slate, font=SANS, font_mono=MONO)
    light = {name: shade for name, (shade, _) in SHADES["colours"].items()}
    dark = {f"{name}_dark": shade for name, (_, shade) in SHADES["colours"].items()}
    return base.set(**SHADES["lines"], **light, **dark)
