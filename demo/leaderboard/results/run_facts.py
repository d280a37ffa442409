"""The inner tab with the settings of a run, and the replay that proves them."""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_run
from demo.parts import words as common
from demo.parts.events import LIGHT, slow
from demo.parts.marked import Values, message, message_line
from demo.parts.running import changed, closed_at_end
from demo.parts.tables import facts_table, model_facts
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.records import Run
from leaderboard.runs.runner import Replay

SHOWN = 5  # differences that are told one by one


class Message(NamedTuple):
    """A line for people."""

    text: str
    is_error: bool = False


class FactsView(NamedTuple):
    """The components."""

    replay: gr.Button
    stop: gr.Button
    verdict: gr.HighlightedText
    facts: gr.Dataframe


def facts_tab(services: Services, opened: Opened) -> Inner:
    """The inner tab, laid out and wired."""
    view = lay_out_facts()
    outputs = [view.verdict, view.replay, view.stop]
    replay = partial(on_replay, services, view)
    running = view.replay.click(replay, opened.id, outputs, **slow(view.verdict, "leaderboard"))
    stopped = view.stop.click(None, cancels=[running])
    stopped.then(partial(on_stop, view), None, outputs, **LIGHT)
    return inner(opened, [view.facts, view.verdict], partial(fill_facts, services, view))


def lay_out_facts() -> FactsView:
    """Replay, Stop, the verdict, and the table of settings."""
    with gr.Row(elem_classes="below"):
        replay = gr.Button(common.REPLAY, size="sm", min_width=0, scale=0)
        stop = gr.Button(common.STOP, size="sm", min_width=0, scale=0, interactive=False)
    verdict = message_line(words.VERDICT, "replay-note")
    return FactsView(replay, stop, verdict, facts_table())


# Handlers: values in, values out


def fill_facts(services: Services, view: FactsView, id: Any, *_: Any) -> Values:
    """The settings of a run."""
    return {view.facts: run_facts(find_run(services, id)), view.verdict: []}


def on_replay(services: Services, view: FactsView, id: Any) -> Iterator[Values]:
    """Write the run again and say what differs."""
    yield buttons(view, is_running=True)
    with closed_at_end(replay_run(services, id)) as messages:
        for line in messages:
            yield {view.verdict: message(*line)}
    yield buttons(view, is_running=False)


def on_stop(view: FactsView) -> Values:
    """The tab after Stop."""
    return {view.verdict: message(common.REPLAY_STOPPED)} | buttons(view, is_running=False)


def buttons(view: FactsView, is_running: bool) -> Values:
    """Which of the two buttons can be pressed."""
    return {view.replay: gr.update(interactive=not is_running), view.stop: gr.update(interactive=is_running)}


# Between runs and components


def run_facts(run: Run) -> list[list[str]]:
    """The settings of a run, row by row."""
    spec = run.spec
    rows = [
        [common.PROMPTS, f"{run.prompts.name}, {common.count(len(run.prompts.prompts), 'prompt')}"],
        [common.METHODS, "\n".join(f"{method.name}: {common.settings(method)}" for method in spec.methods)],
        [common.SETTINGS, words.run_line(spec)],
        [words.MADE_AT, common.moment(run.created)],
        [words.STATUS, words.STATUSES[run.status]],
    ]
    return rows + model_facts(run.base, run.hashes, run.versions)


def replay_run(services: Services, id: Any) -> Iterator[Message]:
    """Write a run again; the last message is the verdict. Closing the generator stops it."""
    try:
        run = find_run(services, id)
        last: Replay | None = None
        with closed_at_end(services.runner.replay(run.id)) as steps:
            for last in steps:
                yield Message(words.REPLAYING_RUN.format(done=last.done, total=last.total))
        if last is not None:
            yield verdict(services, run, last)
    except UserError as error:
        yield Message(common.CANNOT_REPLAY.format(reason=error), is_error=True)
    except Exception:
        yield Message(common.SERVER_ERROR, is_error=True)
        raise


def verdict(services: Services, run: Run, replay: Replay) -> Message:
    """Identical, or the first tokens that differ; and what has changed since."""
    differences = replay.differences
    lines = [common.replayed(replay.done - len(differences), replay.done)]
    lines += [
        words.RUN_DIFFERS.format(method=method, prompt=prompt + 1, draw=draw + 1, token=token)
        for method, prompt, draw, token in differences[:SHOWN]
    ]
    if len(differences) > SHOWN:
        lines.append(words.AND_MORE.format(number=len(differences) - SHOWN))
    return Message(" ".join([*lines, *changed(services, run.spec.methods, run.hashes, run.versions)]))
