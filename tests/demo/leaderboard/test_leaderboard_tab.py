"""The Leaderboard tab's handlers: values in, values out, on the real components but without a server."""

import base64
import math
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from adapters.methods import BASE, PPLM, Sampling, UserError, parse_method
from demo.leaderboard import tab, words
from demo.leaderboard.form import chosen_prompts
from demo.leaderboard.results.run_facts import fill_facts, fill_files, make_file, on_publish, replay_run, run_facts
from demo.leaderboard.results.run_figures import draw, fill_beside, fill_plots, fill_table, show_beside
from demo.leaderboard.results.run_page import fill_inner, head_html, on_delete, open_run, show_texts
from demo.leaderboard.results.run_texts import fill_texts, show_prompt, sort_prompts
from demo.leaderboard.score_api import run_as_json
from demo.leaderboard.settings import on_download, on_estimate, on_paste, on_set, on_upload
from demo.leaderboard.tab import Scoreboard, earlier_rows, list_earlier, on_resume, on_run, on_stop, open_link
from demo.parts import words as common
from demo.parts.actions import Work, or_no_file, play, show_question, work_buttons
from demo.parts.controls import FIRST_SEED
from demo.parts.events import or_message
from demo.parts.links import COMPARE, RUN, Link, new_secret, owner_of
from demo.parts.marked import ERROR, Values
from demo.parts.views import cell_of
from demo.services import Services
from leaderboard.output.export import FILES
from leaderboard.output.publish import Publisher
from leaderboard.prompts import read_prompts
from leaderboard.records import MAX_METHODS, Prompt, PromptSet, RunSpec
from tests.demo.conftest import UsedUp

ME = new_secret()
BAD_IDS: list[Any] = [None, "", "0" * 32, "../x", 7, {}, ["0" * 32]]
METHODS = ["base", "lora:verse"]
PROMPTS = "prompt,genre\nOne day,a\nTwo days,b\nThree days,a\n"


@pytest.fixture(autouse=True)
def every_view(monkeypatch: pytest.MonkeyPatch) -> None:
    """No view is left out for being too soon after another."""
    monkeypatch.setattr(tab, "PACE", 0.0)


@pytest.fixture(scope="module")
def board(services: Services) -> Scoreboard:
    with gr.Blocks():
        return Scoreboard(services, gr.BrowserState())


def upload(services: Services, board: Scoreboard, folder: Path, content: str, name: str = "mine.csv") -> Values:
    file = folder / name
    file.write_text(content, encoding="utf-8")
    return on_upload(services, board.setup, str(file))


@pytest.fixture(scope="module")
def form(services: Services, board: Scoreboard, tmp_path_factory: pytest.TempPathFactory) -> Values:
    """The values of the form: three uploaded prompts, two methods, one text of eight tokens each."""
    prompts = upload(services, board, tmp_path_factory.mktemp("upload"), PROMPTS)
    values = {component: component.value for component in board.setup.controls}
    values |= {
        board.setup.size: words.FULL,
        board.setup.methods: METHODS,
        board.setup.samples: 1,
        board.setup.sampling.fields["max_new_tokens"]: 8,
    }
    return values | {board.setup.prompts: prompts[board.setup.prompts], board.owner: ME}


@pytest.fixture(scope="module")
def id(services: Services, board: Scoreboard, form: Values) -> str:
    """A finished run of this browser's own."""
    return done(services, board, form)


def done(services: Services, board: Scoreboard, values: Values) -> str:
    """The id of the run that the form begins, once it has ended."""
    link = str(list(on_run(services, board, values))[-1][board.results.link]["value"])
    return link.removeprefix("?run=")


def test_the_tab_says_what_a_restart_leaves(services: Services, board: Scoreboard) -> None:
    assert list_earlier(services, board, ME)[board.safety]["visible"] is False
    shown = list_earlier(services._replace(lasts=False), board, ME)[board.safety]
    assert (shown["visible"], shown["value"]) == (True, f"<p>{common.SAFETY['lost']}</p>")
    assert board.safety in board.listed


