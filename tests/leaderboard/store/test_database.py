"""What is stored comes back as it was, on SQLite and on PostgreSQL; deleting takes what nobody else has."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, create_engine, event, make_url, update

from adapters.methods import BASE, UserError, parse_method
from adapters.store.weight_cache import sha256
from leaderboard.records import AdapterCost, Prompt, PromptSet, Run, RunSpec, Sample, Tally, Timing, Trace, Written
from leaderboard.store.connection import MIGRATIONS
from leaderboard.store.database import Database
from leaderboard.store.schema import metadata, new_id, runs

RELEASE_1 = Path(__file__).parents[2] / "demo" / "data" / "release_1.db"
PROMPTS = PromptSet(
    "openers", (Prompt("The sea", "is wide", "1", (("topic", "NA"),)), Prompt("A\0b\u2028"), Prompt("é"))
)
SPEC = RunSpec((BASE, parse_method("lora:poetry+pplm:science")), samples=2)
COSTS = (AdapterCost(0, 0), AdapterCost(10, 99))


def a_run(owner: str | None = "me", prompts: PromptSet = PROMPTS) -> Run:
    hashes, versions = {"base": "b" * 64}, {"torch": "2.13.0"}
    return Run(new_id(), datetime.now(UTC), SPEC, prompts, "model", hashes, versions, "running", owner)


def stored(database: Database, run: Run) -> Run:
    database.add_run(run, COSTS, {"base": "scorer", "lora:poetry": "other"})
    return run


def written(prompt: int, method: int, draw: int, key: str, text: str = "text", reason: str = "eos") -> Written:
    sample = Sample(prompt, method, draw, key, 2**32 - 1, text, 2, reason)
    return Written(sample, Trace((1,), (2, 3), (-0.1, -1.4)), "scorer", Tally(-1.5, 2))


def key(name: str) -> str:
    return sha256(name)


def test_a_run_comes_back_as_it_was(database: Database) -> None:
    run = stored(database, a_run())
    assert database.run(run.id) == run
    assert database.run(new_id()) is None
    assert database.data(new_id()) is None


def test_the_migrations_since_release_1_make_the_schema_that_the_code_knows(database_url: str, tmp_path: Path) -> None:
    shutil.copy(RELEASE_1, tmp_path / "old.db")
    old, url = MetaData(), make_url(database_url)
    event.listen(
        old, "column_reflect", lambda inspector, table, column: column.update(type=column["type"].as_generic())
    )
    old.reflect(create_engine(f"sqlite:///{tmp_path / 'old.db'}"))
    engine = create_engine(url if url.get_backend_name() == "sqlite" else url.set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        old.create_all(connection)
        connection.execute(old.tables["alembic_version"].insert().values(version_num="0001"))
    Database(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_a_new_database_has_the_schema_and_the_newest_version(database_url: str) -> None:
    Database(database_url)
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == max(path.name[:4] for path in (MIGRATIONS / "versions").glob("0*.py"))
    engine.dispose()


def test_a_database_is_opened_again_and_by_several_at_once(database_url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        databases = list(pool.map(Database, [database_url] * 4))
    run = stored(databases[0], a_run())
    assert all(database.run(run.id) == run for database in databases)


def test_texts_tallies_and_timings_come_back(database: Database) -> None:
    run = stored(database, a_run())
    late, early = written(1, 0, 0, key("b"), "NUL \0 and \u2028", "length"), written(0, 1, 1, key("a"))
    database.keep(run.id, [late, early], Timing(1, 0, 100, 2.5, 3 * 2**30))
    database.keep_tallies("other", {key("a"): Tally(-3.25, 2)})
    database.keep_prompt_tallies(PROMPTS, "prompt", "scorer", {0: Tally(-8.0, 3), 2: Tally(0.0, 0)})
    database.keep_prompt_tallies(PROMPTS, "prompt", "nobody's", {0: Tally(-9.0, 3)})
    data = database.data(run.id)
    assert data is not None
    assert data.samples == (early.sample, late.sample)
    assert database.samples(run.id, range(1, 2)) == (late.sample,)
    assert data.tallies == {
        "base": {key("a"): Tally(-1.5, 2), key("b"): Tally(-1.5, 2)},
        "lora:poetry": {key("a"): Tally(-3.25, 2)},
    }
    assert data.prompt_tallies == {("prompt", "base"): {0: Tally(-8.0, 3), 2: Tally(0.0, 0)}}
    assert data.timings == (Timing(1, 0, 100, 2.5, 3 * 2**30),)
    assert data.costs == COSTS
    assert database.traces([key("a"), key("c")]) == {key("a"): early.trace}
    assert database.known([key("a"), key("c")]) == {key("a")}
    assert database.scored([key("a"), key("b")], "other") == {key("a")}
    assert database.scored_prompts(PROMPTS, "prompt", "scorer") == {0, 2}
    assert database.scored_prompts(PROMPTS, "reference", "scorer") == set()


def test_writing_again_changes_nothing(database: Database) -> None:
    run = stored(database, a_run())
    first, second = written(0, 0, 0, key("a"), "first"), written(0, 0, 0, key("a"), "second")
    database.keep(run.id, [first])
    before = database.data(run.id)
    database.keep(run.id, [second, second])
    database.keep_tallies("scorer", {key("a"): Tally(-99.0, 1)})
    assert database.data(run.id) == before


def test_a_text_that_diverged_is_not_counted(database: Database) -> None:
    run = stored(database, a_run())
    database.keep(run.id, [written(0, 0, 0, key("a"), reason="diverged")])
    assert database.scored([key("a")], "scorer") == set()


def test_texts_serve_several_runs_and_go_with_the_last(database: Database) -> None:
    one, two = stored(database, a_run()), stored(database, a_run("you"))
    database.keep(one.id, [written(0, 0, 0, key("a")), written(0, 1, 0, key("b"))])
    database.adopt(two.id, {(2, 0, 1): key("a")})
    assert database.delete_run(one.id, "me")
    assert database.known([key("a"), key("b")]) == {key("a")}
    data = database.data(two.id)
    assert data is not None
    assert data.samples == (written(2, 0, 1, key("a")).sample,)
    assert database.delete_run(two.id, "you")
    assert database.known([key("a")]) == set()
    assert database.scored([key("a")], "scorer") == set()


def test_only_the_owner_deletes(database: Database) -> None:
    mine, nobodys = stored(database, a_run("me")), stored(database, a_run(None))
    assert not database.delete_run(mine.id, "you")
    assert not database.delete_run(mine.id, None)
    assert not database.delete_run(nobodys.id, "me")
    assert database.delete_run(nobodys.id, None)
    assert database.delete_run(mine.id, "me")
    assert not database.delete_run(mine.id, "me")


def test_a_deleted_run_takes_no_more_texts(database: Database) -> None:
    run = stored(database, a_run())
    assert database.delete_run(run.id, "me")
    with pytest.raises(UserError, match="deleted while"):
        database.keep(run.id, [written(0, 0, 0, key("a"))])
    assert database.known([key("a")]) == set(), "nothing half-stored"


def test_runs_are_listed_for_their_owner(database: Database) -> None:
    ids = [stored(database, a_run(owner)).id for owner in ("me", "you", None)]
    lines = database.runs("me")
    assert [line.id for line in lines] == [ids[2], ids[0]], "the newest first, nobody else's"
    assert lines[1].name == "openers"
    assert lines[1].num_prompts == 3
    assert lines[1].methods == ("base", "lora:poetry+pplm:science")
    assert [line.id for line in database.runs(None)] == [ids[2]]


def test_an_operator_sees_and_deletes_what_is_anybodys(database: Database) -> None:
    ids = {stored(database, a_run(owner)).id for owner in ("me", "you", None)}
    assert {line.id for line in database.runs(None, operator=True)} == ids
    assert all(database.delete_run(id, None, operator=True) for id in ids)
    assert not database.delete_run(ids.pop(), None, operator=True)
    assert database.runs(None, operator=True) == []
    kept = {database.add_comparison({"prompt": owner}, owner) for owner in ("me", "you")}
    assert {id for id, *_ in database.comparisons("", 9, operator=True)} == kept
    assert database.comparisons("", 9) == []
    assert all(database.delete_comparison(id, "", operator=True) for id in kept)
    assert database.comparisons("", 9, operator=True) == []


def test_results_stay_until_the_run_goes_on(database: Database) -> None:
    run = stored(database, a_run())
    assert database.results(run.id) is None
    database.update_run(run.id, results={"cells": [1.5, None]})
    assert database.results(run.id) == {"cells": [1.5, None]}
    database.set_status(run.id, "stopped")
    assert database.results(run.id) is None
    assert database.run(run.id) == run._replace(status="stopped")


def test_two_scorers_with_equal_weights_have_a_tally_each(database: Database) -> None:
    run = a_run()
    database.add_run(run, COSTS, {"base": "scorer", "judge:base": "scorer", "lora:poetry": "other"})
    database.keep(run.id, [written(0, 0, 0, key("a"))])
    database.keep_prompt_tallies(PROMPTS, "prompt", "scorer", {0: Tally(-8.0, 3)})
    data = database.data(run.id)
    assert data is not None
    own = {key("a"): Tally(-1.5, 2)}
    assert data.tallies == {"base": own, "judge:base": own, "lora:poetry": {}}
    assert data.prompt_tallies == dict.fromkeys([("prompt", "base"), ("prompt", "judge:base")], {0: Tally(-8.0, 3)})


def test_unfinished_runs_are_counted_by_owner(database: Database) -> None:
    mine = stored(database, a_run("me"))
    stored(database, a_run("you"))
    stored(database, a_run(None))
    assert database.num_unfinished("me") == 1
    database.set_status(mine.id, "done")
    assert database.num_unfinished("me") == 0


def test_a_publication_is_kept_until_the_run_goes_on(database: Database) -> None:
    run = stored(database, a_run())
    assert database.published(run.id) is None
    database.update_run(run.id, published="https://hub/runs")
    assert database.published(run.id) == "https://hub/runs"
    database.set_status(run.id, "running")
    assert database.published(run.id) is None


def test_a_database_of_a_newer_release_says_so(database_url: str) -> None:
    Database(database_url)
    with create_engine(database_url.replace("postgresql:", "postgresql+psycopg:")).begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UserError, match="newer release of Steerboard"):
        Database(database_url)


def test_a_comparison_is_its_owners(database: Database) -> None:
    record: dict[str, Any] = {"version": 1, "text": "a\0b"}
    id = database.add_comparison(record, "me")
    assert len(id) == 32
    assert database.comparison(id) == record
    assert database.owns_comparison(id, "me")
    assert not database.owns_comparison(id, "you")
    assert not database.delete_comparison(id, "you")
    assert database.delete_comparison(id, "me")
    assert database.comparison(id) is None


def test_a_record_of_a_newer_release_says_so(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    database = Database(url)
    run = stored(database, a_run())
    with create_engine(url).begin() as connection:
        connection.execute(update(runs).values(record={"version": 2}))
    with pytest.raises(UserError, match="newer release"):
        database.run(run.id)


def test_prompt_sets_differ_by_content(database: Database) -> None:
    other = replace(PROMPTS, prompts=PROMPTS.prompts[:2])
    one, two = stored(database, a_run()), stored(database, a_run(prompts=other))
    assert database.run(one.id) == one
    assert database.run(two.id) == two
    assert database.delete_run(one.id, "me")
    assert database.run(two.id) == two


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("nonsense", "Cannot open"),
        ("mysql://host/name", "'mysql'"),
        ("postgresql://nobody@127.0.0.1:1/none", "Cannot open"),
        ("sqlite:////nowhere/at/all.db", "Cannot open"),
    ],
)
def test_a_database_that_cannot_be_opened_says_so_in_a_line(url: str, reason: str) -> None:
    with pytest.raises(UserError, match=reason) as error:
        Database(url)
    assert "\n" not in str(error.value)
