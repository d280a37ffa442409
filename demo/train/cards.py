"""The adapters as the page lists them, and the card of one.

Knows adapters, their reports and owners; knows nothing of Gradio or of files.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from adapters.methods import UserError, to_json
from adapters.store.adapter_store import Adapter
from adapters.training.card import Report
from demo.parts.links import is_own
from demo.parts.numbers import PROMPT, Span
from demo.parts.words import duration, percent
from demo.services import Services
from demo.train import words as words_train
from leaderboard.tables.display import number


class Card(NamedTuple):
    """What is shown of an adapter."""

    adapter: Adapter
    mine: bool
    readme: str
    report: Report | None


def adapter_rows(services: Services, secret: Any) -> list[list[str]]:
    """A row for each adapter that can be used, in the order in which the panes offer them."""
    return [adapter_row(services, adapter, secret) for adapter in services.store.adapters]


def adapter_row(services: Services, adapter: Adapter, secret: Any) -> list[str]:
    """Name, method, size, parameters, perplexity of held-out rows, of general text, and whose it is."""
    report = report_of(services, adapter.name)
    measured = ["–", "–"] if report is None else [held_out(report), general(report)]
    size, method = words_train.size_name(adapter.kind, adapter.size), words_train.method_name(adapter.kind)
    return [adapter.name, method, size, f"{adapter.num_parameters:,}", *measured, whose(services, adapter.name, secret)]


def report_of(services: Services, name: str) -> Report | None:
    """What is known of an adapter; None where its folder does not say, or cannot be read."""
    try:
        return services.library.report(name)
    except UserError:
        return None


def held_out(report: Report) -> str:
    """Held-out perplexity against the base's."""
    base, adapter = report.base_scores.perplexity, report.adapter_scores.perplexity
    return f"{number(adapter)}, base {number(base)} (× {adapter / base:.2f})"


def general(report: Report) -> str:
    """Perplexity of general text as a multiple of the base's."""
    return f"× {report.adapter_scores.general_perplexity / report.base_scores.general_perplexity:.2f}"


def whose(services: Services, name: str, secret: Any) -> str:
    """Whose an adapter is."""
    owner = services.library.owner(name)
    if owner is None:
        return words_train.SHIPPED
    return words_train.MINE if is_own(owner, secret) else words_train.SOMEBODY


def find_card(services: Services, name: Any, secret: Any) -> Card:
    """The card of an adapter; raises UserError where there is none of that name."""
    adapter = services.adapter(name) if isinstance(name, str) else None
    if adapter is None:
        raise UserError(words_train.NO_SUCH_ADAPTER)
    mine = is_own(services.library.owner(adapter.name), secret)
    return Card(adapter, mine, services.library.card(adapter.name), report_of(services, adapter.name))


def summary(card: Card, services: Services) -> str:
    """What an adapter is, in one line."""
    adapter = card.adapter
    parts = [words_train.method_name(adapter.kind), words_train.size_name(adapter.kind, adapter.size)]
    share = percent(adapter.num_parameters / services.num_parameters)
    return " · ".join([*parts, f"{adapter.num_parameters:,} parameters, {share} of the base model"])


def figures(report: Report) -> list[list[str]]:
    """The base's and the adapter's figures side by side."""
    base, adapter = report.base_scores, report.adapter_scores
    lines = [(words_train.TEXT_PERPLEXITY, base.text_perplexity, adapter.text_perplexity)]
    if base.perplexity != base.text_perplexity:
        lines.append((words_train.PERPLEXITY, base.perplexity, adapter.perplexity))
    lines.append((words_train.GENERAL_PERPLEXITY, base.general_perplexity, adapter.general_perplexity))
    rows = [[what, f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"] for what, before, after in lines]
    if base.exact_match is not None and adapter.exact_match is not None:
        rows.append([words_train.EXACT, percent(base.exact_match), percent(adapter.exact_match), ""])
    return rows


def facts(report: Report) -> list[list[str]]:
    """How an adapter was made: data, settings, time."""
    took = f"{report.steps} steps in {duration(report.seconds)}, kept: step {report.best_step}"
    return [
        [words_train.DATA, report.about],
        [words_train.LICENCE, report.licence],
        [words_train.SPLIT, f"{report.training_rows:,} to train, {report.validation_rows:,} held out"],
        [words_train.TOOK, took],
        *([name, words_train.setting(value)] for name, value in flat(to_json(report.settings)).items()),
        [words_train.MACHINE, report.machine],
        [words_train.COMMAND, report.command],
    ]


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with those of the adapter among them."""
    own = settings.get("adapter", {})
    return {**own, **{name: value for name, value in settings.items() if name != "adapter"}}


def continuation_spans(report: Report) -> list[Span]:
    """The texts of a card, each after its prompt."""
    spans: list[Span] = []
    for place, sample in enumerate(report.samples):
        spans += [("\n\n" if place else "", None), (sample.prompt, PROMPT), (sample.continuation, None)]
    return [span for span in spans if span[0]]
