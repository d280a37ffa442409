"""The estimate of a training has every part of the work; load and validations do not change the noted speed."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.base_model import BaseModel
from adapters.lora.settings import LoraSettings
from adapters.training.corpus import DATASETS
from adapters.training.job_folder import History, pace
from adapters.training.order import Event, Plan, StepSample, Times, TrainOrder, TrainSettings, TrainStep, measured_rows
from adapters.training.speeds import EXTRA_TOKENS, STEP_TOKENS, Speeds, Stopwatch, known_speeds
from adapters.training.training_estimate import Counts, Estimator, times_of

QUICK = TrainSettings(LoraSettings(), 24, 4, 32, eval_every=4, eval_examples=8)
LONG = replace(QUICK, steps=100, batch_size=8, max_length=128, eval_every=10, eval_examples=32)
SPEEDS = Speeds(start=12.0, trained=0.01, written=0.1)
COUNTS = Counts(200, 200, 30.0, 30.0, 32, 31, (), ())


class Machine:
    """A machine on which each kind of work takes as long as SPEEDS says; a busy one takes longer by the clock only."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processor, self.tokens = 0.0, 0
        monkeypatch.setattr("time.process_time", lambda: self.processor)
        monkeypatch.setattr("adapters.training.speeds.num_threads", lambda: 1)

    def train(self, watch: Stopwatch, settings: TrainSettings, sample_every: int) -> None:
        self.processor += SPEEDS.start
        watch.take(Plan(settings.steps, ()))
        for number in range(1, settings.steps + 1):
            self.processor += SPEEDS.trained * (120 + EXTRA_TOKENS)
            checked = 4.0 if number % settings.eval_every == 0 else None
            self.processor += 9.0 if checked else 0.0
            self.tokens += 120
            self.told(watch, TrainStep(number, 4.0, checked, False, self.tokens, 999.0 * number))
            if number % sample_every == 0:
                self.processor += SPEEDS.written * STEP_TOKENS
                self.told(watch, StepSample(number, "x"))

    def told(self, watch: Stopwatch, event: Event) -> None:
        watch.take(event)


def test_validations_samples_and_load_do_not_change_the_noted_speed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine, watch = Machine(monkeypatch), Stopwatch("cpu")
    machine.train(watch, QUICK, sample_every=3)
    watch.note(tmp_path, "tiny", QUICK)
    assert known_speeds(tmp_path, "tiny", LONG) == pytest.approx(SPEEDS._asdict())
    assert known_speeds(tmp_path, "tiny", replace(LONG, bfloat16=True)) == {}


def test_the_median_of_the_newest_trainings_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for seconds in (50.0, 50.0, 12.0, 13.0, 90.0, 14.0, 12.5):
        machine, watch = Machine(monkeypatch), Stopwatch("cpu")
        machine.processor = seconds
        watch.take(Plan(1, ()))
        watch.note(tmp_path, "tiny", QUICK)
    assert known_speeds(tmp_path, "tiny", QUICK) == {"start": 13.0}


def test_an_estimate_has_every_part_of_the_work() -> None:
    order = TrainOrder("verse", QUICK, sample_prompt="The sea", sample_every=12)
    start, training, measuring = times_of(order, COUNTS, SPEEDS)
    assert start == 12.0
    steps, texts = 24 * 0.01 * (4 * 30 + EXTRA_TOKENS), 3 * STEP_TOKENS * 0.1  # the base model's text too
    assert training == pytest.approx(steps + texts + 6 * 8 * 30 * 0.0055)
    assert measuring > 2 * 60 * 0.1, "two sample texts, and the likelihoods"
    silent = times_of(replace(order, sample_prompt=""), COUNTS, SPEEDS)
    assert training - silent.training == pytest.approx(texts)
    asked = times_of(order, COUNTS._replace(asked=tuple(range(5, 25))), SPEEDS)
    assert asked.measuring > measuring + 8 * 24 * 0.1, "each length of a prompt is answered apart"


def test_a_short_training_is_not_measured_for_longer_than_it_trained() -> None:
    assert measured_rows(TrainOrder("verse", QUICK)) == (16, 4)
    assert measured_rows(TrainOrder("verse", LONG)) == (128, 32)
    assert measured_rows(TrainOrder("verse", QUICK, epochs=1.0)) == (128, 32)
    start, training, measuring = times_of(TrainOrder("verse", QUICK), COUNTS, SPEEDS)
    assert measuring < training


def test_an_estimate_comes_from_what_was_noted(
    monkeypatch: pytest.MonkeyPatch, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    estimator, order = Estimator(tiny_llama, tmp_path, 1000, 10_000), TrainOrder("verse", LONG, data="poetry")
    assert "timed here" in estimator.estimate(order, DATASETS["poetry"]).notes[-1]
    machine, watch = Machine(monkeypatch), Stopwatch("cpu")
    machine.train(watch, QUICK, sample_every=3)
    watch.note(tmp_path, tiny_llama.id, QUICK)
    found = estimator.estimate(order, DATASETS["poetry"])
    assert "earlier trainings" in found.notes[-1]
    assert found.times.start == 12.0
    assert found.times.training > 100 * 0.01 * EXTRA_TOKENS


TIMES = Times(10.0, 60.0, 30.0)


def test_one_bar_for_start_training_and_measuring() -> None:
    began = History("running", total=30, since=1000.0)
    assert pace(began, TIMES, 1005.0) == (0.05, None, 95.0)
    assert pace(began, TIMES, 1900.0).done < 0.1, "it waits for the first step"
    steps = tuple(TrainStep(n, 4.0, None, False, 100 * n, 4.0 * n) for n in range(1, 16))  # twice as slow as expected
    training = began._replace(phase="training", steps=steps)
    assert pace(training, TIMES, 1100.0) == pytest.approx((0.4, 25.0, 15 * 4.0 + 60.0))
    measuring = training._replace(phase="measuring", since=1100.0)
    half = pace(measuring, TIMES, 1130.0)
    assert (half.done, half.seconds_left) == pytest.approx((0.85, 30.0))
    assert 0.98 < pace(measuring, TIMES, 9000.0).done < 1
    assert pace(History("done"), TIMES, 0.0) == (1.0, None, None)
    assert pace(History("waiting"), TIMES, 0.0) == (0.0, None, None)
    old = pace(training, Times(), 1100.0)
    assert (old.done, old.seconds_left) == (0.5, 60.0), "a job of an older version has no expected times"
    assert not math.isnan(pace(began, Times(), 2000.0).done)
