"""What a lent GPU writes, and what it is never asked: on a stand-in for the platform that is as strict as it is."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from adapters.adapter_files import WEIGHTS_FILE
from adapters.decoding.far import Far, Reply, Task, Worker, grown, growth
from adapters.decoding.text import Continuation
from adapters.discriminators.labelled import Labelled
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, UserError
from adapters.training import queue
from adapters.training.corpus import own_dataset
from adapters.training.making import Place, make_adapter
from adapters.training.order import TrainOrder, TrainSettings, finish
from adapters.training.queue import Trainer
from app import Settings, model_services, services_of
from demo import zero
from demo.parts.words import TABLES, zero_error
from demo.services import ModelServices
from demo.zero import lent, platform
from leaderboard.store.database import Database
from tests import tiny
from tests.adapters.conftest import make_bench
from tests.zero_gpu import spaces

GREEDY = Sampling(temperature=0, max_new_tokens=12)
MOOD = PPLM((Attribute("mood:up"),), num_iterations=2)
METHODS = [
    BASE,
    Method("verse", lora="verse"),
    Method("gain", lora="gain"),
    Method("facts", prefix="facts"),
    Method("up", steering=MOOD),
    Method("best", lora="verse", steering=replace(MOOD, best_of=3)),
]
SAMPLED = [Request("Once upon a time", method, seed) for seed, method in enumerate(METHODS)]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zero")
    make_bench(tiny.llama(), folder / "adapters")
    shutil.rmtree(folder / "adapters" / "burst")
    return folder


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the calls that were made of the platform."""
    file = tmp_path / "calls"
    file.touch()
    monkeypatch.setenv("SPACES_CALLS_FILE", str(file))
    return file


def services_at(home: Path, **lend: Any) -> ModelServices:
    base = tiny.llama()
    make = partial(model_services, settings=Settings(None, home, "127.0.0.1"))
    services = lent(spaces.GPU, base, home, make, **lend)
    spaces.put_away([base.model])
    return services


@pytest.fixture
def away(home: Path, calls: Path) -> Iterator[ModelServices]:
    """The services of a page that has started: no weight can be touched here."""
    yield services_at(home)
    spaces.bring_back()


@pytest.fixture(scope="module")
def here(home: Path) -> ModelServices:
    return model_services(tiny.llama(), Settings(None, home, "127.0.0.1"))


def timeless(states: list[Continuation]) -> list[Continuation]:
    return [state._replace(seconds=0.0, wait=None) for state in states]


def test_texts_are_those_of_a_model_that_is_here(away: ModelServices, here: ModelServices, calls: Path) -> None:
    sampling = Sampling(max_new_tokens=10)
    for mine, other in ((away.engine.compare, here.engine.compare), (away.engine.generate, here.engine.generate)):
        *_, found = mine(SAMPLED, sampling)
        *_, expected = other(SAMPLED, sampling)
        assert timeless(found) == timeless(expected)
    assert len(calls.read_text().splitlines()) == 2, "a comparison with its base log-probabilities is one call"


def test_what_is_sent_of_a_text_does_not_grow_with_it() -> None:
    state = Continuation(Request("Hi", BASE), (1, 2), (), "", (), None, 0.0)
    for number in range(50):
        longer = (*state.token_ids, number)
        after = state._replace(token_ids=longer, logprobs=(*state.logprobs, -1.0), text="x", seconds=1.0)
        new = growth(state, after)
        assert new.token_ids == (number,)
        assert grown(state, new) == after
        state = after
    other = state._replace(token_ids=(0, 1, 9), logprobs=(-1.0, -1.0, -3.0), finish_reason="eos")
    assert grown(state, growth(state, other)) == other, "the best candidate may be another one than was shown"


def test_scores_xrays_and_what_was_learned_come_from_there(away: ModelServices, here: ModelServices) -> None:
    pairs = [((1, 2, 3), (4, 5)), ((7,), (8, 9, 10))]
    for method in METHODS[:4]:
        found, expected = (s.engine.loglikelihood(pairs, method) for s in (away, here))
        assert found == expected
    request = Request("Once upon a time", METHODS[4])
    *_, written = here.engine.generate([request], GREEDY)
    *_, mine = away.xrays.text(request, written[0].token_ids, ("a",))
    *_, theirs = here.xrays.text(request, written[0].token_ids, ("a",))
    assert mine == theirs
    assert list(away.xrays.next_tokens(SAMPLED[:3])) == list(here.xrays.next_tokens(SAMPLED[:3]))
    ids = [written[0].token_ids]
    assert list(away.xrays.scores([request], ids, METHODS[:2])) == list(here.xrays.scores([request], ids, METHODS[:2]))
    assert away.explorer.updates("verse") == here.explorer.updates("verse")
    assert away.explorer.as_json("facts") == here.explorer.as_json("facts")
    *_, watched = away.explorer.watch("facts", "Hello there")
    assert watched.attention is not None


