"""Small pictures of every screen: a part that is gone or elsewhere differs, the edges of letters do not.

After a change that is meant: `python -m pytest --write-looks tests/*_browser.py -k flaws`, and look at what it wrote.
"""

import io
from pathlib import Path

from PIL import Image, ImageChops

FOLDER = Path(__file__).with_name("looks_kept")
WIDTH = 200  # pixels
CHANGED = 40  # of 255: how far the grey of a pixel may be off
MOST_CHANGED = 0.04  # share of such pixels
MOST_TALLER = 0.05


class Writes:
    """Whether pictures are written instead of compared: the option --write-looks."""

    on = False


WRITES = Writes()


def small(screenshot: bytes) -> Image.Image:
    """The picture that is kept."""
    picture = Image.open(io.BytesIO(screenshot)).convert("L")
    return picture.resize((WIDTH, round(picture.height * WIDTH / picture.width)), Image.Resampling.BOX)


def difference(kept: Image.Image, seen: Image.Image) -> str:
    """What differs between two pictures of a screen; empty if it is the same screen."""
    if abs(seen.height - kept.height) > MOST_TALLER * kept.height:
        return f"{seen.height} pixels high, was {kept.height}"
    height = min(kept.height, seen.height)
    box = (0, 0, WIDTH, height)
    histogram = ImageChops.difference(kept.crop(box), seen.crop(box)).histogram()
    changed = sum(histogram[CHANGED:]) / (WIDTH * height)
    return f"{changed:.1%} of it has changed" if changed > MOST_CHANGED else ""


def looked(name: str, screenshot: bytes) -> str:
    """What differs from the picture of this name; writes it instead if asked to."""
    path, seen = FOLDER / f"{name}.png", small(screenshot)
    if WRITES.on:
        seen.save(path, optimize=True)
    return difference(Image.open(path), seen) if path.exists() else "there is no picture of it"
