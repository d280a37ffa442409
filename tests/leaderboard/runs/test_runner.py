"""Runs on tiny models: complete, resumable, repeatable, and the same whatever the batch or the interruption."""

import multiprocessing
import random
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine, update

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import (
    BASE,
    PPLM,
    Attribute,
    Method,
    Request,
    Sampling,
    UserError,
    as_in_paper,
    from_json,
    parse_method,
    to_json,
)
from adapters.pplm.discriminator import write_discriminator
from adapters.store.adapter_store import AdapterStore
from leaderboard.metrics import MODULES
from leaderboard.metrics.metric import Metric, Texts, ratio
from leaderboard.metrics.passport import Array, Passport
from leaderboard.records import AGAIN, AdapterCost, Prompt, PromptSet, RunData, RunSpec
from leaderboard.runs.plan import Clock, Plan, Progress
from leaderboard.runs.runner import MAX_UNFINISHED, Difference, Runner
from leaderboard.store.database import Database
from leaderboard.store.schema import samples
from tests.adapters.conftest import Bench
from tests.adapters.discriminators.mood import MOOD, moved
from tests.tiny import byte_tokenizer

VOWELS = PPLM((Attribute("vowels", words=("a", "e", "o")),), num_iterations=2)
METHODS = (
    BASE,
    Method("lora:verse", lora="verse"),
    Method("prefix:facts", prefix="facts"),
    Method("pplm", steering=VOWELS),
)
PROMPTS = PromptSet(
    "openers", (Prompt("The sea", " is wide"), Prompt("Once upon a time"), Prompt("é"), Prompt("A b c d", "e"))
)
SPEC = RunSpec(METHODS, samples=2, sampling=Sampling(max_new_tokens=6))


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")


def new_database(folder: Path, name: str = "a") -> Database:
    return Database(f"sqlite:///{folder / name}.db")


@pytest.fixture
def runner(bench: Bench, tmp_path: Path) -> Runner:
    return Runner(bench.engine, new_database(tmp_path), rows=4)


def made(runner: Runner, spec: RunSpec = SPEC, prompts: PromptSet = PROMPTS) -> RunData:
    """A finished run."""
    run = runner.add(spec, prompts, None)
    for _ in runner.run(run.id):
        pass
    return runner.data(run.id)


def content(data: RunData) -> tuple[Any, ...]:
    """What of a run may not depend on how it was computed."""
    return data.samples, data.tallies, data.prompt_tallies, data.costs


def tokens(runner: Runner, data: RunData) -> dict[str, tuple[int, ...]]:
    return {key: trace.token_ids for key, trace in runner.database.traces([s.key for s in data.samples]).items()}


def test_a_run_has_every_text_with_every_score(runner: Runner) -> None:
    data = made(runner)
    assert [(s.prompt, s.method, s.draw) for s in data.samples] == [
        (prompt, method, draw) for prompt in range(4) for method in range(4) for draw in range(2)
    ]
    keys = {sample.key for sample in data.samples}
    assert set(data.tallies) == {"base", "lora:verse", "prefix:facts"}
    assert all(set(tallies) == keys for tallies in data.tallies.values())
    assert {(kind, label): set(places) for (kind, label), places in data.prompt_tallies.items()} == {
        (kind, label): places
        for kind, places in (("prompt", {0, 1, 2, 3}), ("reference", {0, 3}))
        for label in data.tallies
    }
    assert data.run.status == "done"
    assert runner.database.results(data.run.id) is not None, "the table is kept with the run"
    assert {timing.method for timing in data.timings} == {0, 1, 2, 3}
    assert sum(t.num_tokens for t in data.timings) == sum(s.num_tokens for s in data.samples)
    assert [cost.num_parameters > 0 for cost in data.costs] == [False, True, True, False]


