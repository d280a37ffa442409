"""The form of a run: prompts, methods, and the settings that all texts share."""

from functools import partial
from typing import Any

import gradio as gr
from gradio.components import Component

from adapters.methods import BASE
from demo.leaderboard import form, words
from demo.parts import words as common
from demo.parts.actions import as_file, save_on_click
from demo.parts.controls import labelled, lay_out_sampling
from demo.parts.events import LIGHT
from demo.parts.marked import Marked, Values, message, message_line
from demo.parts.tables import text_table
from demo.parts.uploads import known_methods
from demo.services import Services
from leaderboard.output.conclusion import foreseen
from leaderboard.prompts import MAX_NAME, shipped_sets
from leaderboard.records import PromptSet, RunSpec
from leaderboard.texts import Finished, only


class Setup:
    def __init__(self, services: Services) -> None:
        first, judges = form.read_set(next(iter(shipped_sets())), services), [words.BASE_JUDGE, *services.judges]
        many = {"multiselect": True, "allow_custom_value": True} | labelled("methods")
        known, chosen = known_methods(services), form.default_methods(services)
        with gr.Column(elem_classes="stack setup") as self.column:
            gr.HTML(f"<h2>{words.OWN_PROMPTS}</h2>", elem_classes="section-title")
            with gr.Row(elem_classes="start"):
                with gr.Column(scale=3, min_width=300, elem_classes="stack"):
                    self.paste = gr.Textbox(lines=4, max_lines=8, **labelled("paste"))
                    with gr.Row(elem_classes="below"):
                        self.upload = gr.UploadButton(words.UPLOAD, size="sm", min_width=0, scale=0)
                        self.download = gr.Button(words.DOWNLOAD_SET, size="sm", min_width=0, scale=0)
                with gr.Column(scale=4, min_width=300, elem_classes="stack"):
                    with gr.Row():
                        sets, sizes = set_choices(), [words.QUICK, words.FULL]
                        self.set = gr.Dropdown(sets, value=first.name, min_width=200, **labelled("set"))
                        self.size = gr.Radio(sizes, value=words.QUICK, min_width=200, **labelled("size"))
                    self.methods = gr.Dropdown(form.chips(known), value=chosen, elem_classes="chips", **many)
                    with gr.Row(elem_classes="go"):
                        self.run = gr.Button(words.RUN, variant="primary", min_width=120, scale=0)
                        self.stop = gr.Button(common.STOP, min_width=120, scale=0, visible=False)
                        self.estimate = message_line(words.ESTIMATE, "estimate")
            self.note = message_line(words.ABOUT_PROMPTS, "shared-note")
            with gr.Accordion(words.prompts_line(first), open=False) as self.folded_preview:
                headers, rows = form.preview(first)
                self.preview = text_table(words.PREVIEW, headers, value=rows)
            with gr.Accordion(words.run_line(RunSpec((BASE,))), open=False) as self.folded:
                with gr.Row(elem_classes="sampling"):
                    self.samples = gr.Slider(1, 10, 1, step=1, **labelled("samples"))
                    self.judge = gr.Dropdown(judges, value=words.BASE_JUDGE, **labelled("judge"))
                self.sampling = lay_out_sampling(services)
                with gr.Row(elem_classes="sampling"):
                    self.again = gr.Checkbox(False, min_width=250, **labelled("again"))
                    drop: dict[str, Any] = {
                        "height": 104,
                        "min_width": 250,
                        "interactive": True,
                        "elem_classes": "drop",
                    }
                    self.texts = gr.File(label=words.DROP_TEXTS, **drop)
                    self.texts_name = gr.Textbox(max_lines=1, max_length=MAX_NAME, **labelled("texts_name"))
        self.prompts, self.uploaded = gr.State(first), gr.State(None)  # the chosen set, and the newest upload
        self.fields: dict[str, Component] = {"methods": self.methods, "samples": self.samples, "judge": self.judge}
        self.fields["seed"] = self.sampling.seed
        sampling = [self.sampling.mode, *self.sampling.fields.values()]
        # Everything that determines a run, beside the prompts.
        others = [self.again, self.texts, self.texts_name]
        self.controls: list[Component] = [self.size, *self.fields.values(), *sampling, *others]
        self.inputs: list[Component] = [self.prompts, *self.controls]


