"""Reports in a real browser: hostile texts do nothing, and the page fits a phone, a screen and a sheet of paper."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

from leaderboard.output.report import comparison_report, run_report
from tests.leaderboard.output.test_report import HOSTILE, hostile_record, hostile_run, results_of

SHEET = 688  # CSS pixels between the margins of A4


@pytest.fixture(params=["run", "comparison"])
def report(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A report with hostile texts, as somebody gets it by mail."""
    data = hostile_run()
    run = run_report(data, results_of(data, perplexity=3.0, distinct_2=0.5))
    file = tmp_path / "report.html"
    file.write_text(run if request.param == "run" else comparison_report(hostile_record()), "utf-8")
    return file


def test_a_report_runs_nothing_fetches_nothing_and_fits(report: Path, page: Page) -> None:
    events: list[str] = []
    page.on("dialog", lambda dialog: events.append(dialog.message))
    page.on("console", lambda message: events.append(message.text))
    page.on("request", lambda request: events.append(request.url))
    for width, medium in ((390, "screen"), (1280, "screen"), (SHEET, "print")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(media="print" if medium == "print" else "screen")
        page.goto(report.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert HOSTILE in page.locator("body").inner_text()
    assert set(events) == {report.as_uri()}


def test_a_report_is_readable_on_light_and_dark(report: Path, page: Page) -> None:
    found = {}
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        page.goto(report.as_uri())
        colors = "[getComputedStyle(document.documentElement), getComputedStyle(document.querySelector('.pane .text'))]"
        found[scheme] = page.evaluate(f"{colors}.map((style, place) => place ? style.color : style.backgroundColor)")
    assert found == {
        "light": ["rgb(255, 255, 255)", "rgb(24, 33, 47)"],
        "dark": ["rgb(14, 19, 27)", "rgb(230, 234, 240)"],
    }
