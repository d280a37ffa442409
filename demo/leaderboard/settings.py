"""The form of a run: prompts, methods, and the settings that all texts share."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.methods import BASE
from demo.leaderboard import words
from demo.leaderboard.form import RunForm, default_methods, known_methods, preview, read_run, read_set, read_upload
from demo.parts import words as common
from demo.parts.actions import as_file, save_on_click
from demo.parts.controls import labelled, lay_out_sampling
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.tables import text_table
from demo.services import Services
from leaderboard.prompts import shipped_sets
from leaderboard.records import PromptSet, RunSpec


class Setup:
    """The components, from top to bottom."""

    def __init__(self, services: Services) -> None:
        first, judges = read_set(next(iter(shipped_sets())), services), [words.BASE_JUDGE, *services.judges]
        many = {"multiselect": True, "allow_custom_value": True} | labelled("methods")
        known, chosen = known_methods(services), default_methods(services)
        with gr.Column(elem_classes="stack setup") as self.column:
            with gr.Row(elem_classes="top"):
                sets = list(shipped_sets())
                self.set = gr.Dropdown(sets, value=first.name, scale=2, min_width=240, **labelled("set"))
                self.methods = gr.Dropdown(known, value=chosen, scale=4, min_width=300, **many)
                with gr.Column(min_width=150, elem_classes="run"):
                    self.run, self.stop = gr.Button(words.RUN, variant="primary"), gr.Button(common.STOP)
            self.note = message_line(words.ABOUT_PROMPTS, "shared-note")
            with gr.Row(elem_classes="shared"):
                with gr.Accordion(words.prompts_line(first), open=False) as self.folded_preview:
                    headers, rows = preview(first)
                    self.preview = text_table(words.PREVIEW, headers, rows=rows)
                self.upload = gr.UploadButton(words.UPLOAD, size="sm", min_width=110, scale=0)
                self.download = gr.Button(words.DOWNLOAD_SET, size="sm", min_width=110, scale=0)
            with (
                gr.Row(elem_classes="shared"),
                gr.Accordion(words.run_line(RunSpec((BASE,))), open=False) as self.folded,
            ):
                with gr.Row(elem_classes="sampling"):
                    self.samples = gr.Slider(1, 10, 3, step=1, **labelled("samples"))
                    self.judge = gr.Dropdown(judges, value=words.BASE_JUDGE, **labelled("judge"))
                self.sampling = lay_out_sampling(services)
            self.estimate = message_line(words.ESTIMATE, "estimate")
        self.prompts, self.uploaded = gr.State(first), gr.State(None)  # the chosen set, and the newest upload
        sampling = [self.sampling.mode, self.sampling.seed, *self.sampling.fields.values()]
        # Everything that determines a run, beside the prompts.
        self.controls: list[Component] = [self.methods, self.samples, self.judge, *sampling]
        self.inputs: list[Component] = [self.prompts, *self.controls]


def wire_setup(services: Services, setup: Setup) -> None:
    """The prompt set, its upload and download, and the lines that say what was chosen."""
    outputs = [setup.set, setup.prompts, setup.uploaded, setup.note, setup.folded_preview, setup.preview]
    setup.upload.upload(partial(on_upload, services, setup), setup.upload, outputs, **LIGHT)
    setup.set.input(partial(on_set, services, setup), [setup.set, setup.uploaded], outputs, **LIGHT)
    save_on_click(setup.download, on_download, setup.set, setup.note)
    gr.on(
        [setup.prompts.change, *(control.change for control in setup.controls)],  # type: ignore[attr-defined]
        partial(on_estimate, services, setup),
        set(setup.inputs),
        [setup.estimate, setup.folded],
        trigger_mode="always_last",  # while somebody types, the newest values alone wait
        **LIGHT,
    )


def on_upload(services: Services, setup: Setup, path: Any) -> Values:
    """The prompts of a file. Raises UserError."""
    prompts = read_upload(path, services)
    name = common.YOUR_FILE.format(name=prompts.name)
    choices = gr.update(choices=[*shipped_sets(), name], value=name)
    return show_set(setup, prompts) | {setup.set: choices, setup.uploaded: prompts}


def on_set(services: Services, setup: Setup, name: Any, uploaded: PromptSet | None) -> Values:
    """The prompts of a shipped set, or of the newest upload. Raises UserError."""
    if uploaded is not None and name == common.YOUR_FILE.format(name=uploaded.name):
        return show_set(setup, uploaded)
    return show_set(setup, read_set(name, services))


def on_download(name: Any) -> tuple[dict[str, str] | None, Marked]:
    """The file of a shipped set."""
    file = shipped_sets().get(name) if isinstance(name, str) else None
    if file is None:
        return None, message(words.ONLY_SHIPPED)
    return as_file(file.name, file.read_bytes()), []


def offer_methods(services: Services) -> Any:
    """The methods that there are now: adapters come and go while the app runs."""
    return gr.update(choices=known_methods(services))


def on_estimate(services: Services, setup: Setup, values: Values) -> Values:
    """The folded line, and size and time of the run. Raises UserError for its settings."""
    form = read_setup(setup, values)
    spec = read_run(form, services)
    line: Values = {setup.folded: gr.update(label=words.run_line(spec))}
    estimate = services.runner.estimate(spec, form.prompts, visitor=True)
    return line | {setup.estimate: message(words.estimate(estimate))}


def show_set(setup: Setup, prompts: PromptSet) -> Values:
    """The updates for another prompt set."""
    headers, rows = preview(prompts)
    return {
        setup.prompts: prompts,
        setup.note: [],
        setup.folded_preview: gr.update(label=words.prompts_line(prompts)),
        setup.preview: gr.update(value={"headers": headers, "data": rows}),
    }


def read_setup(setup: Setup, values: Values) -> RunForm:
    """The values of the form."""
    return RunForm(
        prompts=values[setup.prompts],
        methods=values[setup.methods],
        samples=values[setup.samples],
        sampling={name: values[control] for name, control in setup.sampling.fields.items()},
        seed=values[setup.sampling.seed],
        judge=values[setup.judge],
        chat=values[setup.sampling.mode] == common.CHAT,
    )
