"""What a run says: its conclusion in words, its ranking in five columns, its trade-off plot."""

import math
import re
from dataclasses import replace

import pytest

from adapters.methods import BASE
from leaderboard.output import trade_off
from leaderboard.output.conclusion import conclude, foreseen, listed, power
from leaderboard.output.looks import look
from leaderboard.output.ranking import board_html, board_of, plot_html
from leaderboard.output.trade_off import Box
from leaderboard.records import AGAIN, RunData
from leaderboard.tables.display import figure, size
from leaderboard.tables.results import Cell, Results
from leaderboard.tables.table import tabulate
from tests.leaderboard.made_up import LORA, STEERED, made_up
from tests.leaderboard.tables.test_table import a_run

SCIENCE = "the share of texts about science"


@pytest.fixture(scope="module")
def data() -> RunData:
    return a_run(24)


@pytest.fixture(scope="module")
def results(data: RunData) -> Results:
    return tabulate(data)


def titles(data: RunData) -> dict[str, str]:
    return {method.name: look(method).title for method in data.run.spec.methods}


def test_it_concludes_what_changed_at_what_cost_and_who_does_not_differ(data: RunData, results: Results) -> None:
    lines = conclude(results, titles(data))
    science, ppl = results.cells["attribute:science"], results.cells["perplexity"]
    shares = [figure("attribute:science", science[name].value) for name in ("base", STEERED.name)]
    times = f"{ppl[STEERED.name].value / ppl['base'].value:.2g}"
    assert lines[:2] == [
        f"PPLM science raised {SCIENCE} from {shares[0]} to {shares[1]} at {times} times the perplexity.",
        f"LoRA poetry and Prefix facts cannot be told from Base in {SCIENCE}.",
    ]
    assert max(len(line.split()) for line in lines) <= 20


def test_a_sentence_says_no_more_than_the_bound_allows(data: RunData, results: Results) -> None:
    """The interval of a difference by itself may exclude zero: only the bound of the whole table counts."""
    base, tied = Cell(0.2, 0.1, 0.3), Cell(0.4, 0.3, 0.5, 0.2, 0.1, 0.3, 0.25)
    column = dict.fromkeys(results.methods, tied) | {"base": base}
    flat = replace(results, metrics=("attribute:science",), cells={"attribute:science": column})
    assert conclude(flat, titles(data)) == [f"No method can be told from Base in {SCIENCE} (20\u00a0%)."]
    clear = replace(flat, cells={"attribute:science": column | {LORA.name: tied._replace(bound=0.19)}})
    assert conclude(clear, titles(data))[0] == f"LoRA poetry raised {SCIENCE} from 20\u00a0% to 40\u00a0%."
    fluent = {"perplexity": {LORA.name: Cell(9, difference=-1, bound=2)}}
    said = f"LoRA poetry raised {SCIENCE} from 20\u00a0% to 40\u00a0% without a clear change in perplexity."
    assert conclude(replace(clear, cells={**clear.cells, **fluent}), titles(data))[0] == said
    old = dict.fromkeys(results.methods, tied._replace(bound=math.nan)) | {"base": base}
    assert conclude(replace(flat, cells={"attribute:science": old}), titles(data)) == [], "stored by an older release"


def test_without_a_topic_it_begins_with_perplexity(data: RunData, results: Results) -> None:
    metrics = tuple(name for name in results.metrics if not name.startswith("attribute"))
    lines = conclude(replace(results, metrics=metrics), titles(data))
    assert lines[0].startswith("PPLM science raised perplexity from ")
    assert board_of(data.run, replace(results, metrics=metrics)).heads[0].title == "Perplexity"


def test_it_says_how_large_a_difference_must_be(data: RunData, results: Results) -> None:
    known = {"attribute:science": 0.214, "perplexity": 1.26, "distinct_2": math.nan}
    run = "With 24 prompts and 48 texts of each method, this run can see differences of about"
    said = f"{run} 21 points in {SCIENCE}"
    assert power(replace(results, detectable=known)) == f"{said} and 1.3 in perplexity."
    assert power(replace(results, detectable={})) == ""
    assert board_of(data.run, results).conclusion[-1] == power(results)


def test_a_run_that_has_not_begun_sees_what_its_size_allows(results: Results) -> None:
    """Four times the prompts see half, and a little less than that, since t is smaller."""
    known = replace(results, detectable={"attribute:science": 0.4, "perplexity": 2.0, "distinct_2": 0.1})
    said = "If texts vary as in the example run, it can see differences of about "
    assert foreseen(known, 24) == f"{said}40 points in {SCIENCE} and 0.1 in distinct-2."
    assert foreseen(known, 96) == f"{said}18 points in {SCIENCE} and 0.045 in distinct-2."
    assert foreseen(known, 4) == "Fewer than 5 prompts have no intervals."


