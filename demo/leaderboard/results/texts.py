"""The texts of a run: which prompts a method does worst and best on, and all texts for one prompt side by side.

Knows samples and what was counted in them; knows nothing of components.
"""

from typing import NamedTuple

from adapters.methods import Method
from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.form import tag_names
from demo.parts import words as text
from demo.parts.numbers import PROMPT, Span
from demo.parts.tables import Column, words
from leaderboard.records import RunData
from leaderboard.tables.display import number
from leaderboard.tables.table import SampleFigures, by_prompt, prompt_figures

NUMBER = "no."
METRIC = "perplexity"  # by which prompts are worst and best


class Order(NamedTuple):
    """How the prompts are sorted: by the perplexity of one method, or, without one, as in the file."""

    method: str | None = None
    highest_first: bool = False


class MethodTexts(NamedTuple):
    """All texts of one method for a prompt, and what they have together."""

    method: Method
    spans: tuple[Span, ...]


def orders(data: RunData) -> dict[str, Order]:
    """The ways in which the prompts can be sorted, by what a person reads."""
    found = {words_leaderboard.AS_IN_FILE: Order()}
    for method in data.run.spec.methods:
        found[words_leaderboard.LOWEST_FIRST.format(method=method.name)] = Order(method.name)
        found[words_leaderboard.HIGHEST_FIRST.format(method=method.name)] = Order(method.name, highest_first=True)
    return found


def prompts_table(data: RunData, order: Order = Order()) -> list[Column]:  # noqa: B008
    """One row a prompt: its number, its text, its tags, and the perplexity of each method's texts."""
    prompts = data.run.prompts.prompts
    found = by_prompt(data, METRIC).reindex(range(len(prompts)))
    if order.method is not None:
        found = found.sort_values(order.method, ascending=not order.highest_first, kind="stable", na_position="last")
    places = found.index.tolist()
    tags = [dict(prompts[place].tags) for place in places]
    return [
        Column(NUMBER, [place + 1 for place in places], [str(place + 1) for place in places]),
        words(PROMPT, [prompts[place].prompt for place in places]),
        *(
            words(words_leaderboard.TAG.format(name=name), [of.get(name, "") for of in tags])
            for name in tag_names(data.run.prompts)
        ),
        *(Column(str(name), found[name].tolist(), [number(value) for value in found[name]]) for name in found),
    ]


def prompt_spans(data: RunData, place: int) -> list[Span]:
    """A prompt with its number and, where there is one, its reference."""
    prompt = data.run.prompts.prompts[place]
    spans: list[Span] = [
        (words_leaderboard.PROMPT_NUMBER.format(number=place + 1) + "\n", PROMPT),
        (prompt.prompt, None),
    ]
    if prompt.reference is not None:
        spans += [("\n" + words_leaderboard.REFERENCE + "\n", PROMPT), (prompt.reference, None)]
    return spans


def texts_for(data: RunData, place: int) -> list[MethodTexts]:
    """Every method's texts for the prompt at this place, each under a line of its figures."""
    texts = {(s.method, s.draw): s.text for s in data.samples if s.prompt == place}
    methods = {method.name: number for number, method in enumerate(data.run.spec.methods)}
    spans: list[list[Span]] = [[] for _ in methods]
    for figures in prompt_figures(data, place):
        number = methods[figures.method]
        end = "\n\n" if spans[number] else ""
        spans[number].append((f"{end}{figures_line(figures)}\n", PROMPT))
        spans[number].append((texts[number, figures.draw].removeprefix(" "), None))
    nothing: list[Span] = [(words_leaderboard.NO_TEXT, PROMPT)]
    return [MethodTexts(method, tuple(of or nothing)) for method, of in zip(data.run.spec.methods, spans, strict=True)]


def figures_line(figures: SampleFigures) -> str:
    """The figures of one text in one line."""
    return words_leaderboard.SAMPLE_LINE.format(
        draw=figures.draw + 1,
        perplexity=number(figures.perplexity),
        distinct=number(figures.distinct_2),
        repetition=number(figures.repetition),
        tokens=text.count(figures.num_tokens, "token"),
    )
