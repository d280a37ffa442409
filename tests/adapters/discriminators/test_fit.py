"""Training a discriminator: toy sets that can be told apart and that cannot, figures, its folder and its card."""

import json
import os
import random
from collections.abc import Generator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch

from adapters.__main__ import main
from adapters.adapter_files import METRICS_FILE
from adapters.base_model import EMBEDDED_ID, BaseModel, load_base_model
from adapters.cards import render
from adapters.discriminators.fit import (
    Trained,
    TrainTest,
    as_discriminator,
    mean_hidden,
    read_features,
    regression,
    split,
    train_discriminator,
    trim,
)
from adapters.discriminators.labelled import Labelled
from adapters.methods import from_json
from adapters.pplm.discriminator import Accuracy, Discriminator, DiscriminatorReport, Measured
from adapters.store.adapter_store import WEIGHTS, AdapterStore

T = TypeVar("T")
ALPHABETS = {"early": "abcdef", "late": "uvwxyz", "digits": "0123456"}


def toy(count: int, *labels: str) -> list[Labelled]:
    """Words of a class's own letters."""
    draw = random.Random(0)
    return [
        Labelled("".join(draw.choices(ALPHABETS[label], k=draw.randint(5, 20))) + f" {place}", label)
        for place in range(count)
        for label in labels
    ]