def test_what_cannot_be_done_is_refused_before_a_gpu_is_asked_for(away: ModelServices, calls: Path) -> None:
    engine = away.engine
    for request in (
        Request(" ", BASE),
        Request("x" * 4000, BASE),
        Request("Hi", Method("none", lora="nobody")),
        Request("Hi", Method("none", prefix="verse")),
        Request("Hi", Method("none", steering=PPLM((Attribute("mood:sideways"),)))),
        Request("Hi", Method("none", steering=PPLM((Attribute("nothing:up"),)))),
    ):
        with pytest.raises(UserError):
            engine.compare([request], GREEDY)
        with pytest.raises(UserError):
            engine.generate([request], GREEDY)
        with pytest.raises(UserError):
            away.xrays.text(request, (1, 2))
    for refused in (lambda: away.explorer.updates("nobody"), lambda: away.library.merged("nobody", Path())):
        with pytest.raises(UserError, match="nobody"):
            refused()
    assert calls.read_text() == ""


def test_closing_ends_the_work_and_the_worker_serves_again(away: ModelServices) -> None:
    with closing(away.engine.generate([Request("Once", BASE)], Sampling(max_new_tokens=100))) as states:
        next(states)
    started = time.monotonic()
    *_, (row,) = away.engine.generate([Request("Once", BASE)], GREEDY)
    assert row.finish_reason
    assert time.monotonic() - started < 20


def test_a_warm_worker_learns_of_adapters_that_come_change_and_go(away: ModelServices, home: Path) -> None:
    request = Request("Once upon a time", Method("new", lora="new"))
    *_, (base,) = away.engine.generate([Request("Once upon a time", BASE)], GREEDY)
    folder = home / "adapters" / "new"
    try:
        for source in ("verse", "gain"):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(home / "adapters" / source, folder)
            away.store.offer(folder)  # the gains of a DoRA need the weights: they are checked there
            *_, (mine,) = away.engine.generate([request], GREEDY)
            *_, (same,) = away.engine.generate([Request("Once upon a time", Method("s", lora=source))], GREEDY)
            assert mine.token_ids == same.token_ids != base.token_ids
        away.store.withdraw("new")
        with pytest.raises(UserError, match="new"):
            away.engine.generate([request], GREEDY)
        *_, (still,) = away.engine.generate([Request("Once upon a time", BASE)], GREEDY)
        assert still.token_ids == base.token_ids
    finally:
        shutil.rmtree(folder)


def test_a_merged_model_and_a_discriminator_are_made_there(
    away: ModelServices, here: ModelServices, home: Path
) -> None:
    there, mine = home / "there", home / "mine"
    for folder in (there, mine):
        folder.mkdir()
    found, expected = away.library.merged("verse", there), here.library.merged("verse", mine)
    assert found.read_bytes() == expected.read_bytes()
    rows = [Labelled(text * 3, label) for label, text in (("a", "aaa "), ("b", "zzz ")) for _ in range(12)]
    lines = list(away.discriminator_trainer.train("letters", rows))
    assert lines
    assert "letters" in away.store.discriminators
    *_, (row,) = away.engine.generate([Request("Hi", Method("m", steering=PPLM((Attribute("letters:a"),))))], GREEDY)
    assert row.finish_reason


def run_of(make: Any, seconds: int = 30) -> Iterator[Reply]:
    """The replies of a task of a service of one's own."""
    spaces.away.append((Paused(), Paused))
    worker = Worker(lambda: {"store": Paused(), "engine": Paused(), "own": make})
    return platform(spaces.GPU, worker)(Task("own", "work", (), seconds, {}))


class Paused:
    """A service that takes its time, or fails."""

    def __init__(self, seconds: float = 0.0, error: Exception | None = None) -> None:
        self.seconds, self.error = seconds, error

    def follow(self, _: Any) -> None:
        pass

    def work(self) -> int:
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        return os.getpid()


