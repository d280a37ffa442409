"""Finished texts in a run: scored, tabulated and exported as those that it writes, and never written again."""

import io
from pathlib import Path

import pandas as pd
import pytest

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import BASE, Sampling, UserError
from adapters.store.adapter_store import AdapterStore
from leaderboard.output.export import FILES
from leaderboard.records import GIVEN, Prompt, PromptSet, RunData, RunSpec
from leaderboard.runs.runner import Runner
from leaderboard.store.database import Database
from leaderboard.texts import Finished, read_texts
from tests.adapters.conftest import Bench
from tests.leaderboard.runs.test_runner import METHODS, made, new_database

PROMPTS = PromptSet("openers", (Prompt("The sea", " is wide"), Prompt("Once upon a time ")))
SPEC = RunSpec(METHODS[:2], samples=2, sampling=Sampling(max_new_tokens=6))
PEOPLE = Finished(
    "people",
    (("The sea", "is blue"), ("The sea", "sings"), ("Once upon a time", "we sang"), ("Once upon a time", "he")),
)


@pytest.fixture
def runner(bench: Bench, tmp_path: Path) -> Runner:
    return Runner(bench.engine, new_database(tmp_path), rows=4)


def scored(runner: Runner, *texts: Finished, spec: RunSpec = SPEC, prompts: PromptSet = PROMPTS) -> RunData:
    """A finished run with these texts beside its own."""
    run = runner.add(spec, prompts, "me", texts)
    for _ in runner.run(run.id):
        pass
    return runner.data(run.id)


def test_they_are_scored_by_every_scorer_as_texts_alone(runner: Runner) -> None:
    data = scored(runner, PEOPLE)
    own = [sample for sample in data.samples if sample.method == 2]
    assert [(s.prompt, s.draw, s.text) for s in own] == [
        (0, 0, " is blue"), (0, 1, " sings"), (1, 0, "we sang"), (1, 1, "he"),
    ]  # fmt: skip
    assert {(s.seed, s.finish_reason) for s in own} == {(0, GIVEN)}
    base = runner.engine.base
    for label, method in data.run.spec.scorers.items():
        assert set(data.tallies[label]) == {sample.key for sample in data.samples}
        for sample in own:
            pair = base.encode(PROMPTS.prompts[sample.prompt].prompt), base.encode_bare(sample.text)
            (alone,) = runner.engine.loglikelihood([pair], method)
            assert data.tallies[label][sample.key].total == pytest.approx(alone.sum_logprob, abs=1e-3)
            assert data.tallies[label][sample.key].number == sample.num_tokens == len(pair[1])


def test_the_other_rows_are_what_they_are_without(runner: Runner) -> None:
    data, alone = scored(runner, PEOPLE), made(runner, SPEC, PROMPTS)
    assert [sample for sample in data.samples if sample.method < 2] == list(alone.samples)


def test_their_figures_are_like_others_and_their_costs_are_absent(runner: Runner) -> None:
    data = scored(runner, PEOPLE)
    results = runner.results(data.run.id)
    assert results.methods == ("base", "lora:verse", "people")
    missing = {metric for metric, cells in results.cells.items() if cells["people"].value != cells["people"].value}
    assert missing == {"speed", "parameters", "bytes", "memory"}
    assert results.cells["bytes"]["base"].value == 0
    assert results.cells["perplexity"]["people"].difference == pytest.approx(
        results.cells["perplexity"]["people"].value - results.cells["perplexity"]["base"].value
    )
    table = pd.read_parquet(io.BytesIO(FILES["table.parquet"](data, results)))
    own = table[(table["method"] == "people") & table["value"].isna()]
    assert set(own["metric"]) == missing


