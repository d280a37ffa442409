"""The Train tab's handlers: values in, values out, on the real components but without a server."""

import math
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import pytest

from adapters.base_model import BaseModel
from adapters.decoding.visitors import TRAININGS, Allowance
from adapters.methods import UserError
from adapters.training import training_estimate as estimator
from adapters.training.job_folder import write_event, write_progress
from adapters.training.order import DEFAULT_LR, StepSample, TrainStep
from app import Settings, services_of
from demo.cookies import asking
from demo.parts import words as common
from demo.parts.marked import ERROR, Values
from demo.parts.views import Page
from demo.services import Services
from demo.train import words
from demo.train.figures import loss_curve
from demo.train.form import PRESETS, proposed_name
from demo.train.settings import on_estimate, on_length, on_method, on_propose, on_upload
from demo.train.tab import Seen, TrainPage, look, on_follow, on_start, on_stop
from leaderboard.store.database import Database
from tests.demo.conftest import UsedUp
from tests.demo.train.conftest import MINE, TEXT

OTHER = "1" * 32  # secret of another browser
SEA = "\n\n".join(f"The sea was grey on day {day}." for day in range(20))
TIMEOUT = 600  # seconds, of a training that really runs on a busy machine


class Tab(NamedTuple):
    services: Services
    around: Page
    page: TrainPage
    jobs: Path
    file: Path  # an upload

    def values(self, name: Any = "waves", secret: Any = MINE, **settings: Any) -> Values:
        """The values of the fresh page with an upload, but for these."""
        form = self.page.form
        values: Values = {component: component.value for component in form.inputs.values()}
        small = {"steps": 30, "r": 1, "max_length": 16, "batch_size": 2, "sample_prompt": "The"}
        values |= {form.fields[key]: value for key, value in {**small, **settings}.items()}
        values |= {form.data: f"your file: {self.file.name}", form.file: str(self.file)}
        return values | {form.name: name, self.page.seen: Seen(), self.around.owner: secret, self.page.followed: None}

    def start(self, name: str = "waves", secret: Any = MINE, **settings: Any) -> Values:
        return on_start(self.services, self.page, self.values(name, secret, **settings))

    def look(self, seen: Seen = Seen(), secret: Any = MINE, followed: Any = None) -> Values:  # noqa: B008
        return look(self.services, self.page, followed, seen, secret)

    def work(self, id: str, steps: range, every: int = 10) -> None:
        """What a worker would write of these steps."""
        folder = self.jobs / id
        if steps.start == 1:
            write_event(folder, "begun", step=0)
            write_event(folder, "plan", total=30, message="")
        for number in steps:
            checked = 4 + math.exp(-number / 10) if number % every == 0 else None
            step = TrainStep(number, 4.0, checked, checked is not None, 900 * number, float(number))
            write_progress(folder, step)
            if checked is not None:
                write_progress(folder, StepSample(number, TEXT))


@pytest.fixture
def tab(services: Services, tmp_path: Path) -> Iterator[Tab]:
    yield from tab_of(services, tmp_path)


@pytest.fixture
def working(tiny_llama: BaseModel, tmp_path: Path) -> Iterator[Tab]:
    """The tab of an app whose workers find their base model in a folder."""
    model = tmp_path / "tiny"
    tiny_llama.model.save_pretrained(model)
    tiny_llama.tokenizer.save_pretrained(model)
    base, settings = replace(tiny_llama, id=str(model)), Settings(None, tmp_path / "home", "127.0.0.1", 0)
    yield from tab_of(services_of(base, Database(f"sqlite:///{tmp_path / 'steerboard.db'}"), settings), tmp_path)


def choices(update: dict[str, Any]) -> list[tuple[str, str]]:
    """The choices of an updated list."""
    found: list[tuple[str, str]] = update["choices"]
    return found


def tab_of(services: Services, tmp_path: Path) -> Iterator[Tab]:
    file = tmp_path / "sea.txt"
    file.write_text(SEA)
    with gr.Blocks() as blocks:
        owner = gr.BrowserState(None)
        with gr.Tab("Train") as own:
            page = Page(blocks, own, owner, gr.State(""), gr.State(None))
            yield Tab(services, page, TrainPage(services, page), tmp_path / "home" / "jobs", file)


