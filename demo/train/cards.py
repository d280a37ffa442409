"""The rows of the list of adapters, and the card of one, as data to show."""

from typing import Any, NamedTuple

from adapters.methods import UserError, to_json
from adapters.store.adapter_store import Adapter
from adapters.training.card import Report
from demo.parts.links import is_own
from demo.parts.numbers import PROMPT, Span
from demo.parts.words import duration, percent
from demo.services import Services
from demo.train import words
from leaderboard.tables.display import number


class Card(NamedTuple):
    """The content of a card."""

    adapter: Adapter
    mine: bool
    readme: str
    report: Report | None


def adapter_rows(services: Services, secret: Any) -> list[list[str]]:
    """A row for each usable adapter, in the order of the panes' choices."""
    return [adapter_row(services, adapter, secret) for adapter in services.store.adapters]


def adapter_row(services: Services, adapter: Adapter, secret: Any) -> list[str]:
    """Name, method, size, parameters, held-out perplexity, forgetting, and owner."""
    report, owner = report_of(services, adapter.name), services.library.owner(adapter.name)
    measured = ["–", "–"] if report is None else [held_out(report), forgetting(report)]
    size, method = words.size_name(adapter.kind, adapter.size), words.method_name(adapter.kind)
    whose = words.SHIPPED if owner is None else words.MINE if is_own(owner, secret) else words.SOMEBODY
    return [adapter.name, method, size, f"{adapter.num_parameters:,}", *measured, whose]


def report_of(services: Services, name: str) -> Report | None:
    """The report of an adapter; None where it has none, or it cannot be read."""
    try:
        return services.library.report(name)
    except UserError:
        return None


def held_out(report: Report) -> str:
    """Held-out perplexity beside the base's."""
    return f"{number(report.adapter_scores.perplexity)}, base {number(report.base_scores.perplexity)}"


def forgetting(report: Report) -> str:
    """The rise of perplexity on general text."""
    rise = report.adapter_scores.general_perplexity / report.base_scores.general_perplexity - 1
    return f"{100 * rise:+.0f}\u00a0%"


def find_card(services: Services, name: Any, secret: Any) -> Card:
    """The card of an adapter; raises UserError where there is none of that name."""
    adapter = services.adapter(name) if isinstance(name, str) else None
    if adapter is None:
        raise UserError(words.NO_SUCH_ADAPTER)
    mine = is_own(services.library.owner(adapter.name), secret)
    return Card(adapter, mine, services.library.card(adapter.name), report_of(services, adapter.name))


def summary(card: Card, services: Services) -> str:
    """Method and size of an adapter in one line."""
    adapter = card.adapter
    parts = [words.method_name(adapter.kind), words.size_name(adapter.kind, adapter.size)]
    share = percent(adapter.num_parameters / services.num_parameters)
    return " · ".join([*parts, f"{adapter.num_parameters:,} parameters, {share} of the base model"])


def figures(report: Report) -> list[list[str]]:
    """The base's and the adapter's figures side by side."""
    base, adapter = report.base_scores, report.adapter_scores
    lines = [(words.TEXT_PERPLEXITY, base.text_perplexity, adapter.text_perplexity)]
    if base.perplexity != base.text_perplexity:
        lines.append((words.PERPLEXITY, base.perplexity, adapter.perplexity))
    lines.append((words.GENERAL_PERPLEXITY, base.general_perplexity, adapter.general_perplexity))
    rows = [[what, f"{before:.2f}", f"{after:.2f}", f"{after / before:.2f}"] for what, before, after in lines]
    if base.exact_match is not None and adapter.exact_match is not None:
        rows.append([words.EXACT, percent(base.exact_match), percent(adapter.exact_match), ""])
    return rows


def facts(report: Report) -> list[list[str]]:
    """How an adapter was made: data, settings, time."""
    settings = to_json(report.settings)
    return [
        [words.DATA, report.about],
        [words.LICENCE, report.licence],
        [words.SPLIT, f"{report.training_rows:,} to train, {report.validation_rows:,} held out"],
        [words.TOOK, f"{report.steps} steps in {duration(report.seconds)}, kept: step {report.best_step}"],
        *([name, words.setting(value)] for name, value in (settings.pop("adapter") | settings).items()),
        [words.MACHINE, report.machine],
        [words.COMMAND, report.command],
    ]


def continuation_spans(report: Report) -> list[Span]:
    """The sample texts of a card, each after its prompt."""
    spans: list[Span] = []
    for index, sample in enumerate(report.samples):
        spans += [("\n\n" if index else "", None), (sample.prompt, PROMPT), (sample.continuation, None)]
    return [span for span in spans if span[0]]