def test_every_attribute_of_a_method_has_its_column_and_a_head_its_cost(tiny_llama: BaseModel, tmp_path: Path) -> None:
    """Of two discriminators only the shipped one has a judge, whose column every method gets."""
    for name, classes in {"sentiment": ("negative", "positive", "flat"), "mood": MOOD.classes}.items():
        (tmp_path / name).mkdir()
        write_discriminator(MOOD._replace(classes=classes), tiny_llama, tmp_path / name)
    engine = Engine(tiny_llama, AdapterStore([tmp_path], tiny_llama))
    both = (Attribute("sentiment:positive"), Attribute("mood:up"), Attribute("sentiment:negative", -1.0))
    steered = Method("both", steering=PPLM(both, num_iterations=1))
    runner = Runner(engine, new_database(tmp_path))
    data = made(runner, RunSpec((BASE, steered), sampling=Sampling(max_new_tokens=3)))
    columns = {label: set(of) for label, of in data.tallies.items() if label != "base"}
    keys = {sample.key for sample in data.samples}
    assert columns == {"attribute:sentiment:positive": keys, "attribute:sentiment:negative": keys}
    results = runner.results(data.run.id)
    wanted = {label: results.passports[label].higher_is_better for label in columns}
    assert wanted == {"attribute:sentiment:positive": True, "attribute:sentiment:negative": False}
    size = sum((tmp_path / name / "adapter_model.safetensors").stat().st_size for name in ("sentiment", "mood"))
    assert data.costs == (AdapterCost(0, 0), AdapterCost(2 * (3 * 32 + 3), size))


def test_a_vector_is_judged_by_its_sign_and_has_its_own_cost(tiny_llama: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "sentiment").mkdir()
    head = moved("model.layers.1")._replace(classes=("negative", "positive", "flat"))
    write_discriminator(head, tiny_llama, tmp_path / "sentiment")
    runner = Runner(Engine(tiny_llama, AdapterStore([tmp_path], tiny_llama)), new_database(tmp_path))
    method = parse_method("vector:sentiment:positive+vector:sentiment:negative*-0.3")
    data = made(runner, RunSpec((BASE, method), sampling=Sampling(max_new_tokens=3)))
    passports = runner.results(data.run.id).passports
    wanted = {label: passports[label].higher_is_better for label in data.tallies if label.startswith("attribute")}
    assert wanted == {"attribute:sentiment:positive": True, "attribute:sentiment:negative": False}
    size = (tmp_path / "sentiment" / "adapter_model.safetensors").stat().st_size
    assert data.costs == (AdapterCost(0, 0), AdapterCost(2 * 32, size))
    assert method.name in data.run.spec.scorers, "its texts are scored under itself too"


def test_texts_are_those_of_the_engine(runner: Runner) -> None:
    data = made(runner)
    for sample in data.samples[:8]:
        prompt = PROMPTS.prompts[sample.prompt].prompt
        request = Request(prompt, METHODS[sample.method], SPEC.sample_seed(prompt, sample.draw))
        *_, (row,) = runner.engine.generate([request], SPEC.sampling)
        assert (row.text, row.finish_reason, request.seed) == (sample.text, sample.finish_reason, sample.seed)
        assert tokens(runner, data)[sample.key] == row.token_ids


def test_scores_are_those_of_a_text_alone(runner: Runner) -> None:
    data = made(runner)
    traces = runner.database.traces([sample.key for sample in data.samples])
    for label, method in SPEC.scorers.items():
        for key, tally in data.tallies[label].items():
            (alone,) = runner.engine.loglikelihood([(traces[key].prompt_ids, traces[key].token_ids)], method)
            assert tally.total == pytest.approx(alone.sum_logprob, abs=1e-3)
            assert tally.number == len(traces[key].token_ids)
    ids = runner.engine.base.encode("The sea")
    (alone,) = runner.engine.loglikelihood([(ids[:1], ids[1:])], BASE)
    assert data.prompt_tallies["prompt", "base"][0].total == pytest.approx(alone.sum_logprob, abs=1e-4)
    (alone,) = runner.engine.loglikelihood([(ids, runner.engine.base.encode_bare(" is wide"))], METHODS[2])
    assert data.prompt_tallies["reference", "prefix:facts"][0].total == pytest.approx(alone.sum_logprob, abs=1e-4)
    assert data.prompt_tallies["reference", "base"][3].number == 2, "a blank between 'A b c d' and 'e'"


