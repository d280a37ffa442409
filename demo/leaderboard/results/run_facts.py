"""The inner tab with what a run was made with, and the replay that proves it.

Knows which component shows what.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from demo.leaderboard import words as words_leaderboard
from demo.leaderboard.results.load import find_run
from demo.leaderboard.results.run import replay_run
from demo.parts import words as text
from demo.parts.events import LIGHT
from demo.parts.panes import Values, message, message_line
from demo.parts.running import closed_at_end
from demo.parts.tables import facts_table, model_facts
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.records import Run

TURN: dict[str, Any] = {"concurrency_id": "leaderboard", "concurrency_limit": 1}  # one run at a time, whoever asks


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
    running = view.replay.click(
        partial(on_replay, services, view),
        opened.id,
        outputs,
        show_progress="minimal",
        show_progress_on=view.verdict,
        api_visibility="private",
        **TURN,
    )
    stopped = view.stop.click(None, cancels=[running])
    stopped.then(partial(on_stop, view), None, outputs, **LIGHT)
    return inner(opened, [view.facts, view.verdict], partial(fill_facts, services, view))


def lay_out_facts() -> FactsView:
    """Puts the components on the page."""
    with gr.Row(elem_classes="below"):
        replay = gr.Button(text.REPLAY, size="sm", min_width=0, scale=0)
        stop = gr.Button(text.STOP, size="sm", min_width=0, scale=0, interactive=False)
    verdict = message_line(words_leaderboard.VERDICT, "replay-note")
    return FactsView(replay, stop, verdict, facts_table())


# Handlers: values in, values out


def fill_facts(services: Services, view: FactsView, id: Any, *_: Any) -> Values:
    """What a run was made with."""
    return {view.facts: run_facts(find_run(services, id)), view.verdict: []}


def on_replay(services: Services, view: FactsView, id: Any) -> Iterator[Values]:
    """Writes the run again and says what differs."""
    yield {view.replay: gr.update(interactive=False), view.stop: gr.update(interactive=True)}
    with closed_at_end(replay_run(services, id)) as messages:
        for words, is_error in messages:
            yield {view.verdict: message(words, is_error)}
    yield {view.replay: gr.update(interactive=True), view.stop: gr.update(interactive=False)}


def on_stop(view: FactsView) -> Values:
    """The tab after Stop."""
    return {
        view.verdict: message(text.REPLAY_STOPPED),
        view.replay: gr.update(interactive=True),
        view.stop: gr.update(interactive=False),
    }


def run_facts(run: Run) -> list[list[str]]:
    """What a run was made with, row by row."""
    spec = run.spec
    rows = [
        [text.PROMPTS, f"{run.prompts.name}, {text.count(len(run.prompts.prompts), 'prompt')}"],
        [text.METHODS, "\n".join(f"{method.name}: {text.settings(method)}" for method in spec.methods)],
        [text.SETTINGS, words_leaderboard.run_line(spec)],
        [words_leaderboard.MADE_AT, text.moment(run.created)],
        [words_leaderboard.STATUS, words_leaderboard.STATUSES[run.status]],
    ]
    return rows + model_facts(run.base, run.hashes, run.versions)
