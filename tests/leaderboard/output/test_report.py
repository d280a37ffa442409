"""Reports: everything is there, everything is escaped, nothing is fetched."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from adapters.methods import BASE, PPLM, Attribute, Method, Sampling, parse_method, to_json
from leaderboard.metrics.passport import Passport
from leaderboard.output import report
from leaderboard.output.looks import KINDS, flat, kinds, look, style, title
from leaderboard.output.ranking import board_html, board_of
from leaderboard.output.report import comparison_report, run_report
from leaderboard.records import Prompt, RunData, Tally
from leaderboard.tables.results import Cell, Results
from tests.leaderboard.made_up import LORA, PREFIX, STEERED, made_up

HOSTILE = "<script>alert(1)</script></style><img src=x onerror=alert(2)>\"'&javascript:alert(3) {{ 7 * 7 }} {% raw %}"
LOADING = {"src", "srcset", "href", "xlink:href", "action", "formaction", "data", "poster", "background", "ping"}
ALLOWED = re.compile(
    "html|head|meta|title|style|body|h[1-4]|p|small|strong|i|b|a|span|div|table|thead|tbody|tr|th|td|dl|dt|dd|ul|li|"
    "figure|svg|g|path|rect|circle|text"
)


class Page(HTMLParser):
    """What a browser finds in a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.pieces: list[str] = []
        self.feed(page)
        self.text = "".join(self.pieces)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)

    def words(self) -> str:
        return " ".join(" ".join(self.pieces).split())


def check_harmless(page: str) -> Page:
    """Refuses scripts, links, and anything that would be fetched."""
    found = Page(page)
    assert [tag for tag in found.tags if not ALLOWED.fullmatch(tag)] == []
    assert [value for name, value in found.attributes if name in LOADING and not value.startswith("#")] == []
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    policy = next(value for _, value in found.attributes if "default-src" in value)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    style = page[page.index("<style>") : page.index("</style>")]
    assert re.findall(r"url\(|@import|https?:|image-set|src\s*:", style) == []
    styles = [value for name, value in found.attributes if name in ("style", "clip-path")]
    assert [value for value in styles if re.search(r"url\((?!#)|@|:\s*//", value)] == []
    return found


def results_of(data: RunData, **values: float) -> Results:
    """A table in which every method has the same figures, by metric."""
    names = tuple(method.name for method in data.run.spec.methods)
    cell = {metric: Cell(value, value - 0.1, value + 0.1, 0.5, -0.25, 0.75, 1.5) for metric, value in values.items()}
    return Results(
        methods=names,
        metrics=tuple(values),
        cells={metric: dict.fromkeys(names, cell[metric]) for metric in values},
        best=dict.fromkeys(values, names[:1]),
        cross={"base": {name: Cell(4.0) for name in names}},
        prompts_perplexity={"base": Cell(31.0)},
        references_perplexity={},
        passports={metric: Passport(metric.replace("_", "-"), metric != "perplexity", "made up") for metric in values},
        num_prompts=len(data.run.prompts.prompts),
        num_texts=len(data.samples),
    )


def hostile_run() -> RunData:
    methods = {BASE: [[HOSTILE]], Method(HOSTILE, lora=HOSTILE): [[HOSTILE]]}
    data = made_up(methods, [Prompt(HOSTILE, HOSTILE, HOSTILE, ((HOSTILE, HOSTILE),))])
    prompts = replace(data.run.prompts, name=HOSTILE)
    run = data.run._replace(prompts=prompts, base=HOSTILE, hashes={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE})
    return data._replace(run=run)


def test_a_run_with_hostile_texts_is_harmless_and_keeps_them_as_text() -> None:
    data = hostile_run()
    results = results_of(data, perplexity=3.0, distinct_2=0.5)
    passport = Passport(HOSTILE, None, HOSTILE, n=HOSTILE)
    results = replace(results, passports=dict.fromkeys(results.metrics, passport))
    found = check_harmless(run_report(data, results))
    assert found.text.count(HOSTILE) >= 14
    assert "49" not in found.text