def test_a_training_is_followed_from_its_start_to_its_adapter(working: Tab) -> None:
    tab = working
    updates = tab.start(steps=4, eval_every=2, sample_every=2)
    id = updates[tab.page.followed]
    assert updates[tab.page.column]["visible"] is True
    assert updates[tab.page.form.stop]["interactive"] is True
    assert choices(updates[tab.page.queue]) == [("waves · LoRA · about to begin · Yours", id)]
    end, curve, says, base = time.monotonic() + TIMEOUT, None, None, None
    while updates.get(tab.page.form.stop, {"interactive": True})["interactive"]:
        assert time.monotonic() < end, tab.services.trainer.jobs()
        time.sleep(0.2)
        updates = tab.look(updates[tab.page.seen], followed=id)
        assert tab.page.followed not in updates, "what is followed stays"
        curve, says = updates.get(tab.page.curve, curve), updates.get(tab.page.now.head, says)
        base = updates.get(tab.page.base.text, base)
    assert curve is not None, tab.services.trainer.jobs()
    assert list(curve.data[0].x) == [1, 2, 3, 4]
    assert says is not None
    assert "It says now (step 4)" in says
    assert base, "what the base model says stands beside it"
    assert "waves" in [name for _, name in choices(updates[tab.page.adapters])], "the list has it at once"
    assert updates[tab.page.timer].active is False, "nobody asks any longer"
    assert "waves" in tab.services.store.names


@pytest.mark.usefixtures("idle")
class TestQueue:
    """Trainings whose jobs are written instead of worked on."""

    def test_the_curve_moves_at_every_step(self, tab: Tab) -> None:
        updates = tab.start()
        id, timer, curves = updates[tab.page.followed], updates[tab.page.timer], []
        for number in range(1, 6):
            tab.work(id, range(number, number + 1))
            updates = tab.look(updates[tab.page.seen], followed=id)
            curves.append(len(updates[tab.page.curve].data[0].x))
        assert curves == [1, 2, 3, 4, 5]
        assert timer.active is True

    def test_nothing_new_sends_nothing(self, tab: Tab) -> None:
        first = tab.look()
        assert set(tab.look(first[tab.page.seen])) == {tab.page.seen, tab.page.followed}

    def test_another_visit_finds_what_goes_on(self, tab: Tab) -> None:
        id = tab.start()[tab.page.followed]
        tab.work(id, range(1, 4))
        tab.start("later")
        updates = tab.look()
        assert updates[tab.page.followed] == id, "the one that runs, not the newest"
        lines = [line for line, _ in choices(updates[tab.page.queue])]
        assert lines[0] == "later · LoRA · waiting, 1 before it · Yours"
        assert lines[1].startswith("waves · LoRA · running, ")
        assert lines[1].endswith("\u00a0% done · Yours")
        assert updates[tab.page.timer].active is True

    def test_a_stranger_sees_names_and_places_only(self, tab: Tab) -> None:
        id = tab.start(sample_prompt="a secret", sample_every=1)[tab.page.followed]
        tab.work(id, range(1, 11))
        updates = tab.look(secret=OTHER)
        assert choices(updates[tab.page.queue]) == [("waves · LoRA · running · Shared", id)]
        assert updates[tab.page.column]["visible"] is False
        assert "a secret" not in str(updates)
        for secret in (OTHER, None, "x"):
            with pytest.raises(UserError, match="somebody else"):
                on_follow(tab.services, tab.page, id, Seen(), secret)
            with pytest.raises(UserError):
                on_stop(tab.services, tab.page, id, Seen(), secret)
        assert tab.services.trainer.jobs()[0].now.state == "running"

    def test_stop_ends_the_training_that_is_followed(self, tab: Tab) -> None:
        id = tab.start()[tab.page.followed]
        updates = on_stop(tab.services, tab.page, id, Seen(), MINE)
        assert tab.services.trainer.jobs()[0].now.state == "stopped"
        ((line, mark),) = updates[tab.page.head]
        assert line.startswith("waves: ")
        assert mark is None
        with pytest.raises(UserError, match=words.NOTHING_TO_STOP):
            on_stop(tab.services, tab.page, None, Seen(), MINE)

    def test_a_failed_training_says_why_in_one_line(self, tab: Tab) -> None:
        updates = tab.start()
        write_event(tab.jobs / updates[tab.page.followed], "ended", state="failed", message="Train with a lower lr.")
        assert tab.look(updates[tab.page.seen])[tab.page.head] == [("waves: Train with a lower lr.", ERROR)]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [({"r": 0}, "r: "), ({"name": "a/b"}, ""), ({"secret": None}, common.NO_OWNER), ({"lr": 7}, "lr: ")],
    )
    def test_what_cannot_be_started_is_one_line(self, tab: Tab, changes: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=f"^{message}") as caught:
            on_start(tab.services, tab.page, tab.values(**changes))
        assert "\n" not in str(caught.value)
        assert not tab.services.trainer.jobs()

    def test_a_training_counts_unless_it_cannot_be_started(self, tab: Tab, used_up: UsedUp) -> None:
        with pytest.raises(UserError, match="You have used 1 of 1 trainings of this hour"):
            tab._replace(services=used_up(tab.services)).start()
        assert not tab.services.trainer.jobs()
        one = tab._replace(services=tab.services._replace(allowance=Allowance({TRAININGS: 1}, asking)))
        with pytest.raises(UserError, match="There is already"):
            one.start("verse")
        one.start()
        with pytest.raises(UserError, match="1 of 1 trainings"):
            one.start("later")

    def test_a_long_curve_is_thinned_and_keeps_every_check(self, tab: Tab) -> None:
        id = tab.start()[tab.page.followed]
        tab.work(id, range(1, 1001), every=100)
        curve = loss_curve(tab.services.trainer.jobs()[0].now.steps, 1000, "lora")
        assert len(curve.data[0].x) <= 400
        assert list(curve.data[1].x) == [100 * place for place in range(1, 11)]


