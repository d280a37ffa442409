"""The look: a Gradio theme with fonts that come along, and a style sheet; nothing is fetched from elsewhere.

A method has one colour everywhere; the style sheet holds the same four as variables.
"""

from pathlib import Path

import gradio as gr

STYLE_SHEET = Path(__file__).with_name("style.css")
FAVICON = Path(__file__).with_name("favicon.svg")
COLORS = {"base": "#6b7280", "lora": "#0072b2", "prefix": "#009e73", "pplm": "#d55e00"}  # safe for colour-blind eyes
PAPER_COLOR = "#aa4499"  # the paper's own algorithm, where it stands beside PPLM as it is here
SHADES = {  # on a light page, on a dark one
    "body_background_fill": ("#f6f7f9", "#0e131b"),
    "body_text_color": ("#18212f", "#e6eaf0"),
    "body_text_color_subdued": ("#566173", "#9ba7b8"),
    "block_background_fill": ("#ffffff", "#171e29"),
    "block_border_color": ("#dfe3e9", "#2a3442"),
    "block_info_text_color": ("#566173", "#9ba7b8"),
    "input_background_fill": ("#ffffff", "#10161f"),
    "input_border_color": ("#c4cbd5", "#3a4657"),
    "button_primary_background_fill": ("#1f3a5f", "#c9d8ee"),
    "button_primary_background_fill_hover": ("#2a4d7d", "#ffffff"),
    "button_primary_text_color": ("#ffffff", "#101a29"),
    "button_secondary_background_fill": ("#ffffff", "#171e29"),
    "button_secondary_background_fill_hover": ("#eef1f5", "#222c3a"),
    "button_secondary_border_color": ("#c4cbd5", "#3a4657"),
    "table_even_background_fill": ("#ffffff", "#171e29"),
    "table_odd_background_fill": ("#f8f9fb", "#131a24"),
    "table_border_color": ("#dfe3e9", "#2a3442"),
    "slider_color": ("#1f3a5f", "#8fb0dd"),
}
# Gradio brings this font along; its 600 lacks most letters, so that 700 stands in.
SANS = (gr.themes.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Consolas", "Liberation Mono", "monospace")


def script(name: str) -> str:
    """What the browser runs, from a file of this folder."""
    return Path(__file__).with_name(name).read_text()


def theme() -> gr.themes.Base:
    """Calm: slate on white, thin lines, no shadows."""
    slate = gr.themes.colors.slate
    base = gr.themes.Base(primary_hue=slate, neutral_hue=slate, font=SANS, font_mono=MONO)
    light = {name: shade for name, (shade, _) in SHADES.items()}
    dark = {f"{name}_dark": shade for name, (_, shade) in SHADES.items()}
    return base.set(
        block_border_width="1px",
        block_shadow="none",
        block_title_text_weight="600",
        block_label_text_weight="600",
        input_border_width="1px",
        button_border_width="1px",
        **light,
        **dark,
    )
