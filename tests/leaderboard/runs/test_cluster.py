"""The Ray engine writes what the local one writes.

Slow, because Ray and two actors are started, each of which loads torch.
"""

from functools import partial
from pathlib import Path

import pytest
import torch

from adapters.base_model import load_base_model
from adapters.decoding.engine import Engine
from adapters.methods import BASE, Method, Sampling, UserError
from adapters.store.adapter_store import AdapterStore
from leaderboard.records import Prompt, PromptSet, RunSpec
from leaderboard.runs.cluster import distribute
from leaderboard.runs.runner import Runner
from leaderboard.store.database import Database
from tests.adapters.conftest import Bench

pytestmark = pytest.mark.slow  # it starts processes that import torch

PROMPTS = PromptSet("openers", tuple(Prompt(text) for text in ("The sea", "Once upon a time", "é", "A b c d")))
SPEC = RunSpec((BASE, Method("facts", prefix="facts")), samples=2, sampling=Sampling(max_new_tokens=6))


def load(model: str, adapters: Path) -> Engine:
    torch.set_num_threads(1)
    base = load_base_model(model, Path())
    return Engine(base, AdapterStore([adapters], base))


@pytest.fixture
def saved(benches: dict[str, Bench], tmp_path: Path) -> partial[Engine]:
    """Loads a tiny model with an adapter from a folder, as an actor has to."""
    base, folder = benches["llama"].base, tmp_path / "model"
    base.model.save_pretrained(str(folder))
    base.tokenizer.save_pretrained(str(folder))
    peft = benches["llama"].peft["facts"]
    peft.peft_config["default"].base_model_name_or_path = str(folder)
    peft.save_pretrained(str(tmp_path / "adapters" / "facts"))
    peft.peft_config["default"].base_model_name_or_path = base.id
    return partial(load, str(folder), tmp_path / "adapters")


def test_two_actors_write_what_one_process_writes(saved: partial[Engine], tmp_path: Path) -> None:
    near, far = (Runner(saved(), Database(f"sqlite:///{tmp_path / name}.db"), rows=4) for name in ("near", "far"))
    runs = [runner.add(SPEC, PROMPTS, None) for runner in (near, far)]
    for _ in near.run(runs[0].id):
        pass
    steps = list(distribute(far, runs[1], saved, 2))
    assert [step.done for step in steps] == [0, 24, 48, 72, 96]
    after = list(far.run(runs[1].id))
    assert not any(step.samples for step in after), "there is nothing left to write"
    one, other = near.data(runs[0].id), far.data(runs[1].id)
    assert one.samples == other.samples
    keys = [sample.key for sample in one.samples]
    assert near.database.traces(keys) == far.database.traces(keys)
    assert one.tallies == other.tallies
    assert list(distribute(far, runs[1], saved, 2))[0].seconds_left == 0.0, "and Ray is not asked again"


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nobody:x", "nonsense"])
def test_a_cluster_that_is_not_there_says_so_in_a_line(saved: partial[Engine], tmp_path: Path, address: str) -> None:
    runner = Runner(saved(), Database(f"sqlite:///{tmp_path / 'a.db'}"), rows=4)
    run = runner.add(SPEC, PROMPTS, None)
    with pytest.raises(UserError, match=f"Cannot join the cluster at '{address}'") as error:
        list(distribute(runner, run, saved, 2, address))
    assert "\n" not in str(error.value)
