"""Exports: nothing is lost, nothing is computed by a spreadsheet, and the Hub gets one private commit."""

import csv
import io
import json
import math
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import HfApi
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.methods import BASE, UserError, from_json
from leaderboard.output.export import (
    FILES,
    describe,
    samples_frame,
    to_csv,
    to_jsonl,
    to_run_json,
)
from leaderboard.output.publish import PUBLISHED, Publisher, push_to_hub
from leaderboard.records import Prompt, RunData, RunSpec, Tally
from leaderboard.store.database import Database
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate
from tests.leaderboard.conftest import TOKEN, Hub
from tests.leaderboard.made_up import LORA, made_up

TRICKY = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "NA", "", " ", "'", '"', "a,b\nc\r\nd", "\u2028", "ü\0", "<b>"]


@pytest.fixture(scope="module")
def data() -> RunData:
    prompts = [Prompt(text or "x", text or None, f"id {place}", (("=tag", text),)) for place, text in enumerate(TRICKY)]
    prompts.append(Prompt("bare"))
    texts = [[text] for text in [*TRICKY, "bare"]]
    tallies = {
        "base": {"0 0 0": Tally(-2.5, 2), "1 0 0": Tally(math.nan, 3)},
        "attribute:science": {"0 0 0": Tally(1.0, 1)},
    }
    made = made_up({BASE: texts, LORA: texts}, prompts, tallies)
    run = made.run._replace(hashes={"base": "f00d"}, versions={"torch": "2.13"}, owner="secret")
    return made._replace(run=run)


@pytest.fixture(scope="module")
def results(data: RunData) -> Results:
    return tabulate(data)


# The frame


def test_a_row_is_a_text_with_everything_about_it(data: RunData) -> None:
    table = samples_frame(data)
    assert len(table) == len(data.samples)
    first, bare = table.iloc[0].to_dict(), table.iloc[-1].to_dict()
    assert first == {
        "row": 1,
        "id": "id 0",
        "prompt": "=1+1",
        "reference": "=1+1",
        "tag:=tag": "=1+1",
        "method": "base",
        "draw": 0,
        "seed": 0,
        "text": "=1+1",
        "num_tokens": 2,
        "finish_reason": "length",
        "key": "0 0 0",
        "sum_logprob:base": -2.5,
        "num_tokens:base": 2,
        "attribute:science:shown": 1.0,
        "attribute:science:judged": 1,
    }
    assert (bare["row"], bare["method"], bare["prompt"]) == (len(TRICKY) + 1, LORA.name, "bare")
    for column in ("id", "reference", "tag:=tag", "sum_logprob:base", "num_tokens:base"):
        assert pd.isna(bare[column])


def test_the_run_travels_with_the_frame_without_its_owner(data: RunData) -> None:
    described = samples_frame(data).attrs
    assert described == describe(data)
    assert from_json(RunSpec, described["spec"]) == data.run.spec
    assert (described["hashes"], described["versions"]) == ({"base": "f00d"}, {"torch": "2.13"})
    assert "secret" not in json.dumps(described)


def test_a_run_without_texts_has_all_columns() -> None:
    table = samples_frame(made_up({BASE: [[None]]}))
    assert len(table) == 0
    assert "text" in table.columns
    assert to_csv(table).decode("utf-8-sig").count("\n") == 1
    assert to_jsonl(table) == b""
    assert list(pd.read_parquet(io.BytesIO(table.to_parquet(index=False))).columns) == list(table.columns)


# Files


def test_parquet_loses_nothing(data: RunData, results: Results) -> None:
    for table in (samples_frame(data), pd.read_parquet(io.BytesIO(FILES["table.parquet"](data, results)))):
        again = pd.read_parquet(io.BytesIO(table.to_parquet(index=False)))
        pd.testing.assert_frame_equal(again, table)
        assert again.attrs == table.attrs == describe(data)


def test_jsonl_loses_nothing(data: RunData) -> None:
    table = samples_frame(data)
    rows = [json.loads(line) for line in to_jsonl(table).decode().split("\n")[:-1]]
    assert [row["text"] for row in rows] == [sample.text for sample in data.samples]
    again = pd.DataFrame(rows, columns=table.columns).astype(table.dtypes.to_dict())
    pd.testing.assert_frame_equal(again, table)


def test_csv_is_read_back_but_for_what_is_defused(data: RunData) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(samples_frame(data)).decode("utf-8-sig"), newline=""), strict=True))
    defused = ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx"]
    assert [row["text"] for row in rows[: len(TRICKY)]] == [*defused, *TRICKY[6:]]
    assert rows[0]["sum_logprob:base"] == "-2.5"  # a number stays one
    assert rows[-1]["reference"] == ""


