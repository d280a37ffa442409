"""The pictures of screens: what counts as another screen."""

from PIL import Image, ImageDraw

from tests.looks import FOLDER, WIDTH, difference, small

SCREENS = ("compare", "leaderboard", "train", "steer", "inside-lora", "inside-prefix")


def screen(*boxes: tuple[int, int, int, int], height: int = 300) -> Image.Image:
    picture = Image.new("L", (WIDTH, height), 250)
    for box in boxes:
        ImageDraw.Draw(picture).rectangle(box, fill=60)
    return picture


def test_a_missing_part_and_a_taller_page_differ_and_a_shade_does_not() -> None:
    kept = screen((10, 10, 60, 90), (80, 10, 130, 90))
    assert difference(kept, kept) == ""
    assert difference(kept, screen((10, 10, 60, 90))) == "6.9% of it has changed"
    assert difference(kept, kept.point(lambda grey: grey - 20)) == ""
    assert difference(kept, screen(height=330)) == "330 pixels high, was 300"


def test_every_screen_has_its_four_pictures() -> None:
    names = {
        f"{screen}-{device}-{theme}"
        for screen in SCREENS
        for device in ("laptop", "phone")
        for theme in ("light", "dark")
    }
    kept = {path.stem for path in FOLDER.glob("*.png")}
    assert kept == names
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 1_000_000


def test_a_picture_is_small() -> None:
    assert small((FOLDER / "compare-laptop-light.png").read_bytes()).width == WIDTH