def wire_setup(services: Services, setup: Setup) -> None:
    outputs = [setup.set, setup.prompts, setup.uploaded, setup.note, setup.folded_preview, setup.preview]
    taken = [
        setup.upload.upload(partial(on_upload, services, setup), setup.upload, outputs, **LIGHT),
        setup.set.input(partial(on_set, services, setup), [setup.set, setup.uploaded], outputs, **LIGHT),
        setup.paste.change(
            partial(on_paste, services, setup), setup.paste, outputs, trigger_mode="always_last", **LIGHT
        ),
    ]
    save_on_click(setup.download, on_download, setup.set, setup.note)
    estimate, shown = partial(on_estimate, services, setup), [setup.estimate, setup.folded]
    for event in taken:  # a changed state alone tells nobody
        event.then(estimate, set(setup.inputs), shown, **LIGHT)
    changes = [control.change for control in setup.controls]  # type: ignore[attr-defined]
    # While somebody types, the newest values alone wait.
    gr.on(changes, estimate, set(setup.inputs), shown, trigger_mode="always_last", **LIGHT)


def set_choices() -> list[tuple[str, str]]:
    return [(name.replace("_", " "), name) for name in shipped_sets()]


def on_upload(services: Services, setup: Setup, path: Any) -> Values:
    return take(setup, form.read_upload(path, services))


def on_paste(services: Services, setup: Setup, text: Any) -> Values:
    """The pasted prompts; an empty box changes nothing. Raises UserError."""
    if isinstance(text, str) and not text.strip():
        return {setup.note: []}
    return take(setup, form.read_pasted(text, services))


def take(setup: Setup, prompts: PromptSet) -> Values:
    name = common.YOUR_FILE.format(name=prompts.name)
    choices = gr.update(choices=[*set_choices(), (name, name)], value=name)
    return show_set(setup, prompts) | {setup.set: choices, setup.uploaded: prompts}


def on_set(services: Services, setup: Setup, name: Any, uploaded: PromptSet | None) -> Values:
    """The prompts of a shipped set, or of the newest upload. Raises UserError."""
    if uploaded is not None and name == common.YOUR_FILE.format(name=uploaded.name):
        return show_set(setup, uploaded)
    return show_set(setup, form.read_set(name, services))


def on_download(name: Any) -> tuple[dict[str, str] | None, Marked]:
    file = shipped_sets().get(name) if isinstance(name, str) else None
    if file is None:
        return None, message(words.ONLY_SHIPPED)
    return as_file(file.name, file.read_bytes()), []


def offer_methods(services: Services) -> Any:
    """The methods that there are now: adapters come and go while the app runs."""
    return gr.update(choices=form.chips(known_methods(services)))


def on_estimate(services: Services, setup: Setup, values: Values) -> Values:
    """The folded line, and size and time of the run. Raises UserError for its settings."""
    spec, prompts, texts = read_setup(services, setup, values)
    estimate = services.runner.estimate(spec, prompts, visitor=True, texts=texts)
    folded = gr.update(label=words.run_line(spec))
    examples = (services.runner.results(id) for id in services.database.shipped)
    said = [words.estimate(estimate, texts), *(foreseen(each, len(prompts.prompts)) for each in examples)]
    return {setup.folded: folded, setup.estimate: message(". ".join(said))}


def show_set(setup: Setup, prompts: PromptSet) -> Values:
    headers, rows = form.preview(prompts)
    return {
        setup.prompts: prompts,
        setup.note: [],
        setup.folded_preview: gr.update(label=words.prompts_line(prompts)),
        setup.preview: gr.update(value={"headers": headers, "data": rows}),
    }


def read_setup(services: Services, setup: Setup, values: Values) -> tuple[RunSpec, PromptSet, list[Finished]]:
    """The settings and the prompts that were chosen, and the finished texts for these. Raises UserError."""
    chosen: dict[str, Any] = {name: values[control] for name, control in setup.fields.items()}
    chosen["sampling"] = {name: values[control] for name, control in setup.sampling.fields.items()}
    chosen["chat"] = values[setup.sampling.mode] == common.CHAT
    all = values[setup.prompts]
    prompts = form.chosen_prompts(all, values[setup.size])
    texts = form.read_finished(values[setup.texts], values[setup.texts_name], services)
    return form.read_run(chosen, services, values[setup.again]), prompts, [only(each, prompts, all) for each in texts]