@settings(deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8"), max_size=6), min_size=1, max_size=4, unique=True))
def test_no_cell_and_no_header_is_a_formula(texts: list[str]) -> None:
    table = pd.DataFrame({text: [text, None] for text in texts})
    for row in csv.reader(io.StringIO(to_csv(table).decode("utf-8-sig"), newline=""), strict=True):
        for cell, text in zip(row, texts, strict=True):
            assert cell in (text, f"'{text}", "")
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))


def test_the_table_carries_what_its_columns_are(data: RunData, results: Results) -> None:
    rows = list(csv.DictReader(io.StringIO(FILES["table.csv"](data, results).decode("utf-8-sig"))))
    row = next(row for row in rows if (row["method"], row["metric"]) == ("base", "distinct_2"))
    passport = results.passports["distinct_2"]
    assert float(row["value"]) == results.cells["distinct_2"]["base"].value
    assert (row["title"], row["aggregation"], row["length"]) == (passport.title, passport.aggregation, passport.length)


def test_run_json_holds_settings_and_results(data: RunData, results: Results) -> None:
    record = json.loads(to_run_json(data, results))
    assert repr(from_json(Results, record.pop("results"))) == repr(results)  # NaN is not equal to itself
    assert record == describe(data)


# The Hub


def test_a_run_is_pushed_to_a_private_dataset_in_one_commit(
    data: RunData, results: Results, hub: tuple[HfApi, type[Hub]]
) -> None:
    api, seen = hub
    address = push_to_hub(data, results, "me/runs", api)
    assert address == f"{api.endpoint}/datasets/me/runs/tree/main/runs/{data.run.id}"
    assert {token for *_, token in seen.requests} == {f"Bearer {TOKEN}"}
    created = next(json.loads(body) for _, path, body, _ in seen.requests if path == "/api/repos/create")
    assert (created["type"], created.get("private", created.get("visibility"))) in (
        ("dataset", True),
        ("dataset", "private"),
    )
    commits = [body for _, path, body, _ in seen.requests if "/commit/" in path]
    assert len(commits) == 1
    lines = [json.loads(line) for line in commits[0].decode().split("\n") if line]
    files = {line["value"]["path"]: b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
    assert sorted(files) == sorted(["README.md", *(f"runs/{data.run.id}/{name}" for name in PUBLISHED)])
    texts = pd.read_parquet(io.BytesIO(files[f"runs/{data.run.id}/texts.parquet"]))
    pd.testing.assert_frame_equal(texts, samples_frame(data))
    assert b"secret" not in b"".join(files.values())


def test_what_the_hub_refuses_is_told_in_one_line_without_the_token(
    data: RunData, results: Results, hub: tuple[HfApi, type[Hub]]
) -> None:
    api, seen = hub
    seen.refuse = True
    with pytest.raises(UserError) as caught:
        push_to_hub(data, results, "me/runs", api)
    message = str(caught.value)
    assert message.startswith("The Hub refused the run in 'me/runs': ")
    assert "403" in message
    assert len(message.splitlines()) == 1
    assert TOKEN not in message
    with pytest.raises(UserError, match="refused"):
        push_to_hub(data, results, "not a name/", api)
    with pytest.raises(UserError, match="refused"):
        push_to_hub(data, results, "me/runs", HfApi(endpoint="http://127.0.0.1:9", token=TOKEN))


def test_only_the_browser_that_made_a_run_sends_it_and_only_once(
    data: RunData, results: Results, hub: tuple[HfApi, type[Hub]], tmp_path: Path
) -> None:
    """It can be sent again after it went on, since other texts have come."""
    api, seen = hub
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.add_run(data.run, data.costs, {})
    publisher = Publisher(database, partial(push_to_hub, repo_id="me/runs", api=api))
    nobodys = data._replace(run=data.run._replace(owner=None))
    for run, owner in ((data, "somebody else"), (data, None), (nobodys, None)):
        with pytest.raises(UserError, match="Only the browser that made this run"):
            publisher.send(run, results, owner)
    assert seen.requests == []
    with ThreadPoolExecutor(3) as pool:
        sent = list(pool.map(lambda _: publisher.send(data, results, "secret"), range(3)))
    assert sorted(one.is_new for one in sent) == [False, False, True]
    assert {one.address for one in sent} == {f"{api.endpoint}/datasets/me/runs/tree/main/runs/{data.run.id}"}
    assert len([path for _, path, *_ in seen.requests if "/commit/" in path]) == 1
    database.set_status(data.run.id, "stopped")
    assert publisher.send(data, results, "secret").is_new


def test_a_run_that_the_hub_refused_can_be_sent_again(
    data: RunData, results: Results, hub: tuple[HfApi, type[Hub]], tmp_path: Path
) -> None:
    api, seen = hub
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    database.add_run(data.run, data.costs, {})
    publisher = Publisher(database, partial(push_to_hub, repo_id="me/runs", api=api))
    seen.refuse = True
    with pytest.raises(UserError, match="refused"):
        publisher.send(data, results, "secret")
    seen.refuse = False
    assert publisher.send(data, results, "secret").is_new