def test_errors_of_a_worker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    try:
        assert list(run_of(Paused())) != [("end", os.getpid())]
        assert list(run_of(Paused(error=UserError("Mend this.")))) == [("refused", "Mend this.")]
        with pytest.raises(UserError, match="taken away"):
            list(run_of(Paused(seconds=30), seconds=1))
        with pytest.raises(Exception, match="ValueError"):
            list(run_of(Paused(error=ValueError("inner life"))))
        quota = tmp_path / "quota"
        quota.write_text("12")
        monkeypatch.setenv("SPACES_QUOTA_FILE", str(quota))
        with pytest.raises(UserError, match=r"used up for now.*\(30s requested vs\. 12s left\)"):
            list(run_of(Paused(), seconds=30))
    finally:
        spaces.bring_back()


def test_every_error_of_the_platform_has_our_words() -> None:
    assert all(zero_error(f"It says: {part}.") == line for part, line in TABLES["zero"].items() if part != "quota")
    assert zero_error("RuntimeError") is None, "a fault of ours"


def test_the_time_that_is_asked_for_follows_what_calls_took(away: ModelServices) -> None:
    far = away.engine.far
    assert far is not None
    before = far.seconds(10_000)
    *_, _ = away.engine.generate([Request("Once", BASE)], Sampling(max_new_tokens=60))
    assert far.seconds(10_000) < before, "a tiny model is faster than the guess"
    small, large = (away.engine.cost([Request("Hi", method)], GREEDY) for method in (BASE, METHODS[4]))
    assert (small, large) == (12, 12 * (2 + 3 * 2)), "a pass of each iteration, and its backward pass counts twice"


def test_a_training_in_slices_ends_like_one_that_is_never_stopped(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: Path
) -> None:
    monkeypatch.setattr(zero, "SLICE_SECONDS", 0.2)
    monkeypatch.setattr(queue, "RETRY_SECONDS", 0.1)
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(f'{{"prompt": "What is {n}?", "completion": "it"}}\n' for n in range(40)))
    settings = TrainSettings(LoraSettings(r=2, lora_dropout=0.2), 30, 4, 64, 0.03, 2, eval_every=6, eval_examples=4)
    order = TrainOrder("sliced", settings, about="rows", licence="CC0")
    quota = tmp_path / "quota"
    quota.write_text("0")
    monkeypatch.setenv("SPACES_QUOTA_FILE", str(quota))
    own = tmp_path / "home"
    own.mkdir()
    away = services_at(own)
    try:
        trainer = Trainer(away.engine.base, own, away.store, far=away.engine.far)
        id = trainer.start(order, rows, "somebody")
        watched = trainer.watch(id)
        assert "It goes on later" in next(job.now.message for job in watched if "about to" not in job.now.message)
        quota.write_text("100000")
        *_, job = watched
    finally:
        spaces.bring_back()
    assert job.now.state == "done", job.now.message
    assert len(calls.read_text().splitlines()) > 1, "in several slices"
    place = Place(tmp_path / "whole", "", tmp_path / "logs")
    finish(make_adapter(tiny.llama(), order, own_dataset(rows), place), str)
    mine, whole = (load_file(folder / WEIGHTS_FILE) for folder in (own / "adapters" / "sliced", place.folder))
    assert mine.keys() == whole.keys()
    assert all(mine[name].equal(whole[name]) for name in mine)


def test_hashes_are_those_of_a_model_that_is_here(away: ModelServices, here: ModelServices) -> None:
    assert away.store.hashes.items() >= here.store.hashes.items()
    assert away.engine.base.weights_hash == here.engine.base.weights_hash


def test_the_stand_in_is_strict(away: ModelServices) -> None:
    weight = next(away.engine.base.model.parameters())
    assert weight.shape[0] == 258
    for touch in (
        lambda: weight + 1,
        weight.sum,
        weight.cpu,
        lambda: weight[0],
        weight.detach,
        lambda: weight.tolist(),
    ):
        with pytest.raises(RuntimeError, match="disk-offloaded"):
            touch()


def test_all_services_stand_without_a_weight(home: Path) -> None:
    base = tiny.llama()
    database = Database("sqlite://")
    try:
        services = services_of(base, database, Settings(None, home, "127.0.0.1"), lend=spaces.GPU)
        spaces.put_away([base.model])
        assert services.versions["device"] == "cpu"
        assert services.runner.hashes.named(METHODS)["base"]
        assert isinstance(services.engine.far, Far)
    finally:
        spaces.bring_back()