def test_what_generation_knew_is_not_scored_again(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    scored: list[str] = []
    original = runner.engine.loglikelihood

    def spy(texts: Any, method: Method, **options: Any) -> Any:
        scored.extend(f"{method.name} {tuple(ids)}" for _, ids in texts)
        return original(texts, method, **options)

    monkeypatch.setattr(runner.engine, "loglikelihood", spy)
    data = made(runner, replace(SPEC, samples=1))
    own = {"base": (0, 3), "lora:verse": (1,), "prefix:facts": (2,)}  # the steered texts' clean rows are the base's
    ids = tokens(runner, data)
    for label, methods in own.items():
        for sample in data.samples:
            assert (f"{label} {ids[sample.key]}" in scored) == (sample.method not in methods)
    assert len(scored) == 4 * (4 * 3 - 4) + 3 * (4 + 2), "texts, prompts and references, each once"


def test_a_repeated_run_costs_nothing(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    first = made(runner)
    run = runner.add(SPEC, PROMPTS, "me")

    def fail(*_: Any) -> None:
        raise AssertionError("the model was asked")

    monkeypatch.setattr(runner.engine, "generate", fail)
    monkeypatch.setattr(runner.engine, "loglikelihood", fail)
    *_, last = runner.run(run.id)
    assert (last.phase, last.done, last.seconds_left) == ("done", last.total, 0.0)
    again = runner.data(run.id)
    assert content(again) == content(first)
    assert again.timings == (), "nothing was measured"


def test_a_metric_that_is_added_later_is_computed_for_stored_runs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the stored texts alone: nothing is written or scored again."""
    id = made(runner).run.id
    later = ModuleType("letters")
    passport = Passport("letters", None, "characters / texts")

    def rows(texts: Texts) -> Array:
        return texts.by_prompt(np.array([len(text) for text in texts.texts]), np.ones(len(texts.texts)))

    later.columns = lambda setting: [Metric("letters", passport, rows, ratio)]  # type: ignore[attr-defined]
    assert "letters" not in runner.results(id).metrics
    monkeypatch.setattr("leaderboard.tables.table.MODULES", (*MODULES, later))
    monkeypatch.setattr(Engine, "generate", None)
    monkeypatch.setattr(Engine, "loglikelihood", None)
    results = runner.results(id)
    base = [sample.text for sample in runner.data(id).samples if sample.method == 0]
    assert results.cells["letters"]["base"].value == pytest.approx(sum(map(len, base)) / len(base))
    monkeypatch.setattr(runner.database, "data", None)
    assert to_json(runner.results(id)) == to_json(results), "it is stored"


def test_an_a_a_row_is_the_base_of_the_next_seed_and_replays(runner: Runner) -> None:
    spec = RunSpec((BASE, AGAIN), samples=2, sampling=Sampling(max_new_tokens=6))
    data, next_seed = made(runner, spec), made(runner, replace(spec, methods=(BASE,), seed=spec.seed + 1))
    base, again = ([s[3:] for s in data.samples if s.method == number] for number in (0, 1))
    assert again == [sample[3:] for sample in next_seed.samples]
    assert not set(base) & set(again)
    assert set(data.tallies) == {"base"}
    assert set(data.tallies["base"]) == {sample.key for sample in data.samples}
    *_, last = runner.replay(data.run.id)
    assert (last.done, last.differences) == (16, ())
    assert runner.results(data.run.id).methods == ("base", "base again")
    with pytest.raises(UserError, match="An A/A row needs the base beside it: choose base too."):
        from_json(RunSpec, {"methods": [to_json(AGAIN)]})


@pytest.mark.parametrize("rows", [1, 3, 64])
def test_the_result_does_not_depend_on_the_batch_size(bench: Bench, tmp_path: Path, rows: int) -> None:
    one, other = (Runner(bench.engine, new_database(tmp_path, str(size)), rows=size) for size in (4, rows))
    spec = replace(SPEC, methods=(*METHODS, Method("paper", steering=as_in_paper(VOWELS))))
    mine, yours = made(one, spec), made(other, spec)
    assert mine.samples == yours.samples
    assert tokens(one, mine) == tokens(other, yours)
    for label, tallies in mine.tallies.items():
        for key, tally in tallies.items():
            assert tally.total == pytest.approx(yours.tallies[label][key].total, abs=1e-3)


def test_progress_only_grows_and_names_every_text_once(runner: Runner) -> None:
    run = runner.add(SPEC, PROMPTS, None)
    steps = list(runner.run(run.id))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert all(0 <= step.done <= step.total == 4 * 4 * 2 * 6 for step in steps)
    assert sorted(s.key for step in steps for s in step.samples) == sorted(s.key for s in runner.data(run.id).samples)
    assert steps[-1] == Progress("done", steps[-1].total, steps[-1].total, 0.0)


@pytest.mark.parametrize("stop", [1, 9, 40])
def test_a_stopped_run_keeps_what_is_done_and_goes_on(bench: Bench, tmp_path: Path, stop: int) -> None:
    runner = Runner(bench.engine, new_database(tmp_path), rows=4)
    run = runner.add(SPEC, PROMPTS, None)
    with closing(runner.run(run.id)) as steps:  # type: ignore[type-var]
        seen = [next(steps) for _ in range(stop)]
    partial = runner.data(run.id)
    assert partial.run.status == "stopped"
    assert {s.key for s in partial.samples} == {s.key for step in seen for s in step.samples}
    for _ in runner.run(run.id):
        pass
    whole = Runner(bench.engine, new_database(tmp_path, "whole"), rows=4)
    assert content(runner.data(run.id)) == content(made(whole))


def work_and_die(url: str, engine: Engine, run_id: str) -> None:
    for _ in Runner(engine, Database(url), rows=4).run(run_id):
        pass


@pytest.mark.slow
def test_killed_twenty_times_it_ends_as_one_that_was_not(bench: Bench, database_url: str, tmp_path: Path) -> None:
    runner = Runner(bench.engine, Database(database_url), rows=4)
    started = time.perf_counter()
    whole = made(Runner(bench.engine, new_database(tmp_path, "whole"), rows=4))
    took = time.perf_counter() - started
    run = runner.add(SPEC, PROMPTS, None)
    fork, chance, killed = multiprocessing.get_context("fork"), random.Random(0), 0
    while killed < 20:
        worker = fork.Process(target=work_and_die, args=(database_url, bench.engine, run.id))
        worker.start()
        worker.join(timeout=chance.uniform(0, took / 4))
        if worker.exitcode is None:
            killed += 1
            worker.kill()
            worker.join()
        else:
            assert worker.exitcode == 0
            assert runner.database.delete_run(run.id, None), "it was done before it could be killed often enough"
            run = runner.add(SPEC, PROMPTS, None)
    for _ in runner.run(run.id):
        pass
    assert content(runner.data(run.id)) == content(whole)
    assert (
        runner.results(run.id).cells["perplexity"]
        == Runner(bench.engine, new_database(tmp_path, "whole"), rows=4).results(whole.run.id).cells["perplexity"]
    )


def test_two_runs_at_once_write_what_they_write_alone(bench: Bench, tmp_path: Path) -> None:
    specs = [SPEC, replace(SPEC, seed=8)]
    together = Runner(bench.engine, new_database(tmp_path), rows=4)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda spec: made(together, spec), specs))
    alone = Runner(bench.engine, new_database(tmp_path, "alone"), rows=4)
    assert [content(data)[:2] for data in both] == [content(made(alone, spec))[:2] for spec in specs]


def test_one_run_is_not_done_twice_at_once(runner: Runner) -> None:
    run = runner.add(SPEC, PROMPTS, "me")
    with closing(runner.run(run.id)) as steps:  # type: ignore[type-var]
        next(steps)
        with pytest.raises(UserError, match="running already"):
            next(runner.run(run.id))
        with pytest.raises(UserError, match="stop it first"):
            runner.delete(run.id, "me")
    assert runner.delete(run.id, "me")


def test_a_text_that_diverges_is_kept_as_such_and_the_others_go_on(runner: Runner) -> None:
    spec = replace(SPEC, methods=(BASE, Method("burst", lora="burst")))
    data = made(runner, spec)
    assert {s.finish_reason for s in data.samples if s.method == 1} == {"diverged"}
    scored = {s.key for s in data.samples if s.method == 0}
    assert set(data.tallies["base"]) == scored
    assert runner.results(data.run.id).cells["perplexity"]["base"].value > 1


def test_a_replay_is_identical_or_names_the_first_token(runner: Runner, tmp_path: Path) -> None:
    data = made(runner)
    *_, last = runner.replay(data.run.id)
    assert (last.done, last.total, last.differences) == (32, 32, ())
    sample = data.samples[5]
    trace = runner.database.traces([sample.key])[sample.key]
    changed = [trace.prompt_ids, [*trace.token_ids[:2], 0], trace.logprobs]
    with create_engine(f"sqlite:///{tmp_path / 'a.db'}").begin() as connection:
        connection.execute(update(samples).where(samples.c.key == sample.key).values(trace=changed))
    *_, last = runner.replay(data.run.id)
    assert last.differences == (Difference(METHODS[sample.method].name, sample.prompt, sample.draw, 3),)


def test_a_run_whose_model_changed_does_not_go_on(
    bench: Bench, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = runner.add(SPEC, PROMPTS, None)
    other = Runner(bench.engine, runner.database, rows=4)
    monkeypatch.setattr(other.hashes, "named", lambda methods: {**run.hashes, "lora:verse": "another"})
    with pytest.raises(UserError, match="lora:verse changed"):
        next(other.run(run.id))
    assert runner.data(run.id).run.status == "stopped"


def test_a_run_stops_where_an_adapter_changes_under_it(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    run = runner.add(SPEC, PROMPTS, None)
    steps = runner.run(run.id)
    next(steps)
    monkeypatch.setattr(runner.hashes, "named", lambda methods: {**run.hashes, "lora:verse": "another"})
    with pytest.raises(UserError, match="lora:verse changed"):
        list(steps)
    assert runner.data(run.id).run.status == "failed"


def test_an_estimate_says_what_is_left(runner: Runner) -> None:
    before = runner.estimate(SPEC, PROMPTS)
    assert (before.num_texts, before.num_known, before.num_tokens) == (32, 0, 32 * 6)
    assert before.seconds > 0
    made(runner, replace(SPEC, methods=METHODS[:2]))
    half = runner.estimate(SPEC, PROMPTS)
    assert (half.num_texts, half.num_known, half.num_tokens) == (32, 16, 16 * 6)
    assert 0 < half.seconds < before.seconds
    made(runner)
    assert runner.estimate(SPEC, PROMPTS)[1:] == (32, 0, 0.0)


def test_an_estimate_of_the_same_content_reads_nothing_again(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other settings of sampling do not read the prompts again either, another prompt set does."""
    read: list[str] = []
    hashed: list[int] = []
    encode, requests = BaseModel.encode, runner.hashes.requests

    def spy_encode(base: BaseModel, prompt: str, chat: bool = False) -> list[int]:
        read.append(prompt)
        return encode(base, prompt, chat)

    def spy_requests(of: Sequence[Request], sampling: Sampling) -> list[str]:
        hashed.append(len(of))
        return requests(of, sampling)

    monkeypatch.setattr(BaseModel, "encode", spy_encode)
    monkeypatch.setattr(runner.hashes, "requests", spy_requests)
    first = runner.estimate(SPEC, PROMPTS)
    assert {prompt.prompt for prompt in PROMPTS.prompts} <= set(read)
    assert sum(hashed) == 32
    read.clear()
    hashed.clear()
    assert runner.estimate(replace(SPEC), replace(PROMPTS)) == first
    longest = "Once upon a time"  # which every method is tried on
    assert (set(read), hashed) == ({longest}, [])
    runner.estimate(replace(SPEC, seed=8, samples=1, sampling=replace(SPEC.sampling, temperature=0.3)), PROMPTS)
    assert (set(read), sum(hashed)) == ({longest}, 16)
    runner.estimate(SPEC, PromptSet("more", (*PROMPTS.prompts, Prompt("z"))))
    assert "z" in read


def test_a_visitor_cannot_order_more_than_the_cap(runner: Runner) -> None:
    runner._estimator.seconds_a_token = 60.0
    with pytest.raises(UserError, match="minutes, at most 120 are allowed: use fewer"):
        runner.estimate(SPEC, PROMPTS, visitor=True)
    with pytest.raises(UserError, match="at most 120"):
        runner.add(SPEC, PROMPTS, "me")
    assert runner.database.runs("me") == []
    assert runner.estimate(SPEC, PROMPTS).seconds > 60 * 120, "the command line may"
    runner.add(SPEC, PROMPTS, None)
    runner._estimator.seconds_a_token = 1e-6
    runner.add(SPEC, PROMPTS, "me")


def test_what_is_stored_already_does_not_count_towards_the_cap(runner: Runner) -> None:
    made(runner)
    runner._estimator.seconds_a_token = 1e6
    runner.add(SPEC, PROMPTS, "me")


def test_a_visitor_has_few_unfinished_runs(runner: Runner) -> None:
    ids = [runner.add(SPEC, PROMPTS, "me").id for _ in range(MAX_UNFINISHED)]
    with pytest.raises(UserError, match="unfinished runs: resume or delete one first"):
        runner.add(SPEC, PROMPTS, "me")
    runner.add(SPEC, PROMPTS, "you")
    runner.add(SPEC, PROMPTS, None)
    for _ in runner.run(ids[0]):
        pass
    runner.add(SPEC, PROMPTS, "me")
    with pytest.raises(UserError, match="unfinished"):
        runner.add(SPEC, PROMPTS, "me")
    assert runner.delete(ids[1], "me")
    runner.add(SPEC, PROMPTS, "me")


def test_an_adapter_and_its_copy_both_have_their_cross_scores(benches: dict[str, Bench], tmp_path: Path) -> None:
    """So has a judge that is the base: a column each, computed once."""
    bench = benches["llama"]
    for name in ("verse", "copy"):
        bench.peft["verse"].save_pretrained(str(tmp_path / name))
    engine = Engine(bench.base, AdapterStore([tmp_path], bench.base))
    twin = Engine(bench.base, AdapterStore([], bench.base))
    runner = Runner(engine, new_database(tmp_path), {"twin": lambda: twin})
    methods = (BASE, *(Method(f"lora:{name}", lora=name) for name in ("verse", "copy")))
    spec = replace(SPEC, methods=methods, judge="twin")
    data = made(runner, spec)
    labels = ["base", "lora:verse", "lora:copy", "judge:twin"]
    keys = {sample.key for sample in data.samples}
    assert len(keys) == 2 * 4 * 2, "both names write the same texts"
    assert {label: set(tallies) for label, tallies in data.tallies.items()} == dict.fromkeys(labels, keys)
    assert data.tallies["lora:verse"] == data.tallies["lora:copy"] != data.tallies["base"]
    assert data.tallies["base"] == data.tallies["judge:twin"]
    assert {label for _, label in data.prompt_tallies} == set(labels)
    results = runner.results(data.run.id)
    assert list(results.cross) == labels[:3]
    assert results.cross["lora:verse"] == results.cross["lora:copy"]


@pytest.mark.parametrize(
    ("spec", "prompts", "message"),
    [
        (replace(SPEC, methods=(Method("x", lora="nobody"),)), PROMPTS, "There is no LoRA adapter 'nobody'"),
        (replace(SPEC, judge="gpt2"), PROMPTS, "The judge 'gpt2' is not allowed here"),
        (SPEC, PromptSet("p", (Prompt("a"), Prompt("x" * 200))), "Prompt 2: Too long"),
        (SPEC, PromptSet("p", (Prompt("a"), Prompt("b\0"))), "Prompt 2: The prompt has a character"),
        (SPEC, PromptSet("p", (Prompt(" "), Prompt("b" * 9))), "Prompt 1: The prompt is empty"),
        (SPEC, PromptSet("p", (Prompt("a", "r" * 200),)), "Prompt 1: .* may need 203 tokens"),
        (replace(SPEC, chat=True), PROMPTS, "Prompt 1: tiny.* has no chat template"),
    ],
)
def test_what_cannot_run_is_said_before_anything_is_stored(
    runner: Runner, spec: RunSpec, prompts: PromptSet, message: str
) -> None:
    for ask in (runner.estimate, lambda spec, prompts: runner.add(spec, prompts, None)):
        with pytest.raises(UserError, match=message) as error:
            ask(spec, prompts)
        assert "\n" not in str(error.value)
    assert runner.database.runs(None) == []


def test_a_visitor_cannot_take_a_run_that_somebody_writes(runner: Runner) -> None:
    """Of many who begin the same run at once exactly one gets it."""
    run = runner.add(SPEC, PROMPTS, None)

    def attempt(_: int) -> bool:
        try:
            with runner._alone(run.id):
                time.sleep(0.05)
                return True
        except UserError:
            return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(attempt, range(8))) == 1


def test_methods_are_told_apart_by_name() -> None:
    with pytest.raises(ValueError, match="same name"):
        RunSpec((BASE, Method("base", lora="verse")))


def test_another_model_judges(tiny_llama: BaseModel, tiny_gpt2: BaseModel, tmp_path: Path) -> None:
    """One with the same vocabulary reads the ids that were written, another reads the text in its own tokens."""
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<other>"])
    judges = {
        "same": Engine(tiny_gpt2, AdapterStore([], tiny_gpt2)),
        "other": Engine(replace(tiny_gpt2, tokenizer=tokenizer), AdapterStore([], tiny_gpt2)),
    }
    engine = Engine(tiny_llama, AdapterStore([], tiny_llama))
    runner = Runner(
        engine,
        new_database(tmp_path),
        {name: lambda name=name: judges[name] for name in judges},  # type: ignore[misc]
    )
    for name, judge in judges.items():
        data = made(runner, RunSpec((BASE,), sampling=Sampling(max_new_tokens=6), judge=name))
        traces = runner.database.traces([s.key for s in data.samples])
        assert set(data.tallies) == {"base", f"judge:{name}"}
        for sample in data.samples:
            prompt_ids, token_ids, _ = traces[sample.key]
            if name == "other":
                token_ids = tuple(judge.base.encode_bare(sample.text))
            (alone,) = judge.loglikelihood([(prompt_ids, token_ids)], BASE)
            tally = data.tallies[f"judge:{name}"][sample.key]
            assert tally.total == pytest.approx(alone.sum_logprob, abs=1e-3)
            assert tally.number == len(token_ids)
    assert data.tallies["base"] != data.tallies["judge:other"]


def test_the_clock_follows_the_pace(monkeypatch: pytest.MonkeyPatch, runner: Runner) -> None:
    now = [0.0]
    monkeypatch.setattr("leaderboard.runs.plan.time.perf_counter", lambda: now[0])
    plan = Plan(replace(SPEC, methods=(BASE,), samples=1), PROMPTS, runner.hashes, rows=2)
    clock = Clock(plan, set(), None)
    (first,), (second,) = plan.parts
    assert clock.progress("generating", first).seconds_left is None
    now[0] = 3.0
    assert clock.progress("generating", first, 6) == Progress("generating", 6, 24, 9.0)
    clock.finish(first)
    now[0] = 4.0
    assert clock.progress("generating", second) == Progress("generating", 12, 24, 4.0)
    clock.finish(second)
    assert clock.progress("done") == Progress("done", 24, 24, 0.0)
