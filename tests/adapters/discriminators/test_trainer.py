"""Training discriminators beside a running engine: usable at once, nothing left of what fails, taking turns."""

import hashlib
import json
import random
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from adapters.adapter_files import METRICS_FILE
from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.discriminators.labelled import Labelled
from adapters.discriminators.trainer import DiscriminatorTrainer
from adapters.methods import Request, Sampling, UserError, parse_method
from adapters.store.adapter_store import MAX_OWN, AdapterStore
from adapters.store.fingerprint import Fingerprints

T = TypeVar("T")
GREEDY = Sampling(temperature=0, max_new_tokens=12)


def rows(seed: int = 0, *labels: str) -> list[Labelled]:
    """Words of the first or of the last letters."""
    draw = random.Random(seed)
    letters = dict(zip(labels or ("early", "late"), ("abcd", "wxyz"), strict=True))
    return [
        Labelled(f"{''.join(draw.choices(of, k=9))} {place}", name)
        for place in range(15)
        for name, of in letters.items()
    ]


def result(steps: Generator[object, None, T]) -> T:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            value: T = end.value
            return value


def weights(base: BaseModel) -> str:
    digest = hashlib.sha256()
    for tensor in base.model.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


class Place:
    """An engine, its own folder, and a discriminator_trainer."""

    def __init__(self, base: BaseModel, home: Path) -> None:
        self.own = home / "adapters"
        self.store = AdapterStore([self.own], base)
        self.engine = Engine(base, self.store)
        self.discriminator_trainer = DiscriminatorTrainer(self.engine, home, self.own)


@pytest.fixture(autouse=True)
def fewer_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """How a discriminator is trained is tested elsewhere."""
    monkeypatch.setattr("adapters.discriminators.fit.STRENGTHS", (0.01,))
    monkeypatch.setattr("adapters.discriminators.fit.FOLDS", 2)


@pytest.fixture
def place(tiny_llama: BaseModel, tmp_path: Path) -> Place:
    return Place(tiny_llama, tmp_path)


def text_of(engine: Engine, name: str) -> str:
    *_, (row,) = engine.generate([Request("Once", parse_method(name))], GREEDY)
    return row.text


def test_a_new_discriminator_steers_at_once_and_after_a_restart(
    place: Place, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    method = parse_method("pplm:letters:late")
    with pytest.raises(UserError, match="no discriminator 'letters'"):
        place.engine.generate([Request("Once", method)], GREEDY)
    before = weights(tiny_llama)
    report = result(place.discriminator_trainer.train("letters", rows()))
    assert weights(tiny_llama) == before
    assert report.measured.classes == ("early", "late") == place.store.discriminator("letters").classes
    assert place.discriminator_trainer.report("letters") == report
    again = Place(tiny_llama, tmp_path)
    assert text_of(again.engine, method.name) == text_of(place.engine, method.name)
    hashes = [Fingerprints(tiny_llama, store).named([method]) for store in (place.store, again.store)]
    assert hashes[0] == hashes[1]
    assert "discriminator:letters:late" in hashes[0]


def test_training_takes_turns_with_a_text_that_is_written(place: Place) -> None:
    """One thread does both: it would wait for itself for ever if a training kept the model to itself."""
    alone = text_of(place.engine, "base")
    writing = place.engine.generate([Request("Once", parse_method("base"))], GREEDY)
    training = place.discriminator_trainer.train("letters", rows())
    lines, last = [], None
    for line in training:
        lines.append(line)
        last = next(writing, last)
    *_, last = [last, *writing]
    assert last is not None
    assert last[0].text == alone
    assert len([line for line in lines if line.startswith("read")]) > 1, "batch by batch"


def test_one_batch_is_read_in_a_turn(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []

    class Turn:
        def __enter__(self) -> None:
            held.append(True)

        def __exit__(self, *_: object) -> None:
            held.append(False)

    monkeypatch.setattr(place.engine, "turn", Turn())
    monkeypatch.setattr("adapters.discriminators.fit.TOKENS_A_PASS", 40)
    for _ in place.discriminator_trainer.train("letters", rows()):
        assert held[-1:] != [True], "nobody waits while this does something else"
    assert held == [True, False] * (len(held) // 2)
    assert len(held) > 10


def leave_early(training: Iterator[str]) -> None:
    next(training)
    next(training)
    training.close()  # type: ignore[attr-defined]


def test_what_is_left_early_leaves_nothing(place: Place) -> None:
    leave_early(place.discriminator_trainer.train("letters", rows()))
    assert not place.own.exists()
    assert not place.store.is_taken("letters")


@pytest.mark.parametrize("name", ["", "../x", "Letters", "a b", "x" * 41, ".hidden"])
def test_a_name_that_is_no_folders_is_refused(place: Place, name: str) -> None:
    with pytest.raises(UserError, match="Give it a name"):
        next(place.discriminator_trainer.train(name, rows()))
    assert not place.own.exists()


def test_a_name_is_given_once(place: Place, tiny_llama: BaseModel, tmp_path: Path) -> None:
    result(place.discriminator_trainer.train("letters", rows()))
    with pytest.raises(UserError, match="already something called 'letters'"):
        next(place.discriminator_trainer.train("letters", rows(1)))
    (place.own / "notes").mkdir()
    with pytest.raises(UserError, match="already something called 'notes'"):
        next(place.discriminator_trainer.train("notes", rows(1)))
    other = Place(replace(tiny_llama, id="other"), tmp_path)
    assert "made for the base model 'tiny-llama'" in other.store.refused["letters"]
    with pytest.raises(UserError, match="cannot be used: It was made for the base model 'tiny-llama'"):
        other.engine.generate([Request("Once", parse_method("pplm:letters:late"))], GREEDY)
    with pytest.raises(UserError, match="already something called 'letters'"):
        next(other.discriminator_trainer.train("letters", rows(1)))


def test_a_name_is_reserved_while_it_is_being_trained(place: Place) -> None:
    training = place.discriminator_trainer.train("letters", rows())
    next(training)
    assert place.store.is_taken("letters")
    with pytest.raises(UserError, match="already something called 'letters'"):
        next(place.discriminator_trainer.train("letters", rows(1)))
    training.close()
    assert not place.store.is_taken("letters")


@pytest.mark.parametrize("label", ["a+b", "a*2", "a,b"])
def test_a_class_that_no_short_name_can_hold_is_refused(place: Place, label: str) -> None:
    with pytest.raises(UserError, match=r"A class cannot be called .* stands between the parts of a method"):
        next(place.discriminator_trainer.train("letters", rows(0, label, "late")))
    assert not place.own.exists()


def test_the_folder_of_own_ones_does_not_grow_for_ever(place: Place) -> None:
    for number in range(MAX_OWN):
        (place.own / f"n{number}").mkdir(parents=True)
    with pytest.raises(UserError, match=f"There are {MAX_OWN} adapters of your own already"):
        next(place.discriminator_trainer.train("letters", rows()))


def test_a_report_is_read_or_said_to_be_damaged(place: Place) -> None:
    result(place.discriminator_trainer.train("letters", rows()))
    file = place.own / "letters" / METRICS_FILE
    data = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps(data | {"surprise": 1}), "utf-8")
    with pytest.raises(UserError, match="surprise"):
        place.discriminator_trainer.report("letters")
    file.unlink()
    assert place.discriminator_trainer.report("letters") is None
    with pytest.raises(UserError, match="no discriminator 'nothing'"):
        place.discriminator_trainer.report("nothing")
