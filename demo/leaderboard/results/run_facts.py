"""The two inner tabs about the run itself: its settings with the replay that proves them, and its files."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import gradio as gr

from adapters.decoding.visitors import TOKENS
from adapters.methods import UserError
from demo.leaderboard import words
from demo.leaderboard.results.load import find_own, find_run, load_data
from demo.parts import words as common
from demo.parts.actions import Work, as_file, save_on_click, wire_work, work_buttons
from demo.parts.events import slow, told
from demo.parts.links import is_own
from demo.parts.marked import Marked, Values, message
from demo.parts.running import changed, closed_at_end, replaying, work_of_run
from demo.parts.tables import facts_table, model_facts
from demo.parts.views import Inner, Opened, inner
from demo.services import Services
from leaderboard.output.export import FILES
from leaderboard.records import Run
from leaderboard.runs.runner import Replay

SHOWN = 5  # differences that are told one by one


def facts_tab(services: Services, opened: Opened) -> Inner:
    work, facts = work_buttons(common.REPLAY, words.VERDICT, "replay-note"), facts_table()
    wire_work(work, partial(replay_run, services, work), opened.id, "leaderboard", common.REPLAY_STOPPED)
    return inner(opened, [facts, work.message], partial(fill_facts, services))


def fill_facts(services: Services, id: Any, *_: Any) -> tuple[list[list[str]], Marked]:
    return run_facts(find_run(services, id)), []


def run_facts(run: Run) -> list[list[str]]:
    spec = run.spec
    rows = [
        [common.PROMPTS, f"{run.prompts.name}, {common.count(len(run.prompts.prompts), 'prompt')}"],
        [common.METHODS, "\n".join(f"{method.name}: {common.settings(method)}" for method in spec.methods)],
        [common.SETTINGS, words.run_line(spec)],
        [words.MADE_AT, common.moment(run.created)],
        [words.STATUS, run.status],
    ]
    return rows + model_facts(run.base, run.hashes, run.versions)


def replay_run(services: Services, work: Work, id: Any) -> Iterator[Values]:
    """Write a run again; the last message is the verdict. Closing the generator stops it. Raises UserError."""
    with replaying():
        run = find_run(services, id)
        used = services.allowance.spend(TOKENS, work_of_run(run.spec, run.prompts))
        with used, closed_at_end(services.runner.replay(run.id)) as steps:
            for last in steps:
                yield {work.message: message(words.REPLAYING_RUN.format(done=last.done, total=last.total))}
        yield {work.message: message(verdict(services, run, last))}


def verdict(services: Services, run: Run, replay: Replay) -> str:
    """Identical, or the first tokens that differ; and what has changed since."""
    differences = replay.differences
    lines = [common.replayed(replay.done - len(differences), replay.done)]
    lines += [
        words.RUN_DIFFERS.format(method=method, prompt=prompt + 1, draw=draw + 1, token=token)
        for method, prompt, draw, token in differences[:SHOWN]
    ]
    lines += [words.NOT_REPLAYED.format(method=method.name) for method in run.spec.methods if method.texts is not None]
    if len(differences) > SHOWN:
        lines.append(words.AND_MORE.format(number=len(differences) - SHOWN))
    return " ".join([*lines, *changed(services, run.spec.methods, run.hashes, run.versions)])


def files_tab(services: Services, opened: Opened) -> Inner:
    with gr.Row(elem_classes="below"):
        for name in FILES:
            button = gr.Button(words.FILES[name], size="sm", min_width=0, scale=0)
            save_on_click(button, partial(make_file, services, name), opened.id, opened.message)
        publish = gr.Button(words.PUBLISH, size="sm", min_width=0, scale=0, visible=False)
    gr.HTML(f"<p>{words.FILES_HELP}</p>", elem_classes="help")
    send = told(opened.message, on_publish, services, opened)
    publish.click(send, [opened.id, opened.owner], opened.message, **slow(opened.message))
    return inner(opened, [publish], partial(fill_files, services))


def fill_files(services: Services, id: Any, _: Any, secret: Any) -> tuple[Any]:
    """Offer to publish the run to the browser that made it, where the operator has set it up."""
    mine = is_own(find_run(services, id).owner, secret)
    return (gr.update(visible=services.publisher is not None and mine),)


def make_file(services: Services, name: str, id: Any) -> tuple[dict[str, str], Marked]:
    data = load_data(services, id)
    return as_file(f"{data.run.prompts.name}-{name}", FILES[name](data, services.runner.results(data.run.id))), []


def on_publish(services: Services, opened: Opened, id: Any, secret: Any) -> Values:
    """Send an own run to the Hub, once, and say where it is. Raises UserError."""
    run = find_own(services, id, secret)
    if services.publisher is None:
        raise UserError(words.CANNOT_PUBLISH)
    sent = services.publisher.send(load_data(services, run.id), services.runner.results(run.id), run.owner)
    said = words.PUBLISHED if sent.is_new else words.PUBLISHED_BEFORE
    return {opened.message: message(said.format(address=sent.address))}