def test_texts_of_this_model_score_as_they_did_when_they_were_written(embedded: BaseModel, tmp_path: Path) -> None:
    """The border between prompt and text is that of generation: exported texts come back with their perplexity."""
    runner = Runner(Engine(embedded, AdapterStore([], embedded)), new_database(tmp_path))
    prompts = PromptSet("two", (Prompt("The scientist opened the door"), Prompt("Once upon a time")))
    spec = RunSpec((BASE,), sampling=Sampling(max_new_tokens=12, temperature=0))
    first = made(runner, spec, prompts)
    table = pd.read_parquet(io.BytesIO(FILES["texts.parquet"](first, runner.results(first.run.id))))
    whole = table[["prompt", "method"]].assign(text=table["prompt"] + table["text"]).to_json(orient="records").encode()
    again = scored(runner, *read_texts(whole, "june.json", "June"), spec=spec, prompts=prompts)
    assert [method.name for method in again.run.spec.methods] == ["base", "June base"]
    base, traces = again.tallies["base"], runner.database.traces([sample.key for sample in again.samples])
    for place in (0, 1):
        written, given = (s for s in again.samples if s.prompt == place)
        assert traces[given.key].token_ids == traces[written.key].token_ids
        assert traces[given.key].prompt_ids == traces[written.key].prompt_ids
        assert base[given.key].total == pytest.approx(base[written.key].total, abs=1e-2)


def test_a_replay_leaves_them_out(runner: Runner) -> None:
    data = scored(runner, PEOPLE)
    *_, last = runner.replay(data.run.id)
    assert (last.done, last.total, last.differences) == (8, 8, ())


def test_a_later_start_of_the_app_knows_them(runner: Runner, bench: Bench, tmp_path: Path) -> None:
    data = scored(runner, PEOPLE)
    later = Runner(bench.engine, Database(f"sqlite:///{tmp_path / 'a.db'}"), rows=4)
    assert later.data(data.run.id) == data
    results = later.results(data.run.id)
    page = FILES["report.html"](data, results).decode()
    assert "people" in page
    assert " is blue" in page
    texts = pd.read_parquet(io.BytesIO(FILES["texts.parquet"](data, results)))
    own = texts[texts["method"] == "people"]
    assert own["text"].tolist() == [" is blue", " sings", "we sang", "he"]
    assert own["seed"].isna().all()
    assert texts["seed"].notna().sum() == 8


def test_a_stopped_run_goes_on_with_them(runner: Runner) -> None:
    run = runner.add(SPEC, PROMPTS, None, [PEOPLE])
    steps = runner.run(run.id)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    for _ in runner.run(run.id):
        pass
    assert len(runner.data(run.id).samples) == 12
    assert runner.data(run.id).samples == scored(runner, PEOPLE).samples


def test_they_go_with_the_last_run_that_has_them(runner: Runner) -> None:
    one, other = scored(runner, PEOPLE), scored(runner, PEOPLE)
    keys = [sample.key for sample in one.samples if sample.method == 2]
    assert [sample.key for sample in other.samples if sample.method == 2] == keys
    runner.delete(one.run.id, "me")
    assert set(runner.database.traces(keys)) == set(keys)
    runner.delete(other.run.id, "me")
    assert runner.database.traces(keys) == {}


def test_nothing_but_scores_is_asked_of_the_model(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    made(runner, SPEC, PROMPTS)
    before = runner.estimate(SPEC, PROMPTS, texts=[PEOPLE])
    assert (before.num_texts, before.num_known) == (8, 8)
    monkeypatch.setattr(Engine, "generate", None)
    assert len(scored(runner, PEOPLE).samples) == 12


def test_what_does_not_fit_is_refused_before_the_run(runner: Runner) -> None:
    long = PEOPLE._replace(texts=(*PEOPLE.texts[:3], ("Once upon a time", "a b c " * 300)))
    too_long = "^Prompt 2: with its reference or text it may need"
    with pytest.raises(UserError, match=too_long):
        runner.estimate(SPEC, PROMPTS, texts=[long])
    with pytest.raises(UserError, match=too_long):
        runner.add(SPEC, PROMPTS, None, [long])
    with pytest.raises(UserError, match="1 prompt without a text"):
        runner.estimate(SPEC, PROMPTS, texts=[PEOPLE._replace(texts=PEOPLE.texts[:2])])
    assert runner.database.runs(None) == []