def added(services: Services, secret: str | None) -> str:
    """The id of a run of one prompt that has not begun; without a secret it is the command line's."""
    spec = RunSpec((BASE,), sampling=Sampling(max_new_tokens=2))
    return services.runner.add(spec, PromptSet("one", (Prompt("One day"),)), owner_of(secret)).id


def stopped_early(run: Iterator[Values], board: Scoreboard) -> str:
    """The id of a run that is left as soon as it has written a text."""
    for update in run:
        id = str(update[board.going])
        if update[board.rows]["value"]:
            break
    run.close()  # type: ignore[attr-defined]
    return id


# The form


def test_an_upload_is_previewed_with_its_count(services: Services, board: Scoreboard, tmp_path: Path) -> None:
    updates = upload(services, board, tmp_path, "prompt,genre\n007,NA\n007,NA\n")
    setup = board.setup
    assert updates[setup.folded_preview]["label"] == "2 prompts · 1 duplicate"
    assert updates[setup.preview]["value"] == {"headers": ["prompt", "genre"], "data": [["007", "NA"]] * 2}
    assert updates[setup.set]["value"] == "your file: mine"
    assert updates[setup.note] == []


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "prompt\n\x00\n", 'prompt\n"open\n'])
def test_a_refusal_is_one_line(services: Services, board: Scoreboard, tmp_path: Path, content: str) -> None:
    with pytest.raises(UserError) as caught:
        upload(services, board, tmp_path, content)
    assert "\n" not in str(caught.value)


def test_an_uploaded_set_can_be_chosen_again(services: Services, board: Scoreboard, tmp_path: Path) -> None:
    mine = upload(services, board, tmp_path, "One\nTwo\n", "mine.txt")[board.setup.uploaded]
    shipped = on_set(services, board.setup, "story_openers", mine)
    assert shipped[board.setup.prompts].name == "story_openers"
    assert on_set(services, board.setup, "your file: mine", mine)[board.setup.prompts] is mine
    with pytest.raises(UserError, match="no such prompt set"):
        on_set(services, board.setup, "your file: mine", None)


def test_pasted_prompts_are_one_a_line(services: Services, board: Scoreboard) -> None:
    updates = on_paste(services, board.setup, "One\nTwo\n")
    assert [each.prompt for each in updates[board.setup.prompts].prompts] == ["One", "Two"]
    assert updates[board.setup.set]["value"] == "your file: pasted prompts"
    assert on_paste(services, board.setup, "  \n") == {board.setup.note: []}
    with pytest.raises(UserError):
        on_paste(services, board.setup, 5)


def test_a_quick_run_takes_eight_prompts(services: Services, board: Scoreboard, form: Values) -> None:
    many = on_paste(services, board.setup, "\n".join(f"p {n}" for n in range(24)))[board.setup.prompts]
    quick = form | {board.setup.prompts: many, board.setup.size: words.QUICK}
    ((line, _),) = on_estimate(services, board.setup, quick)[board.setup.estimate]
    assert line.startswith("16 texts")
    few = chosen_prompts(many, words.QUICK)
    assert [each.prompt for each in few.prompts] == [f"p {n}" for n in range(0, 24, 3)]
    assert few.name == "pasted prompts 8 of 24"


def test_a_shipped_set_that_was_saved_is_the_same_set_uploaded(services: Services, board: Scoreboard) -> None:
    file, note = on_download("story_openers")
    assert file is not None
    assert note == []
    shown = on_set(services, board.setup, "story_openers", None)[board.setup.prompts]
    assert read_prompts(base64.b64decode(file["data"]), file["name"]) == shown
    for name in ("your file: mine", "../x", None, 5):
        assert on_download(name) == (None, [(words.ONLY_SHIPPED, None)])


