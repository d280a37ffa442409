"""The picture of a comparison that stands beside its link where it is posted: the prompt, and a pane for each text."""

import io
import textwrap
from string import ascii_lowercase

from PIL import Image, ImageDraw, ImageFont

from demo.compare.board import Board
from demo.look.theme import COLORS
from demo.parts.numbers import PROMPT
from demo.parts.words import PURPOSE, TITLE, kinds, title

WIDTH, HEIGHT = 1200, 630  # pixels, as the places where links are posted show them
MARGIN, GAP, EDGE, PADDING = 44, 18, 8, 16
TOP, BOTTOM = 128, 566  # of the panes
MOST_PANES, MOST_LETTERS = 4, 2_000
PAPER, SHEET, INK, QUIET = "#f6f7f9", "#ffffff", "#18212f", "#566173"


def picture(name: str, board: Board) -> bytes:
    """A PNG of the first panes, under the title or the prompt of their comparison."""
    image = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    draw = ImageDraw.Draw(image)
    large, middle, small = map(ImageFont.load_default, (40, 26, 22))
    draw.text((MARGIN, 40), lines(name, large, WIDTH - 2 * MARGIN)[0], INK, large)
    draw.text((MARGIN, BOTTOM + 20), f"{TITLE}. {PURPOSE}", QUIET, small)
    views = [view for _, view in sorted(board.panes.items())][:MOST_PANES]
    width = (WIDTH - 2 * MARGIN - GAP * (len(views) - 1)) // max(1, len(views))
    for place, view in enumerate(views):
        left = MARGIN + place * (width + GAP)
        draw.rectangle((left, TOP, left + width, BOTTOM), SHEET)
        draw.rectangle((left, TOP, left + width, TOP + EDGE), COLORS[kinds(view.method)[-1]])
        draw.text((left + PADDING, TOP + 24), lines(title(view.method), middle, width - 2 * PADDING)[0], INK, middle)
        text = "".join(piece for piece, mark in view.spans if mark != PROMPT)
        rows = lines(text, small, width - 2 * PADDING)
        for y, row in zip(range(TOP + 70, BOTTOM - 30, 30), rows, strict=False):
            draw.text((left + PADDING, y), row, INK, small)
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    return file.getvalue()


def lines(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> list[str]:
    """The beginning of the text in lines of about this width."""
    letter = font.getlength(ascii_lowercase) / len(ascii_lowercase)
    return textwrap.wrap(text[:MOST_LETTERS].strip(), int(width / letter)) or [""]