@pytest.mark.usefixtures("idle")
def test_the_estimate_follows_the_form(tab: Tab) -> None:
    form = tab.page.form
    uploaded = on_upload(form, str(tab.file))
    assert (uploaded[form.data]["value"], uploaded[form.file]) == ("your file: sea.txt", str(tab.file))
    updates = on_estimate(tab.services, form, tab.values(steps=40))
    assert " · 40 steps of 2 × 16 tokens · " in updates[form.folded]["label"]
    ((line, mark),) = updates[form.estimate]
    assert line.startswith("About ")
    assert "40 steps over " in line
    assert mark is None
    with pytest.raises(UserError, match="nose") as caught:
        on_estimate(tab.services, form, tab.values(target_modules=["nose"]))
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("idle")
def test_the_data_are_read_once_for_all_estimates_of_a_length(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Any] = []
    whole = estimator.encoded

    def encoded(*values: Any) -> Any:
        read.append(values)
        return whole(*values)

    monkeypatch.setattr(estimator, "encoded", encoded)
    changes: list[dict[str, Any]] = [{}, {"lr": 0.5}, {"steps": 7}, {"r": 2}, {"seed": 3}, {"sample_prompt": "Once"}]
    for change in changes:
        ((_, mark),) = on_estimate(tab.services, tab.page.form, tab.values(**change))[tab.page.form.estimate]
        assert mark is None
    assert len(read) == 1
    on_estimate(tab.services, tab.page.form, tab.values(max_length=32))
    assert len(read) == 2


@pytest.mark.usefixtures("idle")
def test_a_training_above_the_limits_is_told_before_it_starts(tab: Tab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tab.services.trainer._estimator, "_max_minutes", 0)
    ((line, mark),) = on_estimate(tab.services, tab.page.form, tab.values(steps=100_000))[tab.page.form.estimate]
    assert "are allowed" in line
    assert mark == ERROR


@pytest.mark.usefixtures("idle")
def test_the_fresh_page_says_its_values_in_one_line(tab: Tab) -> None:
    assert tab.page.form.folded.label == (
        "r 8, alpha 16 on attention · 20 steps of 4 × 32 tokens · learning rate 0.001, cosine, 3 steps of warm-up · "
        "validated every 5 steps · seed 0"
    )


def test_each_method_brings_its_settings_and_its_learning_rate() -> None:
    lora, prefix, lr = on_method(words.PREFIX, DEFAULT_LR["lora"])
    assert (lora["visible"], prefix["visible"], lr) == (False, True, DEFAULT_LR["prefix"])
    assert on_method(words.LORA, 0.5)[2] != DEFAULT_LR["lora"], "a rate that somebody typed stays"


def test_each_length_brings_its_settings_and_advanced_shows_them() -> None:
    names = list(PRESETS[words.QUICK])
    assert list(PRESETS[words.NORMAL]) == names
    for length, values in PRESETS.items():
        folded, *found = on_length(length)
        assert (folded["visible"], dict(zip(names, found, strict=True))) == (False, values)
    folded, *found = on_length(words.ADVANCED)
    assert folded["visible"] is True
    assert all(value == gr.skip() for value in found), "they stay as they are"


def test_a_name_is_proposed_until_somebody_types_one(tab: Tab) -> None:
    form = tab.page.form

    def named(data: str, name: str, proposed: str, method: str = words.LORA) -> Any:
        return on_propose(tab.services, form, data, str(tab.file), method, name, proposed).get(form.name)

    assert named("poetry", "", "") == "poetry-lora"
    assert named("qa_facts", "poetry-lora", "poetry-lora", words.PREFIX) == "qa-facts-prefix"
    assert named("your file: sea.txt", "poetry-lora", "poetry-lora") == "sea-lora"
    assert named(words.PASTED, "", "") == "my-text-lora"
    assert named("austen", "mine", "sea-lora") is None
    assert proposed_name("poetry", None, "lora", {"poetry-lora", "poetry-lora-2"}.__contains__) == "poetry-lora-3"
