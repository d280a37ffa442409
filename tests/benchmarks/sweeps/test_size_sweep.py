"""The sweep: what a point is, what its interval is, and that what was measured is not measured again."""

import copy
import json
from dataclasses import replace
from math import e
from pathlib import Path
from xml.etree import ElementTree

import pytest

from adapters.base_model import BaseModel, load_base_model
from adapters.lora.settings import LoraSettings
from adapters.training.batches import measure
from adapters.training.corpus import dataset
from adapters.training.loop import Training, adapted
from adapters.training.making import prepare
from adapters.training.order import TrainOrder, TrainSettings
from benchmarks.__main__ import main
from benchmarks.sweeps.size_sweep import Point, curves, figure, read_results

QUICK = [
    "--steps",
    "4",
    "--batch-size",
    "4",
    "--lr",
    "0.02",
    "--warmup-steps",
    "1",
    "--eval-every",
    "4",
    "--seeds",
    "2",
]
ONE = TrainSettings(LoraSettings(r=4))


def test_perplexity_is_of_the_mean_loss_over_seeds_and_its_interval_holds_it() -> None:
    rows = ((2.0, 1), (0.0, 1)), ((4.0, 2), (2.0, 2))
    points = [Point(0, replace(ONE, seed=seed), 1, 1.0, losses, ()) for seed, losses in enumerate(rows)]
    found = figure(4, points)
    assert found.perplexity.mean == pytest.approx(e ** ((2 / 2 + 6 / 4) / 2))
    assert found.perplexity.seeds == pytest.approx([e, e**1.5])
    assert found.perplexity[1:3] == pytest.approx((1.0, e**2))
    assert found.exact is None
    alike = figure(4, [Point(0, ONE, 1, 1.0, ((3.0, 3),) * 9, ())])
    assert alike.perplexity[:3] == pytest.approx((e, e, e))


def test_exact_answers_are_a_share_with_an_interval() -> None:
    answered = (True, False, False, False), (True, True, True, False)
    points = [Point(0, replace(ONE, seed=seed), 1, 1.0, ((1.0, 1),), exact) for seed, exact in enumerate(answered)]
    found = figure(4, points).exact
    assert found is not None
    assert (found.mean, found.seeds) == (0.5, (0.25, 0.75))
    assert 0 <= found.low < 0.25 < 0.75 < found.high <= 1


def test_a_sweep_goes_on_where_it_was_and_draws_what_it_found(
    tiny_llama: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, file, out, plot = (tmp_path / name for name in ("tiny", "rows.jsonl", "sweep.json", "sweep.svg"))
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    file.write_text("".join(json.dumps({"q": f"What is {n}?", "a": "it"}) + "\n" for n in range(40)))
    common = ["sweep", "--data", str(file), "--model", str(folder), "--out", str(out), "--plot", str(plot), *QUICK]
    assert main([*common, "--r", "1", "2"]) == 0
    first = read_results(out)
    assert [(point.value, point.settings.seed) for point in first.points] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    capsys.readouterr()
    assert main([*common, "--r", "2", "4", "--num-virtual-tokens", "3"]) == 0
    assert capsys.readouterr().err.count("is measured already") == 2
    found = read_results(out)
    assert found.points[:4] == first.points
    assert [len(curve.figures) for curve in curves(found)] == [3, 1]
    assert len(found.held_out) == 1
    assert len(found.commands) == 2
    file.write_text(file.read_text().replace('"it"', '"it is"'))
    assert main([*common, "--r", "1", "--seeds", "1"]) == 0
    assert "is measured already" not in capsys.readouterr().err
    assert len(read_results(out).held_out) == 2
    file.write_text(file.read_text().replace('"it is"', '"it"'))
    assert {len(point.exact) for point in found.points} == {len(found.held_out[0].exact)} == {4}
    ElementTree.fromstring(plot.read_text("utf-8"))
    base = load_base_model(str(folder), tmp_path)
    settings = first.points[2].settings
    _, material = prepare(base, TrainOrder("x", settings), dataset(str(file)))
    assert curves(found)[0].base.perplexity.mean == pytest.approx(
        measure(base.model, material.validation, 8).perplexity, rel=1e-4
    )
    own = replace(base, model=copy.deepcopy(base.model))
    model = adapted(own, settings)
    list(Training(model, settings, material.training, material.validation).run())
    alone = measure(model, material.validation, 8)
    assert sum(nats for nats, _ in first.points[2].losses) == pytest.approx(alone.loss * alone.end_tokens * 4, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--r", "0"], "r: Input should be greater than or equal to 1"),
        (["--r", "4096"], "r: Input should be less than or equal to 256"),
        (["--r", "4", "--seeds", "0"], "--seeds is 0: give 1 or more"),
        ([], "give sizes with --r or --num-virtual-tokens"),
    ],
)
def test_what_is_wrong_with_a_sweep_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sweep", "--data", "poetry", "--out", str(tmp_path / "a.json"), *arguments]) == 2
    assert message in capsys.readouterr().err
    (tmp_path / "a.json").write_text("{")
    assert main(["sweep", "--data", "poetry", "--out", str(tmp_path / "a.json")]) == 2
    assert "is not a results file of a sweep" in capsys.readouterr().err
    assert main(["sweep", "--data", "poetry", "--out", str(tmp_path / "none" / "a.json")]) == 2
    assert "name a file in a folder that exists" in capsys.readouterr().err
