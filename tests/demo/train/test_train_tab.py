"""The Train tab's handlers: values in, values out, on the real components but without a server or a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pytest

from adapters.methods import UserError
from adapters.training.order import DEFAULT_LR
from demo.parts import words as text
from demo.parts.links import owner_of
from demo.parts.panes import ERROR, Values
from demo.parts.views import Page
from demo.services import Services
from demo.train import words as words_train
from demo.train.figures import loss_curve
from demo.train.settings import on_estimate, on_method, on_upload
from demo.train.tab import Seen, TrainPage, lay_out, look, on_follow, on_start, on_stop
from tests.demo.fake_training import MODULES, FakeTrainer
from tests.demo.fakes import fake_services

MINE, OTHER = "0" * 32, "1" * 32  # secrets of two browsers


class Tab(NamedTuple):
    services: Services
    page: TrainPage
    trainer: FakeTrainer

    def values(self, name: Any = "waves", secret: Any = MINE, **settings: Any) -> Values:
        """What the fresh page says, but for what is given."""
        form = self.page.form
        values: Values = {component: component.value for component in form.inputs}
        fields = {"steps": 30, **settings}
        values |= {form.settings.fields[key]: value for key, value in fields.items()}
        return values | {form.name: name, self.page.seen: Seen(), self.page.owner: secret, self.page.followed: None}

    def start(self, name: str = "waves", secret: Any = MINE, **settings: Any) -> Values:
        return on_start(self.services, self.page, self.values(name, secret, **settings))

    def look(self, seen: Seen = Seen(), secret: Any = MINE, followed: Any = None) -> Values:  # noqa: B008
        return look(self.services, self.page, followed, seen, secret)


@pytest.fixture
def tab() -> Iterator[Tab]:
    services = fake_services()
    assert isinstance(services.trainer, FakeTrainer)
    with gr.Blocks() as blocks:
        owner = gr.BrowserState(None)
        with gr.Tab("Train") as own:
            yield Tab(services, lay_out(services, Page(blocks, own, owner, gr.State(""))), services.trainer)


def test_a_training_is_followed_from_its_start_to_its_adapter(tab: Tab) -> None:
    updates = tab.start(sample_every=10)
    id = updates[tab.page.followed]
    assert updates[tab.page.column]["visible"] is True
    assert updates[tab.page.form.stop]["interactive"] is True
    assert updates[tab.page.queue] == [["waves", "LoRA", "running, step 1 of 30", "yours", id]]
    curves = []
    for _ in range(29):
        updates = tab.look(updates[tab.page.seen], followed=id)
        curves.append(len(updates[tab.page.curve].data[0].x))
        assert tab.page.followed not in updates, "what is followed stays"
    assert curves == list(range(2, 31)), "the curve moves at every step"
    assert updates[tab.page.adapters][-1][:2] == ["waves", "LoRA"], "the list of adapters has it at once"
    assert updates[tab.page.form.stop]["interactive"] is False
    assert updates[tab.page.timer].active is False, "nobody asks any longer"
    ((first, _), *_) = updates[tab.page.samples]
    assert first.strip() == "step 30", "the newest text stands first"
    assert [adapter.name for adapter in tab.services.store.adapters][-1] == "waves"


def test_nothing_new_sends_nothing(tab: Tab) -> None:
    first = tab.look()
    assert set(tab.look(first[tab.page.seen])) == {tab.page.seen, tab.page.followed}


def test_another_visit_finds_what_goes_on(tab: Tab) -> None:
    id = tab.start()[tab.page.followed]
    tab.start("later")
    updates = tab.look()
    assert updates[tab.page.followed] == id, "the one that runs, not the newest"
    assert [row[:3] for row in updates[tab.page.queue]] == [
        ["later", "LoRA", "waiting, 1 before it"],
        ["waves", "LoRA", "running, step 3 of 30"],
    ]
    assert updates[tab.page.timer].active is True


def test_a_stranger_sees_names_and_places_only(tab: Tab) -> None:
    id = tab.start(sample_prompt="a secret", sample_every=1)[tab.page.followed]
    updates = tab.look(secret=OTHER)
    assert updates[tab.page.queue] == [["waves", "LoRA", "running", words_train.SOMEBODY, id]]
    assert updates[tab.page.column]["visible"] is False
    assert "a secret" not in str(updates)
    for secret in (OTHER, None, "x"):
        with pytest.raises(UserError, match="somebody else"):
            on_follow(tab.services, tab.page, id, Seen(), secret)
        stopped = on_stop(tab.services, tab.page, id, Seen(), secret)
        assert stopped[tab.page.form.message][0][1] == ERROR
    assert tab.trainer.views[0].state == "running"


def test_stop_ends_the_training_that_is_followed(tab: Tab) -> None:
    id = tab.start()[tab.page.followed]
    updates = on_stop(tab.services, tab.page, id, Seen(), MINE)
    assert tab.trainer.views[0].state == "stopped"
    assert updates[tab.page.head] == [("waves: stopped: the best step is kept", None)]
    nothing = on_stop(tab.services, tab.page, None, Seen(), MINE)
    assert nothing == {tab.page.form.message: [(words_train.NOTHING_TO_STOP, ERROR)]}


def test_a_failed_training_says_why_in_one_line(tab: Tab) -> None:
    updates = tab.start("breaks")
    for _ in range(3):
        updates = updates | tab.look(updates[tab.page.seen])
    assert updates[tab.page.head] == [("breaks: The loss is no longer a number: train with a lower lr.", ERROR)]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"r": 0}, "r: "), ({"name": "a/b"}, "The name 'a/b'"), ({"secret": None}, text.NO_OWNER), ({"lr": 7}, "lr: ")],
)
def test_what_cannot_be_started_is_one_line_and_nothing_else(tab: Tab, changes: dict[str, Any], message: str) -> None:
    updates = on_start(tab.services, tab.page, tab.values(**changes))
    ((line, mark),) = updates.pop(tab.page.form.message)
    assert (line[: len(message)], mark, updates) == (message, ERROR, {})
    assert "\n" not in line
    assert not tab.trainer.views


def test_the_estimate_follows_the_form(tab: Tab, tmp_path: Path) -> None:
    form = tab.page.form
    updates = on_estimate(tab.services, form, tab.values(steps=40))
    assert " · 40 steps of 8 × 128 tokens · " in updates[form.folded]["label"]
    assert "40 steps over 1,200 examples, 130 held out · about 1.4 GB" in updates[form.estimate][0][0]
    refused = on_estimate(tab.services, form, tab.values(target_modules=["nose"]))
    ((line, mark),) = refused[form.estimate]
    assert line == f"target_modules: there is no 'nose': choose among {', '.join(MODULES)}."
    assert mark == ERROR
    file = tmp_path / "sea.txt"
    file.write_text("The sea.")
    data, path, note = on_upload(str(file))
    assert (data["value"], path, note) == ("your file: sea.txt", str(file), [])
    values = tab.values() | {form.data: data["value"], form.file: path}
    assert "\n2 texts were cut" in on_estimate(tab.services, form, values)[form.estimate][0][0]


def test_the_fresh_page_says_its_values_in_one_line(tab: Tab) -> None:
    assert tab.page.form.folded.label == (
        "r 8, alpha 16 on attention · 100 steps of 8 × 128 tokens · learning rate 0.001, cosine, 10 steps of warm-up · "
        "checked every 10 steps · seed 0"
    )


def test_each_method_brings_its_settings_and_its_learning_rate() -> None:
    lora, prefix, lr = on_method(words_train.PREFIX, DEFAULT_LR["lora"])
    assert (lora["visible"], prefix["visible"], lr) == (False, True, DEFAULT_LR["prefix"])
    assert on_method(words_train.LORA, 0.5)[2] != DEFAULT_LR["lora"], "a rate that somebody typed stays"


def test_a_long_curve_is_thinned_and_keeps_every_check(tab: Tab) -> None:
    tab.start(steps=1000, eval_every=100)
    for _ in range(999):
        tab.trainer.jobs()
    curve = loss_curve(tab.trainer.views[0].steps, 1000, "lora")
    assert len(curve.data[0].x) <= 400
    assert list(curve.data[1].x) == [100 * place for place in range(1, 11)]
    assert owner_of(MINE) == tab.trainer.views[0].owner