def test_a_run_shows_its_table_with_intervals_best_ties_and_directions() -> None:
    data = made_up({BASE: [["a b"], ["c"]], LORA: [["d"], ["e"]]})
    results = results_of(data, perplexity=3.0, distinct_2=0.5)
    missing = {"base": Cell(3.25, 3.0, 3.5), LORA.name: Cell(math.nan)}
    results = replace(results, cells={**results.cells, "perplexity": missing})
    words = check_harmless(run_report(data, results)).words()
    assert "perplexity lower is better 3.25 3.00 to 3.50 –" in words, "no marks with two prompts"
    assert "Too few prompts to tell methods apart (2): use 20 or more; intervals begin at 5." in words
    row = "distinct-2 higher is better 0.500 0.400 to 0.600 +0.500 [-0.250, 0.750]"
    assert f"{row} 0.500 0.400 to 0.600 +0.500 [-0.250, 0.750]" in words
    marked = check_harmless(run_report(data, replace(results, num_prompts=20))).words()
    assert "perplexity lower is better 3.25 best 3.00 to 3.50 –" in marked
    assert "0.500 0.400 to 0.600 +0.500 [-0.250, 0.750] tie" in marked
    assert "Scored by Base LoRA poetry base 4.00 4.00" in words
    assert "Perplexity of the prompts base 31.0" in words
    assert "Perplexity of the references" not in words
    assert "direction lower is better aggregation made up" in words


def test_a_run_says_everything_that_determines_it() -> None:
    data = made_up({BASE: [["a"]], STEERED: [["b"]]})
    run = data.run._replace(hashes={"base": "f00d"}, versions={"torch": "2.13"}, status="stopped")
    words = check_harmless(run_report(data._replace(run=run), results_of(data))).words()
    for part in (
        "set 2 methods on 1 prompts with tiny, 2026-11-22 00:00 UTC, stopped",
        "samples 1 sampling.temperature 0.7",
        "seed 7 judge base chat False",
        "Base The base model as it is.",
        "PPLM science steering.attributes.1.name science",
        f"steering.strength {PPLM.strength:g}",
        "base f00d",
        "torch 2.13",
        f"run {data.run.id}",
    ):
        assert part in words


def test_texts_stand_under_their_prompt_with_their_figures() -> None:
    prompts = [Prompt("one\n two", "a reference", "p-1", (("topic", "sea"),)), Prompt("three")]
    tallies = {"base": {"0 0 0": Tally(-2 * math.log(8), 2)}}
    data = made_up({BASE: [["x\n  y", " "], [None, "z"]], PREFIX: [["w"], ["DIVERGED"]]}, prompts, tallies)
    page = run_report(data, results_of(data))
    assert "one\n two" in page
    assert "x\n  y" in page  # verse keeps its lines
    words = Page(page).words()
    assert "All prompts. Perplexity of each text under base." in words
    assert "Row 1 · p-1 · topic: sea one two Reference: a reference Base x y 3 tokens · perplexity 8.00" in words
    assert "An empty text. 1 token · token limit Prefix facts w 2 tokens · token limit" in words
    assert "Row 2 three Base z 2 tokens · token limit Prefix facts DIVERGED 2 tokens · diverged" in words


def test_a_run_without_texts_yet_has_a_report() -> None:
    data = made_up({BASE: [[None]], LORA: [[None]]})
    words = check_harmless(run_report(data, results_of(data))).words()
    assert words.count("No text yet.") == 2


def test_a_large_run_shows_its_first_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "MAX_CHARACTERS", 1_000)
    data = made_up({BASE: [["x" * 300] for _ in range(9)]})
    words = Page(run_report(data, results_of(data))).words()
    assert "The first 3 of 9 prompts; the exports have all." in words
    data = made_up({BASE: [["x" * 3_000] for _ in range(9)]})
    assert "The first 1 of 9 prompts" in Page(run_report(data, results_of(data))).words()


def test_many_methods_are_split_into_tables_that_fit_a_page() -> None:
    methods = [BASE, *(Method(f"lora:{place}", lora=str(place)) for place in range(7))]
    data = made_up({method: [["a"]] for method in methods})
    page = run_report(data, results_of(data, perplexity=3.0))
    assert page.count('<table class="grid">') == 4  # two of each kind
    assert "--columns: 7" in page
    assert "--columns: 3" in page


def test_the_report_has_the_order_and_the_board_of_the_page() -> None:
    data = made_up({BASE: [["a"]], LORA: [["b"]], PREFIX: [["c"]]})
    results = results_of(data, perplexity=3.0, distinct_2=0.5)
    page = run_report(data, results)
    assert board_html(board_of(data.run, results)).strip() in page
    heads = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert heads[0] == "Texts"
    assert heads[-1] == "Hashes and versions"
    assert "<svg" not in run_report(data, results_of(data, perplexity=3.0))