def result(steps: Generator[object, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


@pytest.fixture(scope="module")
def trained(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return result(train_discriminator(tiny_llama, toy(60, "early", "late", "digits"), tmp_path_factory.mktemp("cache")))


def test_training_tells_a_toy_set_apart(trained: Trained, tiny_llama: BaseModel) -> None:
    discriminator, measured = trained
    assert discriminator.classes == measured.classes == ("digits", "early", "late")
    assert (measured.training_rows, measured.held_out_rows) == (144, 36)
    assert measured.accuracy.share > 0.9
    assert measured.accuracy.low > measured.largest_class == pytest.approx(1 / 3)
    assert [point.rows for point in measured.curve] == sorted(point.rows for point in measured.curve)
    means = mean_hidden(tiny_llama, [tiny_llama.encode(text) for text in ("abcabcfd", "zywvuxzz", "0213301")])
    assert discriminator.logits(means).argmax(-1).tolist() == [1, 2, 0]


def test_its_vectors_put_held_out_texts_in_order(trained: Trained) -> None:
    vectors, measured = trained.discriminator.vectors, trained.measured.directions
    assert measured is not None
    assert (measured.training_rows, measured.held_out_rows) == (144, 36)
    assert {vector.layer for vector in vectors} == {measured.layer}
    assert [float(vector.push.norm()) for vector in vectors] == pytest.approx([measured.norm] * 3)
    assert min(measured.ordered) > 0.9


def test_the_confusion_table_counts_every_held_out_text(trained: Trained) -> None:
    table = np.array(trained.measured.confusion)
    assert table.sum(1).tolist() == [12, 12, 12]
    assert table.trace() / table.sum() == pytest.approx(trained.measured.accuracy.share)


def test_labels_of_chance_are_not_learned(tiny_llama: BaseModel, tmp_path: Path) -> None:
    draw = random.Random(1)
    rows = [row._replace(label=draw.choice("ab")) for row in toy(120, "early")]
    measured = result(train_discriminator(tiny_llama, rows, tmp_path)).measured
    assert measured.accuracy.low < 0.5 + 1e-9 < measured.accuracy.high + 0.1


def test_what_is_held_out_depends_on_the_texts_alone() -> None:
    rows = toy(50, "early", "late")
    features = np.arange(100, dtype=np.float32)[:, None]
    whole, backwards = split(rows, ["early", "late"], features), split(rows[::-1], ["early", "late"], features[::-1])
    for part in TrainTest._fields:
        np.testing.assert_array_equal(getattr(whole, part), getattr(backwards, part))
    assert not set(whole.features[:, 0]) & set(whole.held_out_features[:, 0])
    assert np.bincount(whole.held_out_labels).tolist() == [10, 10]


@pytest.mark.parametrize("count", [2, 3])
def test_the_head_says_what_the_regression_says(count: int) -> None:
    draw = np.random.default_rng(0)
    labels = np.arange(90) % count
    features = (draw.normal(3, 5, (90, 4)) + labels[:, None]).astype(np.float32)
    model = regression(0.1).fit(features, labels)
    discriminator = as_discriminator(model, tuple("abc"[:count]))
    told = discriminator.logits(torch.tensor(features)).softmax(-1).numpy()
    np.testing.assert_allclose(told, model.predict_proba(features), atol=1e-5)


def test_features_are_read_once_and_an_interrupted_reading_goes_on(
    tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.discriminators.fit.TEXTS_A_FILE", 5)
    texts = [row.text for row in toy(6, "early", "late")]
    reading = read_features(tiny_base, texts, tmp_path)
    while int(next(reading).split()[1]) < 6:
        pass
    reading.close()
    assert len(list(tmp_path.iterdir())) == 1
    means = result(read_features(tiny_base, texts, tmp_path))
    each = [mean_hidden(tiny_base, [tiny_base.encode(text)])[0] for text in texts]
    torch.testing.assert_close(means, torch.stack(each), atol=1e-5, rtol=1e-4)
    (first, *_) = sorted(tmp_path.iterdir())
    first.write_bytes(b"damaged")
    assert torch.equal(result(read_features(tiny_base, texts, tmp_path)), means)
    with monkeypatch.context() as patch:
        patch.setattr("adapters.discriminators.fit.read_means", None)
        assert torch.equal(result(read_features(tiny_base, texts, tmp_path)), means)
    files = sorted(tmp_path.iterdir())
    os.utime(files[0], (0, 0))
    monkeypatch.setattr("adapters.discriminators.fit.MAX_CACHE_BYTES", sum(f.stat().st_size for f in files) - 1)
    trim(tmp_path)
    assert sorted(tmp_path.iterdir()) == files[1:], "the longest unused features go first"


@pytest.fixture(scope="module")
def model_folder(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny-llama")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return str(folder)


def report_of(folder: Path) -> DiscriminatorReport:
    return from_json(DiscriminatorReport, json.loads((folder / METRICS_FILE).read_text("utf-8")))


def test_the_command_writes_a_folder_that_the_store_reads(model_folder: str, tmp_path: Path) -> None:
    file, out = tmp_path / "toy.csv", tmp_path / "out"
    file.write_text("text,label\n" + "".join(f"{row.text},{row.label}\n" for row in toy(40, "early", "late")))
    options = ["--data", str(file), "--out", str(out), "--home", str(tmp_path / "home"), "--model", model_folder]
    assert main(["train", "discriminator", "letters", *options]) == 0
    assert main(["train", "discriminator", "letters", *options]) == 0  # takes the place of the first
    assert [path.name for path in out.iterdir()] == ["letters"]
    store = AdapterStore([out], load_base_model(model_folder, tmp_path))
    assert store.refused == {}
    assert store.discriminator("letters").classes == ("early", "late")
    report = report_of(out / "letters")
    assert (out / "letters" / "README.md").read_text("utf-8") == render("discriminator", report.base, report=report)
    assert report.command.startswith("python -m adapters train discriminator letters --data")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("../x", "text,label\na,b\n", "Give it a name"),
        ("x", "text,label\na,b\n", "All rows have the label 'b'"),
        ("x", "", "The file holds no row"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_stored(
    name: str, text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, out = tmp_path / "a.csv", tmp_path / "out"
    file.write_text(text)
    assert main(["train", "discriminator", name, "--data", str(file), "--out", str(out)]) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err
    assert not out.exists()
    assert main(["train", "discriminator", "x", "--data", str(tmp_path / "none.csv"), "--out", str(out)]) == 2
    assert "Cannot read" in capsys.readouterr().err


def test_a_class_name_cannot_break_the_table() -> None:
    measured = Measured(("a|b", "c"), 8, 2, 0.5, 0.1, ((1, 0), (0, 1)), (Accuracy(8, 0.5, 0.1, 0.9),), 1.0)
    card = render("discriminator", "base", report=DiscriminatorReport("x", "base", "", "", "", "", measured))
    assert "| **a\\|b** | 1 | 0 |" in card.split("\n")


def test_the_shipped_discriminator_beats_a_bag_of_words_and_its_card_says_so() -> None:
    """A TF-IDF logistic regression gets 76.7 % of such rows right."""
    report = report_of(WEIGHTS / "sentiment")
    assert (WEIGHTS / "sentiment" / "README.md").read_text("utf-8") == render(
        "discriminator", report.base, report=report
    )
    assert report.base == EMBEDDED_ID
    assert report.measured.classes == ("negative", "positive")
    assert report.measured.accuracy.share > 0.76


def test_the_shipped_discriminator_works_on_the_embedded_model(embedded: BaseModel) -> None:
    discriminator: Discriminator = AdapterStore([WEIGHTS], embedded).discriminator("sentiment")
    texts = ["The film is a wonderful surprise, warm and funny.", "A dull, lifeless mess that wastes its actors."]
    assert discriminator.logits(mean_hidden(embedded, [embedded.encode(text) for text in texts])).argmax(
        -1
    ).tolist() == [1, 0]
