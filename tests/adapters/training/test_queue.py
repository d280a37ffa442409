"""Jobs: a process of its own, a queue, nothing lost whoever is killed. The model is tiny, the processes are real."""

import copy
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import forkserver
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from safetensors.torch import load_file

from adapters.adapter_files import METRICS_FILE, WEIGHTS_FILE, read_owner, write_owner
from adapters.base_model import BaseModel, load_base_model
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, to_json
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.store.fingerprint import Fingerprints
from adapters.training.corpus import own_dataset
from adapters.training.job_folder import CHECKPOINT_FILE, KEPT_STEPS, STOP_FILE, Follower, Job, add_job, write_event
from adapters.training.making import Place, make_adapter
from adapters.training.order import StepSample, TrainOrder, TrainSettings, TrainStep
from adapters.training.queue import JobView, Trainer, death
from adapters.training.speeds import num_threads
from adapters.training.worker import begin, do_job, train_job
from tests.adapters.training.watching import watch

ROWS = "".join(json.dumps({"prompt": f"What is {n}?", "completion": "it"}) + "\n" for n in range(40))
LORA = TrainSettings(LoraSettings(r=2, lora_dropout=0.2), 12, 4, 64, 0.03, 2, eval_every=3, eval_examples=4)
PREFIX = replace(LORA, adapter=PrefixSettings(num_virtual_tokens=3))
LONG = replace(LORA, steps=4000, eval_every=5)


class Offered(AdapterStore):
    """A store that notes what it is offered."""

    def __init__(self, base: BaseModel) -> None:
        super().__init__([], base)
        self.offered: list[str] = []

    def offer(self, folder: Path) -> None:
        super().offer(folder)
        self.offered.append(folder.name)