def test_colours_say_what_a_method_is_made_of() -> None:
    both = Method("x", lora="a", steering=PPLM((Attribute("science"),)))
    found = [look(method).classes for method in (BASE, LORA, PREFIX, STEERED, both)]
    assert found == ["kind-base", "kind-lora", "kind-prefix", "kind-pplm", "kind-lora and-pplm"]
    alone = [parse_method(f"{kind}:x") for kind in ("ask", "experts", "best", "push")]
    assert [kinds(method) for method in alone] == [["ask"], ["experts"], ["best"], ["push"]]
    joined = [kind for kind in KINDS if kind not in ("base", "best", "given")]
    every = parse_method("+".join(f"{kind}:x:y" if kind == "vector" else f"{kind}:x" for kind in joined))
    assert kinds(every) == joined, "in one order"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("pplm:science*2+push:science+lora:poetry", "PPLM science ×2 + push science over LoRA poetry"),
        ("best:space*-1", "Best of 10 away from space"),
        ("push:science+push:legal*0.5", "Push science and legal ×0.5"),
        ("ask:science*1.5+prefix:facts", "Ask science ×1.5 over prefix facts"),
        ("experts:poetry/austen*-1", "Away from poetry against austen"),
        ("ask:negative+experts:poetry", "Ask negative + experts poetry"),
    ],
)
def test_a_composition_has_a_name(name: str, said: str) -> None:
    assert title(parse_method(name)) == said


def test_every_kind_can_be_told_apart() -> None:
    """By its sign without its colour; as a line on paper and on a dark screen, 3 to 1."""
    for part in ("title", "symbol", "outline", "glyph"):
        assert len({getattr(kind, part) for kind in KINDS.values()}) == len(KINDS)
    for kind in KINDS.values():
        assert [contrast(*pair) >= 3 for pair in zip(kind.colors, ("#ffffff", "#171e29"), strict=True)] == [True, True]
    css = style()
    assert all(f"--{name}:{kind.colors[0]};" in css and f".kind-{name}{{" in css for name, kind in KINDS.items())


def contrast(one: str, two: str) -> float:
    """WCAG's contrast of two colours."""
    shares = [[int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)] for color in (one, two)]
    linear = [[s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in each] for each in shares]
    low, high = sorted(0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in linear)
    return (high + 0.05) / (low + 0.05)


def test_settings_are_flat_names_and_values() -> None:
    settings = {"a": 0.5, "b": None, "c": {"d": [{"e": True}, {"e": 1e-5}]}, "f": ("x", "y"), "g": ()}
    assert flat(settings) == [("a", "0.5"), ("c.d.1.e", "True"), ("c.d.2.e", "1e-05"), ("f", "x, y")]


def record(**changes: Any) -> dict[str, Any]:
    pane = {
        "method": to_json(BASE),
        "text": " a text",
        "token_ids": [1, 2, 3],
        "logprobs": [-1.0, None, -2.0],
        "finish_reason": "eos",
        "figures": {
            "tokens": 3,
            "tokens_per_second": 12.345,
            "perplexity": 9.1,
            "distinct_2": None,
            "attribute_words": 2,
        },
    }
    return {
        "version": 1,
        "created": "2026-11-22T03:04:05+00:00",
        "base": "tiny",
        "hashes": {"base": "f00d"},
        "versions": {"torch": "2.13"},
        "prompt": "A prompt",
        "chat": False,
        "seed": 7,
        "sampling": to_json(Sampling()),
        "panes": [pane, pane | {"method": to_json(STEERED), "finish_reason": "diverged", "figures": {}}],
    } | changes


def test_a_comparison_shows_texts_figures_and_everything_that_determines_them() -> None:
    words = check_harmless(comparison_report(record())).words()
    for part in (
        "One prompt, 2 methods tiny, 2026-11-22 03:04 UTC A prompt",
        "Base a text 3 tokens · tokens/s 12.3 · perplexity 9.10 · distinct-2 (words) 1.00 · attribute words 2",
        "PPLM science a text 3 tokens · diverged",
        "seed 7 chat False sampling.temperature 0.7",
        "steering.step_size 0.3",
        "base f00d",
        "torch 2.13",
    ):
        assert part in words


def hostile_record() -> dict[str, Any]:
    panes = [record()["panes"][0] | {"text": HOSTILE, "method": to_json(Method(HOSTILE, lora=HOSTILE))}]
    changes = {"prompt": HOSTILE, "base": HOSTILE, "hashes": {HOSTILE: HOSTILE}, "versions": {HOSTILE: HOSTILE}}
    return record(panes=panes, **changes)


def test_a_hostile_comparison_is_harmless_and_keeps_its_texts() -> None:
    found = check_harmless(comparison_report(hostile_record()))
    assert found.text.count(HOSTILE) >= 8
