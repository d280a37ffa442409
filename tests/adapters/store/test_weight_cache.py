"""Weights on demand: bounded, shared, checked again, and kept by whoever holds them."""

import gc
import os
from pathlib import Path

import pytest
import torch

from adapters.adapter_files import WEIGHTS_FILE
from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.store.weight_cache import WeightCache, Weights, pieces, sha256
from tests.adapters.discriminators.mood import MOOD
from tests.adapters.store.test_adapter_store import saved
from tests.adapters.store.test_store_changes import scale, text_of


@pytest.fixture
def store(tiny_llama: BaseModel, tmp_path: Path) -> AdapterStore:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=2))
    saved(tiny_llama, tmp_path / "facts", PrefixSettings(num_virtual_tokens=3))
    return AdapterStore([tmp_path], tiny_llama)


def test_the_least_recently_used_weights_go_first() -> None:
    cache, reads = WeightCache(max_bytes=25), list[str]()

    def get(name: str) -> Weights:
        def read() -> Weights:
            reads.append(name)
            return torch.zeros(1)

        return cache.get(name, 10, read)

    for name in ("a", "b", "a", "c"):  # b is the one that has not been used for longest
        get(name)
    gc.collect()
    assert cache.num_bytes == 20
    for name in ("a", "c", "b"):
        get(name)
    assert reads == ["a", "b", "c", "b"]
    cache.drop("b")
    cache.drop("unknown")
    assert cache.num_bytes == 10


def test_what_somebody_holds_is_never_read_twice() -> None:
    cache = WeightCache(max_bytes=5)  # too small for anything
    held = cache.get("a", 10, lambda: torch.zeros(1))
    assert cache.num_bytes == 0
    assert cache.get("a", 10, lambda: pytest.fail("it was read again")) is held


def test_weights_are_read_when_they_are_used(store: AdapterStore) -> None:
    assert store._cache.num_bytes == 0
    verse = store.lora("verse")
    assert store._cache.num_bytes == 4 * store.find("verse").num_parameters
    assert store.lora("verse") is verse
    store.prefix("facts")
    assert store._cache.num_bytes == 4 * sum(adapter.num_parameters for adapter in store.adapters)
    store.withdraw("verse")
    store.withdraw("facts")
    assert store._cache.num_bytes == 0


def test_files_that_have_changed_are_refused(store: AdapterStore, tmp_path: Path) -> None:
    for name, read in (("verse", store.lora), ("facts", store.prefix)):
        scale(tmp_path / name, 2)
        with pytest.raises(UserError, match=f"The files of {name} have changed on disk: restart the app"):
            read(name)
        (tmp_path / name / WEIGHTS_FILE).unlink()
        with pytest.raises(UserError, match=f"The files of {name} have changed on disk: Cannot read"):
            read(name)


def test_a_reader_keeps_its_weights_whatever_becomes_of_the_file(store: AdapterStore, tmp_path: Path) -> None:
    """Tensors are copies: a file that is cut short under a memory map ends the process."""
    weights = store.lora("verse")
    before = [a.clone() for a, _ in weights.modules.values()]
    os.truncate(tmp_path / "verse" / WEIGHTS_FILE, 0)
    assert all(torch.equal(old, a) for old, (a, _) in zip(before, weights.modules.values(), strict=True))


def test_two_names_with_equal_weights_are_both_usable(store: AdapterStore, tiny_llama: BaseModel) -> None:
    (twin := store.find("verse").folder.parent / "twin").mkdir()
    for file in store.find("verse").folder.iterdir():
        (twin / file.name).write_bytes(file.read_bytes())
    store.offer(twin)
    assert store.find("twin").digest == store.find("verse").digest
    engine, verse = Engine(tiny_llama, store), store.lora("verse")
    assert store.lora("twin") is verse
    alone = text_of(engine)
    store.withdraw("twin")
    assert text_of(engine) == alone
    assert store.lora("verse") is verse


def test_fingerprints_are_those_of_the_tensors_that_run(store: AdapterStore) -> None:
    verse = store.lora("verse")
    named = [(f"{path}.{part}", t) for path, pair in verse.modules.items() for part, t in enumerate(pair)]
    assert store.find("verse").digest == sha256(str(verse.scaling), *pieces(named))
    assert store.find("facts").digest == sha256(*pieces([("prefix", store.prefix("facts"))]))


def test_nothing_runs_the_model_when_adapters_come_and_go(
    tiny_llama: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=2, use_dora=True))
    saved(tiny_llama, tmp_path / "facts", PrefixSettings(num_virtual_tokens=3))
    (tmp_path / "mood").mkdir()
    write_discriminator(MOOD, tiny_llama, tmp_path / "mood")
    monkeypatch.setattr(type(tiny_llama.model), "forward", lambda *_, **__: pytest.fail("the model was run"))
    store = AdapterStore([tmp_path], tiny_llama)
    assert store.refused == {}
    store.lora("verse"), store.prefix("facts"), store.class_loss("mood:up")
    for name in ("verse", "facts", "mood"):
        store.check(tmp_path / name)
        store.offer(tmp_path / name)
        store.withdraw(name)
