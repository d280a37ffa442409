"""The run that ships: read beside the database, never written, and the same when it is written again."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import Request, from_json, to_json
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from adapters.store.fingerprint import Fingerprints
from benchmarks.showcase_run import SPEC, write_shipped
from leaderboard.output.export import FILES
from leaderboard.output.ranking import board_of
from leaderboard.showcase import FILE, Shipped, read_shipped
from leaderboard.store.database import Database
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate
from tests.leaderboard.tables.test_table import a_run

MOST_BYTES = 500_000
REPLAYED = (0, 7, 13)  # prompts


@pytest.fixture(scope="module")
def shipped() -> Shipped:
    return next(iter(read_shipped().values()))


def test_a_run_goes_to_its_file_and_back(tmp_path: Path) -> None:
    data = a_run()
    run = Shipped(data, to_json(tabulate(data)), {sample.key: (1, 2) for sample in data.samples})
    write_shipped(run, tmp_path / "run.json")
    back = read_shipped(tmp_path / "run.json")[data.run.id]
    assert back.data == data
    assert back.results == run.results
    assert back.token_ids == run.token_ids
    assert read_shipped(tmp_path / "none.json") == {}


def test_it_is_read_beside_the_database_and_never_written(tmp_path: Path) -> None:
    data = a_run()
    run = Shipped(data, to_json(tabulate(data)), {sample.key: (1, 2) for sample in data.samples})
    database = Database(f"sqlite:///{tmp_path / 'runs.db'}", {data.run.id: run})
    assert database.run(data.run.id) == data.run
    assert database.data(data.run.id) == data
    assert database.results(data.run.id) == run.results
    assert database.traces([data.samples[0].key])[data.samples[0].key].token_ids == (1, 2)
    assert database.runs(None) == []
    assert not database.delete_run(data.run.id, None)
    assert Database(f"sqlite:///{tmp_path / 'runs.db'}").run(data.run.id) is None


def test_the_file_is_small_and_its_table_is_computed_from_its_texts(shipped: Shipped) -> None:
    assert FILE.stat().st_size < MOST_BYTES
    assert shipped.data.run.spec == SPEC
    assert shipped.data.run.status == "done"
    computed, stored = dict(leaves(to_json(tabulate(shipped.data)))), dict(leaves(shipped.results))
    assert computed.keys() == stored.keys()
    for name, value in stored.items():  # another processor adds up in another order
        assert computed[name] == (pytest.approx(value, rel=1e-9) if isinstance(value, float) else value), name


def leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested JSON by their paths."""
    if not isinstance(value, dict | list):
        yield name, value
        return
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
        yield from leaves(inner, f"{name}.{key}")


def test_it_shows_every_kind_of_method_and_tells_them_apart(shipped: Shipped) -> None:
    board = board_of(shipped.data.run, from_json(Results, shipped.results))
    assert {kind for row in board.rows for kind in row.look.kinds} == {"base", "lora", "prefix", "ask", "pplm", "push"}
    assert board.heads[0].title == "On topic (religion)"
    assert board.has_ranks
    assert board.conclusion[0].startswith(
        "Ask religion raised the share of texts about religion from 0\u00a0% to 78\u00a0%"
    )
    assert len(FILES["report.html"](shipped.data, from_json(Results, shipped.results))) > 10_000


def test_some_of_its_texts_are_written_again_identically(shipped: Shipped, embedded: BaseModel) -> None:
    engine = Engine(embedded, AdapterStore([WEIGHTS], embedded))
    spec, prompts = shipped.data.run.spec, shipped.data.run.prompts.prompts
    assert Fingerprints(embedded, engine.store).named(spec.methods) == shipped.data.run.hashes
    keys = {(sample.prompt, sample.method, sample.draw): sample.key for sample in shipped.data.samples}
    places = [(prompt, method) for method in range(len(spec.methods)) for prompt in REPLAYED]
    requests = [
        Request(prompts[prompt].prompt, spec.methods[method], spec.sample_seed(prompts[prompt].prompt, 0))
        for prompt, method in places
    ]
    *_, written = engine.generate(requests, spec.sampling)
    for place, one in zip(places, written, strict=True):
        assert one.token_ids == shipped.token_ids[keys[*place, 0]], place