@pytest.fixture(scope="module")
def base(tiny_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> BaseModel:
    folder = tmp_path_factory.mktemp("tiny-llama")
    tiny_llama.model.save_pretrained(folder)
    tiny_llama.tokenizer.save_pretrained(folder)
    return load_base_model(str(folder), folder)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(ROWS)
    return rows


@pytest.fixture
def trainer(base: BaseModel, tmp_path: Path) -> Iterator[Trainer]:
    trainer = Trainer(base, tmp_path / "home", Offered(base))
    yield trainer
    for job in trainer.jobs():
        trainer.stop(job.id, job.owner)
    for job in trainer.jobs():
        assert last(trainer, job.id).now.state != "running"


def last(trainer: Trainer, id: str) -> JobView:
    return list(watch(trainer, id))[-1]


def offered(trainer: Trainer) -> list[str]:
    store = trainer._store
    assert isinstance(store, Offered)
    return store.offered


def wait_for(trainer: Trainer, id: str, step: int) -> JobView:
    return next(view for view in watch(trainer, id) if view.now.steps and view.now.steps[-1].step >= step)


def child() -> psutil.Process:
    """The process that trains: the child of this one that has taken its lower priority."""
    children = [c for c in psutil.Process().children(recursive=True) if c.nice() == 10]
    assert len(children) == 1
    return children[0]


def test_a_queue_of_jobs_is_done_in_order_and_the_base_model_is_not_touched(
    base: BaseModel, trainer: Trainer, file: Path, tmp_path: Path
) -> None:
    before = Fingerprints(base, AdapterStore([], base)).base
    order = TrainOrder("verse", LORA, sample_prompt="What", sample_every=6)
    first = trainer.start(order, file, "me")
    second = trainer.start(TrainOrder("facts", PREFIX), file, "me")  # a visitor's own go in the order of asking
    file.unlink()  # what was uploaded may be swept
    assert [(view.id, view.place) for view in trainer.jobs()] == [(second, 1), (first, 0)]
    with pytest.raises(UserError, match="already something called 'verse'"):
        trainer.start(order, own_copy(tmp_path), "me")
    with pytest.raises(UserError, match="started by somebody else"):
        trainer.stop(first, "you")
    view = last(trainer, first)
    assert view.now.state == "done", view.now.message
    assert offered(trainer) == ["verse"]
    assert "is ready: perplexity on held-out text" in view.now.message
    assert [step.step for step in view.now.steps] == list(range(1, 13))
    assert [sample.step for sample in view.now.samples] == [0, 6, 12]
    assert view.now.total == 12
    assert last(trainer, second).now.state == "done"
    began = [(tmp_path / "home" / "adapters" / name / METRICS_FILE).stat().st_mtime for name in ("verse", "facts")]
    assert began == sorted(began)
    assert offered(trainer) == ["verse", "facts"]
    assert read_owner(tmp_path / "home" / "adapters" / "verse") == "me"
    assert AdapterStore([tmp_path / "home" / "adapters"], base).refused == {}
    assert Fingerprints(base, AdapterStore([], base)).base == before
    assert sorted(path.name for path in (tmp_path / "home" / "jobs" / first).iterdir()) == [
        "events.jsonl",
        "order.json",
    ]


def own_copy(tmp_path: Path) -> Path:
    rows = tmp_path / "again.jsonl"
    rows.write_text(ROWS)
    return rows


def test_a_killed_job_goes_on_and_ends_as_if_it_had_not_been(
    base: BaseModel, trainer: Trainer, file: Path, tmp_path: Path
) -> None:
    order = TrainOrder("verse", replace(LORA, steps=60, eval_every=10))
    own = replace(base, model=copy.deepcopy(base.model))
    place = Place(tmp_path / "alone", "", tmp_path / "logs")
    alone = [event for event in make_adapter(own, order, own_dataset(file), place) if isinstance(event, TrainStep)]
    id = trainer.start(order, file, None)
    wait_for(trainer, id, 25)
    os.kill(child().pid, signal.SIGKILL)
    view = last(trainer, id)
    assert view.now.state == "done", view.now.message
    assert [step.loss for step in view.now.steps] == [step.loss for step in alone]
    assert Follower(tmp_path / "home" / "jobs" / id).read().begun_at >= 20
    ours, theirs = (load_file(f / WEIGHTS_FILE) for f in (tmp_path / "home" / "adapters" / "verse", tmp_path / "alone"))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_stop_keeps_the_best_and_what_waits_is_taken_off(trainer: Trainer, file: Path, tmp_path: Path) -> None:
    running = trainer.start(TrainOrder("verse", LONG), file, "me")
    waiting = trainer.start(TrainOrder("prose", LONG), file, "me")
    trainer.stop(waiting, "me")
    assert last(trainer, waiting).now.message == "It was stopped before it began: nothing was kept."
    view = wait_for(trainer, running, 12)
    assert view.pace.tokens_per_second is not None
    assert view.pace.seconds_left is not None
    trainer.stop(running, "me")
    view = last(trainer, running)
    assert view.now.state == "stopped"
    assert view.now.message.endswith("It was stopped by hand.")
    report = json.loads((tmp_path / "home" / "adapters" / "verse" / METRICS_FILE).read_text())
    assert report["steps"] == view.now.steps[-1].step
    assert report["curve"][-1][0] == report["steps"]
    assert not (tmp_path / "home" / "adapters" / "prose").exists()


START = """
import sys, time
from pathlib import Path
from adapters.base_model import load_base_model
from adapters.training.queue import Trainer
from adapters.training.order import TrainOrder
from adapters.methods import from_json
from adapters.store.adapter_store import AdapterStore
import json
base = load_base_model(sys.argv[1], Path("."))
trainer = Trainer(base, Path(sys.argv[2]), AdapterStore([], base))
id = trainer.start(from_json(TrainOrder, json.loads(sys.argv[4])), Path(sys.argv[3]), None)
while True:
    if any(step.step > 12 for step in trainer.jobs()[0].now.steps):
        print(id, flush=True)
    time.sleep(0.1)
"""


def test_killing_the_app_ends_its_training_and_the_next_start_goes_on(
    base: BaseModel, file: Path, tmp_path: Path
) -> None:
    home, order = tmp_path / "home", TrainOrder("verse", replace(LONG, steps=400))
    arguments = [base.id, str(home), str(file), json.dumps(to_json(order))]
    with subprocess.Popen([sys.executable, "-c", START, *arguments], stdout=subprocess.PIPE, text=True) as app:
        assert app.stdout is not None
        id = app.stdout.readline().strip()
        worker = next(c for c in psutil.Process(app.pid).children(recursive=True) if c.nice() == 10)
        app.kill()
    worker.wait(timeout=30)
    reached = len(Follower(home / "jobs" / id).read().steps)
    assert 12 < reached < 400
    trainer = Trainer(base, home, Offered(base))
    view = wait_for(trainer, id, reached + 1)
    assert Follower(home / "jobs" / id).read().begun_at >= 10
    assert [step.step for step in view.now.steps] == list(range(1, len(view.now.steps) + 1))
    trainer.stop(id, None)
    assert last(trainer, id).now.state == "stopped"


@contextmanager
def small_disk(num_bytes: int) -> Iterator[None]:
    """No file can grow beyond so many bytes: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    stop = forkserver._forkserver._stop  # type: ignore[attr-defined]  # what is copied has the limits of when it began
    stop()
    try:
        yield
    finally:
        stop()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("eval_every", [3, 12], ids=["in the first checkpoint", "in the adapter"])
def test_a_full_disk_ends_a_job_with_one_line_and_leaves_earlier_adapters(
    base: BaseModel, file: Path, tmp_path: Path, eval_every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.training.order.QUEUED_GENERAL_ROWS", 4)
    home = tmp_path / "home"
    earlier = home / "adapters" / "earlier"
    earlier.mkdir(parents=True)
    (earlier / WEIGHTS_FILE).write_bytes(b"as it was")
    order = TrainOrder("verse", replace(LORA, eval_every=eval_every))
    if eval_every == 12:
        monkeypatch.setattr("adapters.training.making.write_checkpoint", lambda *_: None)
    id = add_job(home / "jobs", Job(order, base.id, None, file.name), file)
    with small_disk(6_000):
        do_job(home, id)
    history = Follower(home / "jobs" / id).read()
    assert history.state == "failed"
    assert "A file cannot be read or written" in history.message
    assert "make room on the disk" in history.message
    assert "\n" not in history.message
    assert [path.name for path in (home / "adapters").iterdir()] == ["earlier"]
    assert (earlier / WEIGHTS_FILE).read_bytes() == b"as it was"


def test_a_death_just_after_the_adapter_was_written_is_no_failure(
    base: BaseModel, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("adapters.training.order.QUEUED_GENERAL_ROWS", 4)
    home = tmp_path / "home"
    id = add_job(home / "jobs", Job(TrainOrder("verse", LORA), base.id, None, file.name), file)
    told = train_job(home, id)  # and then the process dies
    do_job(home, id)
    history = Follower(home / "jobs" / id).read()
    assert (history.state, history.message, history.adapter) == ("done", told, True)
    other = add_job(home / "jobs", Job(TrainOrder("verse", PREFIX), base.id, None, file.name), file)
    do_job(home, other)
    assert "already something called 'verse'" in Follower(home / "jobs" / other).read().message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "../verse"}, "Give it a name"),
        ({"data": "", "name": "x"}, "upload a file, or choose"),
        ({"sample_prompt": "x" * 100}, "The sample prompt is too long"),
        ({"sample_prompt": "a\0"}, "has a character that is not text"),
        ({"data": "/etc/passwd"}, "There is no data set '/etc/passwd'"),
        ({"report_to": ("trackio",)}, "trackio is not installed: run `pip install trackio`"),
        ({"settings": replace(LORA, adapter=LoraSettings(target_modules=("nothing",)))}, "no layer called 'nothing'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_it_is_queued(
    trainer: Trainer, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    order = replace(TrainOrder("verse", LORA, data="poetry"), **changes)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message):
        trainer.start(order, None, None)
    assert trainer.jobs() == ()
    assert not (tmp_path / "home" / "adapters").exists()


def test_more_memory_than_there_is_is_not_asked_for(
    trainer: Trainer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=10**8))
    with pytest.raises(UserError, match=r"needs about 0.4 GB of memory, 0.1 are allowed: lower batch_size"):
        trainer.start(TrainOrder("verse", LORA), file, None)


def test_a_job_is_forgotten_when_it_has_ended(
    base: BaseModel, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Trainer, "_attend", lambda self: None)
    trainer = Trainer(base, tmp_path / "home", AdapterStore([tmp_path / "home" / "adapters"], base))
    id = trainer.start(TrainOrder("verse", LORA), file, "me")
    with pytest.raises(UserError, match="has not ended: stop it first"):
        trainer.forget(id)
    trainer.stop(id, None, operator=True)
    with pytest.raises(UserError, match="has not ended"):
        trainer.forget(id)  # its name is still reserved
    trainer._offer_ended()
    trainer.forget(id)
    assert trainer.jobs() == ()
    for unknown in (id, "..", ""):
        with pytest.raises(UserError, match="There is no training"):
            trainer.forget(unknown)
    trainer.start(TrainOrder("verse", LORA), file, "me")


def test_a_job_stopped_before_its_first_step_leaves_nothing(base: BaseModel, file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    id = add_job(home / "jobs", Job(TrainOrder("verse", LORA), base.id, None, file.name), file)
    (home / "jobs" / id / STOP_FILE).touch()
    do_job(home, id)  # which had taken it just before
    history = Follower(home / "jobs" / id).read()
    assert (history.state, history.adapter) == ("stopped", False)
    assert history.message == "It was stopped before its first step: nothing was kept."
    assert not (home / "adapters").exists()


def test_a_part_of_the_held_out_rows_may_do_and_is_said(base: BaseModel, file: Path, tmp_path: Path) -> None:
    own = replace(base, model=copy.deepcopy(base.model))
    place = Place(tmp_path / "verse", "", tmp_path, general_rows=4, held_out=3)
    list(make_adapter(own, TrainOrder("verse", LORA), own_dataset(file), place))
    report = json.loads((tmp_path / "verse" / METRICS_FILE).read_text())
    assert report["notes"] == ["Measured at the end: 3 of 4 held-out examples."]
    assert report["general_rows"] == 4
    assert "Measured at the end: 3 of 4" in (tmp_path / "verse" / "README.md").read_text()


@pytest.mark.parametrize("settings", [LORA, PREFIX], ids=["lora", "prefix"])
def test_samples_on_the_way_change_nothing(
    base: BaseModel, file: Path, tmp_path: Path, settings: TrainSettings
) -> None:
    found = []
    for prompt in ("", "What is"):
        own = replace(base, model=copy.deepcopy(base.model))
        order = TrainOrder("verse", settings, sample_prompt=prompt, sample_every=2)
        events = list(make_adapter(own, order, own_dataset(file), Place(tmp_path / "verse", "", tmp_path, 4)))
        found.append([event.loss for event in events if isinstance(event, TrainStep)])
    assert sum(isinstance(event, StepSample) for event in events) == 7, (
        "and one of the base model, before the first step"
    )
    assert found[0] == found[1]


def test_an_estimate_counts_and_says_where_its_time_is_from(trainer: Trainer, file: Path) -> None:
    found = trainer.estimate(TrainOrder("verse", replace(LORA, warmup_steps=20), epochs=2.5), file)
    assert found.trainable == 3 * 2 * (2 * (32 + 32) + 2 * (32 + 16))
    assert (found.training_examples, found.validation_examples, found.steps) == (36, 4, 23)
    assert 0 < found.share < 0.1
    assert found.num_bytes > 400_000_000
    assert found.seconds > 0
    assert "The warm-up of 20 steps does not end" not in " ".join(found.notes)
    assert "timed here" in found.notes[-1]
    assert trainer.modules()[0] == "all-linear"


def test_an_estimate_names_what_makes_room(base: BaseModel, file: Path, tmp_path: Path) -> None:
    own = tmp_path / "home" / "adapters"
    (own / "old").mkdir(parents=True)
    write_owner(own / "old", "x" * 1000)
    order = TrainOrder("verse", LORA)
    needed = 4 * Trainer(base, tmp_path / "home", AdapterStore([], base)).estimate(order, file).trainable
    for quota, told in ((needed + 1000, False), (needed + 999, True)):
        trainer = Trainer(base, tmp_path / "home", AdapterStore([own], base, max_disk_bytes=quota))
        notes = trainer.estimate(order, file).notes
        assert any("unused go first: old." in note for note in notes) is told
    trainer = Trainer(base, tmp_path / "home", AdapterStore([own], base, max_disk_bytes=needed - 1))
    with pytest.raises(UserError, match="visitors may leave"):
        trainer.start(order, file, "me")
    assert (own / "old").is_dir()


def test_a_torn_line_is_left_aside(tmp_path: Path) -> None:
    write_event(tmp_path, "begun", step=0)
    write_event(tmp_path, "step", **TrainStep(1, 2.0, None, False, 10, 0.5)._asdict())
    follower = Follower(tmp_path)
    assert len(follower.read().steps) == 1
    with (tmp_path / "events.jsonl").open("ab") as events:
        events.write(b'{"event": "st')
    assert len(follower.read().steps) == 1
    write_event(tmp_path, "begun", step=0)
    assert follower.read().steps == ()
    write_event(tmp_path, "ended", state="done", message="Done.", adapter=True)
    assert follower.read().ended


def test_one_core_is_left_for_the_page() -> None:
    assert num_threads() == max(1, len(os.sched_getaffinity(0)) - 1)


@pytest.mark.parametrize("kind", ["lora", "prefix"])
def test_an_adapter_that_cannot_be_offered_is_a_failed_job_and_the_next_one_goes_on(
    trainer: Trainer, file: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    offer = trainer._store.offer

    def refuse(folder: Path) -> None:
        if folder.name == "verse":
            raise RuntimeError("Inplace update to inference tensor\nand more")
        offer(folder)

    monkeypatch.setattr(trainer._store, "offer", refuse)
    first = trainer.start(TrainOrder("verse", PREFIX if kind == "prefix" else LORA), file, None)
    second = trainer.start(TrainOrder("facts", LORA), file, None)
    view = last(trainer, first)
    told = "It was trained, but cannot be used: RuntimeError: Inplace update to inference tensor"
    assert (view.now.state, view.now.message) == ("failed", told)
    assert last(trainer, second).now.state == "done"


def test_a_process_that_cannot_be_started_is_a_failed_job(
    trainer: Trainer, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind in ("Spawn", "ForkServer"):
        monkeypatch.setattr(f"multiprocessing.context.{kind}Process.start", lambda _: 1 / 0)
    view = last(trainer, trainer.start(TrainOrder("verse", LORA), file, None))
    assert view.now.state == "failed"
    assert "cannot be run (ZeroDivisionError: division by zero)" in view.now.message


def test_a_name_is_reserved_until_the_training_ends_and_after_a_restart(
    base: BaseModel, trainer: Trainer, file: Path, tmp_path: Path
) -> None:
    id = trainer.start(TrainOrder("verse", LONG), file, "me")
    with pytest.raises(UserError, match="already something called 'verse'"):
        trainer._store.reserve("verse")
    wait_for(trainer, id, 1)
    again = AdapterStore([tmp_path / "home" / "adapters"], base)
    Trainer(base, tmp_path / "home", again)
    with pytest.raises(UserError, match="already something called 'verse'"):
        again.reserve("verse")
    (tmp_path / "home" / "jobs" / id / STOP_FILE).touch()
    assert last(trainer, id).now.state == "stopped"
    assert trainer._store._reserved == set()


def test_a_damaged_checkpoint_starts_the_training_again(base: BaseModel, file: Path, tmp_path: Path) -> None:
    home = tmp_path / "home"
    id = add_job(home / "jobs", Job(TrainOrder("verse", LORA), base.id, None, file.name), file)
    checkpoint = home / "jobs" / id / CHECKPOINT_FILE
    checkpoint.write_bytes(b"\x08\0\0\0\0\0\0\0damaged.")
    begin(home / "jobs" / id)
    history = Follower(home / "jobs" / id).read()
    assert (history.message, history.begun_at) == ("Its checkpoint is damaged. It starts again.", 0)
    assert not checkpoint.exists()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("mat1 and mat2\nshapes"), "It failed (RuntimeError: mat1 and mat2): the app's log says where."),
        (MemoryError(), "It needs more memory than there is: lower batch_size or max_length."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "It needs more memory than there is"),
    ],
)
def test_the_page_says_why_a_training_failed(
    base: BaseModel, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, message: str
) -> None:
    def fail(*_: object) -> str:
        raise error

    monkeypatch.setattr("adapters.training.worker.train_job", fail)
    home = tmp_path / "home"
    id = add_job(home / "jobs", Job(TrainOrder("verse", LORA), base.id, None, file.name), file)
    with pytest.raises(type(error)):
        do_job(home, id)
    history = Follower(home / "jobs" / id).read()
    assert history.state == "failed"
    assert history.message.startswith(message)


def test_memory_is_blamed_only_for_a_killed_process() -> None:
    assert "want of memory" in death(-9)
    assert death(-11) == "signal 11 (Segmentation fault)"
    assert death(1) == "exit code 1; the app's log says why"


def test_an_unknown_state_is_told(tmp_path: Path) -> None:
    write_event(tmp_path, "ended", state="paused", message="", adapter=False)
    history = Follower(tmp_path).read()
    assert history.state == "failed"
    assert "another version wrote them" in history.message


def test_a_long_training_is_read_in_bounded_memory_and_keeps_its_ends(tmp_path: Path) -> None:
    lines = [
        json.dumps({"event": "step"} | TrainStep(n, 1.0, 2.0 if n % 10 == 0 else None, n == 20, n, 0.5)._asdict())
        for n in range(1, 10 * KEPT_STEPS)
    ]
    (tmp_path / "events.jsonl").write_text("\n".join(lines) + "\n")
    follower = Follower(tmp_path)
    history = follower.read()
    assert len(history.steps) <= KEPT_STEPS
    assert history.steps[-1].step == 10 * KEPT_STEPS - 1
    assert [step.step for step in history.steps if step.best] == [20]
    assert [step.step for step in history.steps] == sorted(step.step for step in history.steps)
    gaps = [b.step - a.step for a, b in zip(history.steps, history.steps[1:], strict=False)]
    assert max(gaps) <= 40


def test_a_training_beyond_the_limits_is_refused_and_its_estimate_says_so(base: BaseModel, tmp_path: Path) -> None:
    order = TrainOrder("verse", replace(LORA, steps=100_000, batch_size=64, max_length=88), data="poetry")
    for limits, message in (
        ((1, 4_000), "minutes, 1 are allowed: lower the steps."),
        ((10**9, 400), "0.4 are allowed: lower batch_size"),
    ):
        trainer = Trainer(base, tmp_path / "home", AdapterStore([], base), *limits)
        found = trainer.estimate(order, None)
        assert message in found.refusal
        assert found.notes[0] == found.refusal
        with pytest.raises(UserError, match="are allowed"):
            trainer.start(order, None, None)
    assert trainer.jobs() == ()


def test_a_visitor_may_have_three_unfinished_trainings(trainer: Trainer, file: Path) -> None:
    for name in ("one", "two", "three"):
        trainer.start(TrainOrder(name, LONG), file, "me")
    with pytest.raises(UserError, match="You have 3 unfinished trainings: wait for one, or stop one"):
        trainer.start(TrainOrder("four", LONG), file, "me")
    trainer.start(TrainOrder("four", LONG), file, "you")


def test_an_estimate_tokenises_a_data_set_once(trainer: Trainer, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    bare = BaseModel.encode_bare

    def counting(base: BaseModel, text: str) -> list[int]:
        calls.append(text)
        return bare(base, text)

    monkeypatch.setattr(BaseModel, "encode_bare", counting)
    first = trainer.estimate(TrainOrder("verse", LORA), file)
    assert len(calls) == 1 + 80  # the sample prompt, then prompts and completions
    for changes in ({"steps": 90}, {"lr": 0.5}, {"adapter": LoraSettings(r=4)}, {"batch_size": 2}):
        found = trainer.estimate(TrainOrder("verse", replace(LORA, **changes)), file)
        assert found.training_examples == first.training_examples
    assert calls[81:] == [""] * 4
    trainer.estimate(TrainOrder("verse", replace(LORA, max_length=32)), file)
    assert len(calls) == 85 + 81
    file.write_text(ROWS + ROWS)
    assert trainer.estimate(TrainOrder("verse", LORA), file).training_examples > first.training_examples


def test_scratch_folders_of_dead_processes_are_swept_at_start(base: BaseModel, tmp_path: Path) -> None:
    own = tmp_path / "home" / "adapters"
    with subprocess.Popen([sys.executable, "-c", ""]) as dead:
        dead.wait()
    names = [
        f".train-{dead.pid}-a",
        f".import-{dead.pid}-b",
        ".train-old",
        f".train-{os.getpid()}-c",
        ".train-new",
        "x",
    ]
    for name in names:
        (own / name / "new").mkdir(parents=True)
    os.utime(own / ".train-old", (0, 0))
    AdapterStore([own], base)
    assert sorted(path.name for path in own.iterdir()) == sorted([f".train-{os.getpid()}-c", ".train-new", "x"])