def test_with_few_prompts_one_sentence_stands_for_all_marks(data: RunData, results: Results) -> None:
    few = tabulate(a_run(4))
    board = board_of(data.run, few)
    assert board.conclusion == ["Too few prompts to tell methods apart (4): use 20 or more; intervals begin at 5."]
    assert not board.has_ranks
    assert {(cell.marks, cell.span) for row in board.rows for cell in row.cells} == {("", "")}
    assert "★" not in board_html(board)


def test_five_columns_come_first_and_ties_share_a_rank(data: RunData, results: Results) -> None:
    board = board_of(data.run, results)
    assert [head.title for head in board.heads] == ["On topic (science)", "Perplexity", "Repetition", "Speed", "Size"]
    assert [(row.look.title, row.rank) for row in board.rows][0] == ("PPLM science", "1")
    assert {row.rank for row in board.rows[1:]} == {"2 ="}
    assert board.rows[0].cells[0].marks == "★"
    assert {row.cells[-1].text for row in board.rows} == {"none", "4.1\u00a0kB"}


def test_names_are_escaped_and_a_method_is_chosen_by_its_place(data: RunData, results: Results) -> None:
    html = board_html(board_of(data.run, results))
    assert sorted(set(re.findall(r'data-method="(\d)"', html))) == ["0", "1", "2", "3"]
    hostile = replace(LORA, lora="<img>")
    run = made_up({BASE: [["a b c d e"]], hostile: [["b"]]})
    assert "<img>" not in board_html(board_of(run.run, tabulate(run)))


def test_the_plot_has_shares_from_0_to_1_units_and_the_better_corner(data: RunData, results: Results) -> None:
    plot = board_of(data.run, results).plot
    assert plot is not None
    assert [text for _, text in plot.y.marks] == [f"{n}\u00a0%" for n in (0, 20, 40, 60, 80, 100)]
    assert (plot.x.title, plot.hint) == ("perplexity, lower is better", "better: up and left")
    for point in plot.points:
        assert trade_off.LEFT <= point.across[0] <= point.x <= point.across[1] <= trade_off.RIGHT
        assert trade_off.TOP <= point.up[1] <= point.y <= point.up[0] <= trade_off.BOTTOM


def test_names_do_not_overlap_each_other(data: RunData, results: Results) -> None:
    close = {name: Cell(10 + n / 10, 9, 11) for n, name in enumerate(results.methods)}
    near = replace(results, cells={**results.cells, "perplexity": close, "distinct_2": dict.fromkeys(close, Cell(0.9))})
    plot = trade_off.trade_off(near, [look(method) for method in data.run.spec.methods], "perplexity", "distinct_2")
    assert plot is not None
    boxes = [
        Box(p.name_x, p.name_y - 12, p.name_x + trade_off.LETTER * len(p.look.title), p.name_y + 4) for p in plot.points
    ]
    assert all(one.shared(other) == 0 for n, one in enumerate(boxes) for other in boxes[:n])


def test_who_lacks_a_figure_is_not_drawn(data: RunData, results: Results) -> None:
    cells = {**results.cells["distinct_2"], LORA.name: Cell(math.nan)}
    some = replace(results, cells={**results.cells, "distinct_2": cells})
    svg = plot_html(data.run, some, "perplexity", "distinct_2")
    assert "Prefix facts" in svg
    assert "LoRA poetry" not in svg
    assert set(re.findall(r"#[0-9a-f]{6}", svg)) == set(), "no colour of its own, so that dark mode works"
    assert plot_html(data.run, replace(results, metrics=()), "perplexity", "distinct_2") == ""


def test_figures_have_units() -> None:
    assert [size(n) for n in (0, 921_728, 4_938_648, 1_960_000_000)] == [
        "0\u00a0B",
        "922\u00a0kB",
        "4.94\u00a0MB",
        "1.96\u00a0GB",
    ]
    assert figure("speed", 0.321) == "0.32\u00a0×"
    assert figure("attribute:science", 0.45) == "45\u00a0%"
    assert figure("perplexity", math.nan) == "–"
    assert listed(["a", "b", "c"]) == "a, b and c"


def test_an_a_a_row_that_is_told_apart_warns_above_the_table() -> None:
    def board(bound: float) -> list[str]:
        data = made_up({BASE: [["a b c"]] * 24, AGAIN: [["a b d"]] * 24, LORA: [["x y z"]] * 24})
        found = tabulate(data)
        cell = Cell(0.5, 0.4, 0.6, 0.1, 0.05, 0.15)
        again = {AGAIN.name: cell._replace(bound=bound), LORA.name: cell._replace(bound=0.05)}
        cells = {**found.cells, "repetition": {**found.cells["distinct_2"], **again}}
        passports = {**found.passports, "repetition": found.passports["distinct_2"]}
        shown = board_of(data.run, replace(found, metrics=("repetition",), cells=cells, passports=passports))
        assert [row.look.title for row in shown.rows if row.look.kinds == ["base"]] == ["Base", "Base again"]
        return shown.conclusion

    warning = "The base differs from itself here, in distinct-2: read marks with care."
    assert warning in board(0.05)
    assert warning not in board(0.15)
