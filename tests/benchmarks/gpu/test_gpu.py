"""`make gpu` without a GPU: its parts on a tiny model, what it notes of errors and limits, and its page."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from adapters.base_model import BaseModel
from adapters.decoding.text import Continuation
from benchmarks import pages
from benchmarks.__main__ import main
from benchmarks.gpu import gpu_command
from benchmarks.gpu.gpu_command import KEPT, NOT_YET, PAGE, markdown, sound, write_page
from benchmarks.gpu.gpu_parts import PARTS, Rows, Site, agreement, bench, parity, repeated, row, steering, training
from tests.tiny import vowel_tokenizer

RESULTS: dict[str, Any] = {
    "card": "Some Card",
    "device": "cuda",
    "model": "m",
    "commit": "abc",
    "at": "2026-12-01 10:00",
    "python": "3.12",
    "libraries": {"torch": "2.11"},
    "seconds": 400.0,
    "parts": {
        "bench": {"seconds": 9.0, "rows": [row("plain, 1 row", "ms", [2.0, 1.0, 4.0], peak_mb=1234.0)]},
        "laws": {"seconds": 1.0, "rows": [], "error": "Traceback:\n  here\nValueError: broken\n"},
        "embedded": {"seconds": 1.0, "rows": [], "skipped": "it is not there"},
    },
}


@pytest.fixture
def site(tiny_llama: BaseModel, tmp_path: Path) -> Site:
    folder = tmp_path / "tiny"
    tiny_llama.model.save_pretrained(folder)
    vowel_tokenizer().save_pretrained(folder)
    return Site(tmp_path, str(folder), folder, tmp_path, gpu=False, seconds=0.0)


def figures(rows: Rows) -> dict[str, float]:
    return {found["name"]: found["median"] for found in rows}


@pytest.mark.slow
def test_the_parts_use_what_the_training_made(site: Site) -> None:
    trained = figures(training(site))
    assert set(trained) > {"lora, a step", "prefix, a step", "discriminator, right on held-out texts"}
    same = figures(parity(site))
    assert {name: value for name, value in same.items() if "equal texts" in name} == {
        f"tiny, {method}: equal texts": 4 for method in ("base", "lora:gpu-lora", "prefix:gpu-prefix", "pplm")
    }
    assert max(value for name, value in same.items() if "difference" in name) == 0
    times = figures(bench(site))
    assert len(times) == 16
    token_ms = times["four panes, 8 rows: a token of all"]
    assert times["four panes, 8 rows: together"] == pytest.approx(8000 / token_ms)
    quality = {found["name"]: found for found in steering(site)}
    assert quality["unsteered 0: perplexity, × base"]["median"] == 1
    assert quality["ours 20: perplexity, × base"]["values"] == 4


@pytest.mark.slow
def test_one_part_ends_without_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is not there, one part has no time, one needs a GPU: each is noted, and the command ends well."""
    monkeypatch.setitem(PARTS, "bench", (bench, 0))
    arguments = ["bench", "embedded", "parity", "--home", str(tmp_path), "--model", str(tmp_path / "none")]
    assert main(["gpu", *arguments, "--out", str(tmp_path / "gpu.json")]) == 0
    results = json.loads((tmp_path / "gpu.json").read_text("utf-8"))
    assert results["parts"]["bench"]["error"] == "It was ended after 0 s."
    assert "is not there" in results["parts"]["embedded"]["skipped"]
    assert "Cannot load the base model" in results["parts"]["parity"]["error"]
    assert len(results["parts"]["parity"]["rows"]) == 4, "the tiny model came first"
    assert {"card", "commit", "libraries", "seconds"} <= set(results)


def test_figures_of_rounds_and_of_texts() -> None:
    assert row("a", "ms", [3.0, 1.0, 2.0])["median"] == 2
    assert repeated(iter([9.0, 1.0, 2.0]).__next__, 0) == [1.0], "the first warms up"
    assert len(repeated(lambda: 1.0, 10)) == 5

    def text(ids: tuple[int, ...], logprobs: tuple[float, ...]) -> Continuation:
        return Continuation._make([None] * len(Continuation._fields))._replace(token_ids=ids, logprobs=logprobs)

    here = [text((1, 2), (-1.0, -2.0)), text((1, 3), (-1.0, -9.0))]
    there = [text((1, 2), (-1.0, -2.5)), text((1, 4), (-1.25, -1.0))]
    assert figures(agreement("x", here, there)) == {
        "x: equal texts": 1,
        "x: largest difference of a log-probability": 0.5,
    }
    assert [sound(value) for value in (math.nan, math.inf, 1.5, "a", None)] == [None, None, 1.5, "a", None]


def test_the_page_shows_the_card_once_there_is_a_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page, kept = tmp_path / "page.md", tmp_path / "gpu.json"
    page.write_text("<!-- gpu -->\n<!-- /gpu -->")
    monkeypatch.setattr(gpu_command, "KEPT", kept)

    def shown() -> str:
        write_page(page)
        return pages.part(page.read_text("utf-8"), "gpu")[1]

    assert shown() == f"{NOT_YET}\n"
    kept.write_text(json.dumps(RESULTS | {"device": "cpu"}))
    assert shown() == f"{NOT_YET}\n", "a rehearsal is no result"
    kept.write_text(json.dumps(RESULTS))
    assert "Some Card; m; commit abc, 2026-12-01 10:00" in shown()
    assert "| plain, 1 row | ms | 1 | 2 | 4 | peak 1,234 MB |" in shown()
    assert "Ended early: ValueError: broken" in shown()
    assert "Left out: it is not there." in shown()


def test_the_docs_show_what_is_kept() -> None:
    _, shown, _ = pages.part(PAGE.read_text("utf-8"), "gpu")
    assert shown == (markdown(json.loads(KEPT.read_text("utf-8"))) if KEPT.is_file() else NOT_YET) + "\n"


def test_all_parts_together_take_at_most_eight_minutes() -> None:
    assert sum(seconds for _, seconds in PARTS.values()) <= 460, "some seconds to begin are left"