def test_before_a_run_it_says_what_it_takes(services: Services, board: Scoreboard, form: Values) -> None:
    updates = on_estimate(services, board.setup, form | {board.setup.sampling.seed: 99})
    ((line, mark),) = updates[board.setup.estimate]
    assert re.fullmatch(r"6 texts, about \d+ s", line)
    assert mark is None
    assert updates[board.setup.folded]["label"].startswith("1 text a prompt · temperature 0.7")


@pytest.mark.parametrize(("methods", "said"), [(["nonsense"], "nonsense"), (["lora:gone"], "gone"), ([], "1 to 12")])
def test_before_a_run_it_says_what_is_wrong(
    services: Services, board: Scoreboard, form: Values, methods: list[str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        on_estimate(services, board.setup, form | {board.setup.methods: methods})


def finished(folder: Path, content: str, name: str = "people.csv") -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


PEOPLE = "prompt,text\nOne day,we sang\nTwo days,we rested\nThree days,we left\n"


def test_finished_texts_and_the_base_again_are_rows_of_the_run(
    services: Services, board: Scoreboard, form: Values, tmp_path: Path
) -> None:
    setup = board.setup
    values = form | {setup.texts: finished(tmp_path, PEOPLE), setup.again: True, setup.sampling.seed: 77}
    ((line, _),) = on_estimate(services, setup, values)[setup.estimate]
    assert re.fullmatch(r"9 texts( \(\d stored already\))?, about \d+ s, and 3 texts of people", line)
    updates = list(on_run(services, board, values))
    assert updates[-1][board.message][0][0].startswith("Done: 9 texts written and scored")
    id = str(updates[-1][board.results.link]["value"]).removeprefix("?run=")
    html = open_run(services, board.results, id, ME)[board.results.board.board]
    assert 'class="edge kind-given">' in html
    row = html.partition('class="edge kind-given">')[2].partition("</tr>")[0]
    assert "people</a>" in row
    assert row.count("<strong>–</strong>") == 2, "neither speed nor size, and not 0"
    assert ">Base again</a>" in html
    shown = show_prompt(services, id, 1)
    assert [(" we sang" in str(part), "finished texts from elsewhere" in str(part)) for part in shown[10:13]] == [
        (False, False),
        (False, True),
        (False, False),
    ]
    facts = dict(run_facts(services.runner.data(id).run)[:3])[common.METHODS]
    assert "people: people, finished texts from elsewhere" in facts
    assert "base again: Base again, seed + 1" in facts
    work = work_buttons("a", "b", "c")
    *_, last = replay_run(services, work, id)
    assert last[work.message][0][0] == (
        "✓ Re-written just now: 9 texts, identical. "
        "The texts of people are not from here, so they cannot be written again."
    )
    (beside,) = show_beside(services, id, words.ALL_PROMPTS, id)
    assert [row[0] for row in beside["value"]["data"]][:1:-1] == ["people", "Base again"]


def test_texts_for_all_prompts_serve_a_quick_run(
    services: Services, board: Scoreboard, form: Values, tmp_path: Path
) -> None:
    setup, names = board.setup, [f"p {n}" for n in range(24)]
    many = on_paste(services, setup, "\n".join(names))[setup.prompts]
    file = finished(tmp_path, "prompt,text\n" + "".join(f"{name},x {name}\n" for name in names))
    quick = form | {setup.prompts: many, setup.size: words.QUICK, setup.texts: file, setup.texts_name: "Ours"}
    ((line, _),) = on_estimate(services, setup, quick)[setup.estimate]
    assert line.endswith(", and 8 texts of Ours")


@pytest.mark.parametrize(
    ("content", "name", "said"),
    [
        ("prompt,text\nOne day,a\n", "", "people: 2 prompts without a text"),
        (PEOPLE + "Four days,a\n", "", "people: 1 prompt not in the run"),
        (PEOPLE, "base", "'base' is the name of a method"),
        (PEOPLE, "x" * 100, "is no name for texts"),
        ("text\na\n", "", "The header must name the column 'prompt' once"),
    ],
)
def test_finished_texts_that_cannot_be_used_are_refused_before_the_run(
    services: Services, board: Scoreboard, form: Values, tmp_path: Path, content: str, name: str, said: str
) -> None:
    values = form | {board.setup.texts: finished(tmp_path, content), board.setup.texts_name: name}
    with pytest.raises(UserError, match=said):
        on_estimate(services, board.setup, values)
    gone = form | {board.setup.texts: str(tmp_path / "gone.csv")}
    with pytest.raises(UserError, match="The uploaded file is gone"):
        on_estimate(services, board.setup, gone)


# A run


def test_a_run_streams_its_texts_and_ends_with_its_results(services: Services, board: Scoreboard, form: Values) -> None:
    updates = list(on_run(services, board, form | {board.setup.sampling.seed: 1}))
    counts = [len(update[board.rows]["value"]) for update in updates[:-1]]
    assert counts == sorted(counts)
    assert counts[-1] == 6
    written = next(update for update in updates if update[board.rows]["value"])
    assert written[board.rows]["value"][0][1:3] == ["base", "1"]
    assert (written[board.setup.run]["visible"], written[board.setup.stop]["visible"]) == (False, True)
    assert 'max="48"' in written[board.bar]
    assert re.match(r"Writing · \d texts? · \d+ of at most 48 tokens", written[board.message][0][0])
    last = updates[-1]
    assert last[board.rows]["visible"] is False
    assert last[board.bar] == ""
    assert (last[board.setup.run]["visible"], last[board.setup.stop]["visible"]) == (True, False)
    assert last[board.results.column]["visible"] is True
    assert last[board.results.link]["value"] == f"?run={updates[0][board.going]}"
    assert last[board.going] is None
    assert last[board.results.resume]["visible"] is False
    assert last[board.results.delete.ask]["visible"] is True
    assert last[board.message] == [("Done: 6 texts written and scored.", None)]


def test_a_run_belongs_to_the_hash_of_the_secret(services: Services, id: str) -> None:
    run = services.database.run(id)
    assert run is not None
    assert run.owner == owner_of(ME)
    assert ME not in str(run)


@pytest.mark.parametrize("secret", [None, "forged", 7])
def test_without_a_secret_nothing_is_begun(services: Services, board: Scoreboard, form: Values, secret: Any) -> None:
    before = services.database.runs(None)
    with pytest.raises(UserError, match=common.NO_OWNER):
        next(on_run(services, board, form | {board.owner: secret}))
    assert services.database.runs(None) == before


def test_what_cannot_begin_is_one_line(services: Services, board: Scoreboard, form: Values) -> None:
    before = services.database.runs(owner_of(ME))
    sampling = board.setup.sampling.fields["temperature"]
    for bad in (None, ["a"], 5):
        with pytest.raises(UserError, match=common.NO_FILE):
            on_upload(services, board.setup, bad)
    for change in ({board.setup.methods: ["lora:gone"]}, {board.setup.samples: math.nan}, {sampling: math.inf}):
        with pytest.raises(UserError) as caught:
            next(on_run(services, board, form | change))
        assert "\n" not in str(caught.value)
    assert services.database.runs(owner_of(ME)) == before


def test_a_run_counts_towards_the_hour(
    services: Services, board: Scoreboard, form: Values, id: str, work: Work, used_up: UsedUp
) -> None:
    full, before = used_up(services), services.database.runs(owner_of(ME))
    with pytest.raises(UserError, match=r"This takes 48 tokens, and 1 are allowed"):  # 3 prompts, 2 methods, 8 tokens
        next(on_run(full, board, form))
    assert services.database.runs(owner_of(ME)) == before
    with pytest.raises(UserError, match="This takes 48 tokens"):
        next(replay_run(full, work, id))
    spec = RunSpec((BASE,), sampling=Sampling(max_new_tokens=2))
    with pytest.raises(UserError, match="This takes 2 tokens"):
        next(run_as_json(full, spec, PromptSet("one", (Prompt("One day"),))))


def test_stop_keeps_what_is_done_and_resume_goes_on(services: Services, board: Scoreboard, form: Values) -> None:
    id = stopped_early(on_run(services, board, form | {board.setup.sampling.seed: 2}), board)
    stopped = on_stop(services, board, id, ME)
    assert stopped[board.message] == [(words.RUN_STOPPED, None)]
    assert stopped[board.results.resume]["visible"] is True
    assert "· stopped" in stopped[board.results.head]
    done = len(services.runner.data(id).samples)
    assert 0 < done < 6
    last = list(on_resume(services, board, id, ME))[-1]
    assert last[board.results.resume]["visible"] is False
    assert len({(s.prompt, s.method, s.draw) for s in services.runner.data(id).samples}) == 6


def test_stop_says_nothing_where_no_run_goes_on(services: Services, board: Scoreboard, form: Values) -> None:
    assert on_stop(services, board, None, ME)[board.message] == []
    assert on_stop(services, board, None, ME)[board.going] is None
    assert list(on_run(services, board, form))[-1][board.going] is None


def test_stop_waits_for_the_work_that_was_going_on(services: Services, board: Scoreboard, form: Values) -> None:
    run = on_run(services, board, form | {board.setup.sampling.seed: 3})
    id = next(run)[board.going]
    next(run)
    closing = threading.Timer(0.3, run.close)  # type: ignore[attr-defined]
    closing.start()
    updates = on_stop(services, board, id, ME)
    closing.join()
    assert "· stopped" in updates[board.results.head]


def test_a_run_without_texts_can_be_opened(services: Services, board: Scoreboard) -> None:
    empty = added(services, new_secret())
    assert open_run(services, board.results, empty, ME)[board.results.column]["visible"] is True
    with pytest.raises(UserError, match="no figures yet"):
        fill_plots(services, empty, None)
    assert len(fill_texts(services, empty)[1]["value"]["data"]) == 1


def test_what_a_client_says_of_a_row_is_checked() -> None:
    class Event:
        row_value: Any = ["a", "b"]

    assert cell_of(Event(), -1) == "b"  # type: ignore[arg-type]
    rows: list[Any] = [None, [], "ab", {"row": 1}]
    for row in rows:
        Event.row_value = row
        assert cell_of(Event(), 0) is None  # type: ignore[arg-type]
    assert cell_of(object(), 0) is None  # type: ignore[arg-type]


def test_an_inner_tab_is_filled_only_while_a_run_is_open(services: Services, board: Scoreboard, id: str) -> None:
    opened, table = board.results.opened, board.results.table
    assert fill_inner(opened, words.TABLE_TAB, table, None, None, ME) == {opened.tab: words.TABLE_TAB}
    assert len(fill_inner(opened, words.TABLE_TAB, table, id, None, ME)) > 2


def test_only_the_owner_resumes(services: Services, board: Scoreboard) -> None:
    me = new_secret()
    mine, nobodys = added(services, me), added(services, None)
    for run, secret in ((mine, ME), (mine, None), (mine, "forged"), (nobodys, me), (nobodys, None)):
        with pytest.raises(UserError, match=common.NOT_YOURS):
            next(on_resume(services, board, run, secret))
    for bad in BAD_IDS:
        with pytest.raises(UserError, match="mistyped"):
            next(on_resume(services, board, bad, ME))


def test_a_broken_run_keeps_its_texts_and_does_not_tell_its_inner_life(
    services: Services, board: Scoreboard, form: Values, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = services.runner.run

    def broken(id: str) -> Iterator[Any]:
        steps = whole(id)
        yield next(steps)
        raise RuntimeError("the runner broke")

    monkeypatch.setattr(services.runner, "run", broken)
    seen = list(on_run(services, board, form | {board.setup.sampling.seed: 4}))
    assert seen[-1][board.message] == [(common.SERVER_ERROR, ERROR)]
    assert seen[-1][board.setup.run]["visible"] is True


def test_only_the_newest_texts_are_sent(services: Services, board: Scoreboard, form: Values) -> None:
    many = {board.setup.samples: 10, board.setup.sampling.fields["max_new_tokens"]: 1}
    views = list(on_run(services, board, form | many))
    assert max(len(update[board.rows]["value"]) for update in views) == tab.NEWEST


def test_views_keep_their_distance(
    monkeypatch: pytest.MonkeyPatch, services: Services, board: Scoreboard, form: Values
) -> None:
    monkeypatch.setattr(tab, "PACE", 60.0)
    list(on_run(services, board, form))
    first, done, results = on_run(services, board, form)
    assert first[board.message] == [(common.STARTING, None)]
    assert done[board.message] == [("Done: 6 texts written and scored (6 stored already).", None)]
    assert results[board.results.column]["visible"] is True


# Results, opened by a link or from the list


def test_a_link_opens_a_run_alone_and_read_only(services: Services, board: Scoreboard, id: str) -> None:
    updates = open_link(services, board, Link(RUN, id), new_secret())
    assert updates[board.setup.column]["visible"] is False
    assert updates[board.list_column]["visible"] is False
    assert updates[board.results.column]["visible"] is True
    assert updates[board.results.delete.ask]["visible"] is False
    assert updates[board.results.resume]["visible"] is False
    assert common.OWN in updates[board.results.head]
    assert open_link(services, board, Link(RUN, id), ME)[board.results.delete.ask]["visible"] is True


@pytest.mark.parametrize("link", [None, Link(COMPARE, "0" * 32), Link(RUN, "0" * 32), Link(RUN, "' OR 1=1")])
def test_other_links_leave_the_tab_as_it_is(services: Services, board: Scoreboard, link: Link | None) -> None:
    assert open_link(services, board, link, ME) == {board.message: []}


def test_names_are_escaped_in_the_head(services: Services, id: str) -> None:
    run = services.runner.data(id).run
    html = head_html(run._replace(prompts=replace(run.prompts, name="<img src=x>")), by_link=False)
    assert "<img" not in html
    assert "&lt;img" in html


def test_the_list_shows_own_runs_and_those_of_the_command_line(services: Services) -> None:
    stranger = new_secret()
    mine, nobodys = added(services, stranger), added(services, None)
    rows = {row[-1]: row for row in earlier_rows(services, stranger)}
    assert rows[mine][1:5] == ["one (1)", "base", "stopped", words.HERE]
    assert rows[nobodys][4] == words.COMMAND_LINE
    for secret in (ME, new_secret(), None):
        seen = {row[-1] for row in earlier_rows(services, secret)}
        assert nobodys in seen
        assert mine not in seen


def test_only_the_owner_deletes(services: Services, board: Scoreboard) -> None:
    me = new_secret()
    mine, nobodys = added(services, me), added(services, None)
    for run, secret in ((mine, ME), (mine, None), (mine, owner_of(me)), (nobodys, me), (nobodys, None)):
        with pytest.raises(UserError, match=common.NOT_YOURS):
            on_delete(services, board.results, run, secret)
    for bad_id in BAD_IDS:
        with pytest.raises(UserError, match="mistyped"):
            on_delete(services, board.results, bad_id, me)
    updates = on_delete(services, board.results, mine, me)
    assert updates[board.results.head] == common.DELETED_HTML
    assert updates[board.results.opened.id] is None
    assert services.database.run(mine) is None
    assert services.database.run(nobodys) is not None


def test_deleting_takes_two_steps() -> None:
    assert [update["visible"] for update in show_question(True)] == [False, True]
    assert [update["visible"] for update in show_question(False)] == [True, False]


@pytest.mark.parametrize("id", BAD_IDS)
def test_ids_are_checked_again_in_every_handler(services: Services, board: Scoreboard, work: Work, id: Any) -> None:
    attempts: list[Any] = [
        lambda: open_run(services, board.results, id, ME),
        lambda: fill_table(services, id, words.ALL_PROMPTS),
        lambda: fill_plots(services, id, words.ALL_PROMPTS),
        lambda: draw(services, id, words.ALL_PROMPTS, None, "perplexity"),
        lambda: fill_texts(services, id),
        lambda: sort_prompts(services, id, words.AS_IN_FILE),
        lambda: show_prompt(services, id, 1),
        lambda: fill_facts(services, id),
        lambda: fill_beside(services, id, None, ME),
        lambda: show_beside(services, id, None, id),
        lambda: make_file(services, "texts.csv", id),
        lambda: next(replay_run(services, work, id)),
        lambda: on_publish(services, board.results.opened, id, ME),
    ]
    for attempt in attempts:
        with pytest.raises(UserError, match="mistyped"):
            attempt()
    assert or_no_file(make_file)(services, "texts.csv", id) == (None, [(common.NOTHING_HERE, ERROR)])


def test_an_error_of_an_inner_tab_stands_in_the_line_for_messages(services: Services, board: Scoreboard) -> None:
    line = board.results.opened.message
    assert or_message(line, open_run, services, board.results, "x", ME) == {line: [(common.NOTHING_HERE, ERROR)]}


# The inner tabs


def test_the_table_is_there_at_once_and_nothing_else(services: Services, board: Scoreboard, id: str) -> None:
    updates = open_run(services, board.results, id, ME)
    assert "Too few prompts to tell methods apart (3)" in updates[board.results.board.board]
    assert updates[board.results.board.texts]["value"]["headers"] == ["Prompt", "Base", "LoRA verse"]
    tables = [value for value in updates.values() if isinstance(value, dict) and "column_widths" in value]
    assert len(tables) == 3, "the texts, all columns and the cross-scores"


def test_a_click_on_a_method_shows_its_texts(services: Services, board: Scoreboard, id: str) -> None:
    view = board.results.board
    shown = show_texts(services, view, id, 0)
    assert "Texts of Base" in shown[view.title]
    assert shown[view.texts]["value"]["headers"] == ["Prompt", "Base"]
    assert [row[0] for row in shown[view.texts]["value"]["data"]] == ["One day", "Two days", "Three days"]
    for bad in (-1, 2, None, "0", 1.5, [0]):
        with pytest.raises(UserError, match="no such method"):
            show_texts(services, view, id, bad)


def test_slices_change_the_table(services: Services, board: Scoreboard, id: str) -> None:
    choices = open_run(services, board.results, id, ME)[board.results.opened.slice]["choices"]
    assert choices == [words.ALL_PROMPTS, "genre = a", "genre = b"]
    whole, part = (fill_table(services, id, which)[0]["value"] for which in (None, "genre = a"))
    assert whole["headers"] == part["headers"]
    assert whole["data"] != part["data"]


def test_plots_offer_what_the_run_has(services: Services, id: str) -> None:
    across, up, plot = fill_plots(services, id, None)
    assert ("distinct-1", "distinct_1") in up["choices"]
    assert (across["value"], up["value"]) == ("perplexity", "distinct_1")
    assert "LoRA verse" in plot
    for bad in ("nonsense", 5, None, ["perplexity"]):
        with pytest.raises(UserError, match="metric"):
            draw(services, id, None, "distinct_1", bad)


def test_a_prompt_is_drilled_down_into(services: Services, id: str) -> None:
    _, prompts, _, *sides = fill_texts(services, id)
    assert prompts["value"]["data"][1][:3] == [2, "Two days", "b"]
    assert [column["visible"] for column in sides[::3]] == [True] * 2 + [False] * (MAX_METHODS - 2)
    prompt, *sides = show_prompt(services, id, 2)
    assert prompt[1] == ("Two days", None)
    assert "LoRA verse" in sides[4]
    for bad in (0, 4, -1, 10**9, "2", None, 1.5, True and "x"):
        with pytest.raises(UserError, match="no such prompt"):
            show_prompt(services, id, bad)


def test_prompts_are_sorted_and_an_unknown_order_is_that_of_the_file(services: Services, id: str) -> None:
    highest = words.HIGHEST_FIRST.format(method="base")
    figures = [row[3] for row in sort_prompts(services, id, highest)[0]["value"]["data"]]
    assert figures == sorted(figures, reverse=True)
    for unknown in ("?", None, 7, ["x"]):
        assert [row[0] for row in sort_prompts(services, id, unknown)[0]["value"]["data"]] == [1, 2, 3]


def test_two_runs_stand_beside_each_other(services: Services, board: Scoreboard, form: Values, id: str) -> None:
    other = done(services, board, form | {board.setup.methods: ["base"]})
    choices = [choice for _, choice in fill_beside(services, id, None, ME)[0]["choices"]]
    assert other in choices
    assert id not in choices
    table = show_beside(services, id, None, other)[0]["value"]
    assert table["headers"][:3] == ["Method", "perplexity ↓, this run", "perplexity ↓, the other"]
    assert table["metadata"]["display_value"][1][2] == "–", "the other run has no such method"


def test_facts_say_everything_that_was_set(services: Services, id: str) -> None:
    run = services.runner.data(id).run
    facts = dict(fill_facts(services, id)[0])
    assert f"seed {FIRST_SEED}" in facts["Settings"]
    assert facts["sha256 of base"] == run.hashes["base"]
    assert facts["torch"] == services.versions["torch"]
    steered = run._replace(spec=RunSpec((parse_method("pplm:science"),)))
    assert f"strength {PPLM.strength:g}" in dict(run_facts(steered))["Methods"]


@pytest.fixture
def work() -> Iterator[Work]:
    with gr.Blocks():
        yield work_buttons(common.REPLAY, words.VERDICT, "note")


def test_a_replay_ends_with_its_verdict(services: Services, work: Work, id: str) -> None:
    first, *_, verdict, last = play(work, partial(replay_run, services, work), id)
    assert first[work.stop]["interactive"] is True
    assert verdict[work.message] == [("✓ Re-written just now: 6 texts, identical.", None)]
    assert last[work.begin]["interactive"] is True


def test_what_cannot_be_replayed_is_one_line_and_the_buttons_come_back(services: Services, work: Work) -> None:
    _, told, last = play(work, partial(replay_run, services, work), "x")
    assert told == {work.message: [(common.CANNOT_REPLAY.format(reason=common.NOTHING_HERE), ERROR)]}
    assert (last[work.begin]["interactive"], last[work.stop]["interactive"]) == (True, False)


@pytest.mark.parametrize("name", FILES)
def test_every_file_can_be_saved_and_has_a_button(services: Services, id: str, name: str) -> None:
    file, line = make_file(services, name, id)
    assert line == []
    assert file is not None
    assert file["name"] == f"mine-{name}"
    assert name in words.FILES


# Publishing


def test_only_the_owner_publishes_a_run_once_and_only_where_the_operator_permits_it(
    services: Services, board: Scoreboard, id: str
) -> None:
    opened, sent = board.results.opened, []

    def push(data: Any, results: Any) -> str:
        sent.append(data.run.id)
        return f"https://hub/{data.run.id}"

    with pytest.raises(UserError, match=words.CANNOT_PUBLISH):
        on_publish(services, opened, id, ME)
    permitted = services._replace(publisher=Publisher(services.database, push))
    for run, secret in ((id, new_secret()), (id, None), (id, owner_of(ME)), (added(services, None), ME)):
        with pytest.raises(UserError, match=common.NOT_YOURS):
            on_publish(permitted, opened, run, secret)
    assert sent == []
    for said in (f"Sent to https://hub/{id}", f"Already sent to https://hub/{id}"):
        assert on_publish(permitted, opened, id, ME)[opened.message] == [(said, None)]
    assert sent == [id]


def test_the_button_for_the_hub_is_shown_to_the_owner_only(services: Services, id: str) -> None:
    permitted = services._replace(publisher=Publisher(services.database, lambda data, results: ""))
    shown = [
        fill_files(of, id, None, secret)[0]["visible"]
        for of, secret in ((permitted, ME), (permitted, new_secret()), (permitted, None), (services, ME))
    ]
    assert shown == [True, False, False, False]
