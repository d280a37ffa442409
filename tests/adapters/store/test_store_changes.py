"""Adapters that come and go while others read: whole, at once, and without touching what is being written."""

import shutil
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.adapter_files import WEIGHTS_FILE, read_owner, write_owner
from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.lora.settings import LoraSettings
from adapters.methods import Request, Sampling, UserError, parse_method
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import Adapter, AdapterStore, Found
from adapters.store.fingerprint import Fingerprints
from adapters.vector.shifts import Vector
from tests.adapters.discriminators.mood import MOOD, moved
from tests.adapters.store.test_adapter_store import saved

GREEDY = Sampling(temperature=0, max_new_tokens=12)
LORA = Request("Once", parse_method("lora:verse"))


def text_of(engine: Engine, request: Request = LORA) -> str:
    *_, (row,) = engine.generate([request], GREEDY)
    return row.text


def scale(folder: Path, factor: float) -> None:
    """Other weights in the same folder."""
    tensors = load_file(folder / WEIGHTS_FILE)
    save_file({name: tensor * factor for name, tensor in tensors.items()}, folder / WEIGHTS_FILE)


@pytest.fixture
def store(tiny_llama: BaseModel, tmp_path: Path) -> AdapterStore:
    """A store of one LoRA; the folder of another adapter is not offered yet."""
    store = AdapterStore([tmp_path / "own"], tiny_llama)
    saved(tiny_llama, tmp_path / "own" / "verse", LoraSettings(r=2))
    saved(tiny_llama, tmp_path / "own" / "facts", PrefixSettings(num_virtual_tokens=3))
    store.offer(tmp_path / "own" / "verse")
    return store


def test_an_adapter_is_there_from_offer_to_withdraw(store: AdapterStore, tmp_path: Path) -> None:
    assert [adapter.name for adapter in store.adapters] == ["verse"]
    before = store.adapters
    store.offer(tmp_path / "own" / "facts")
    assert [adapter.name for adapter in store.adapters] == ["verse", "facts"]
    assert store.find("facts").size == 3
    assert store.is_taken("facts")
    store.withdraw("verse")
    assert [adapter.name for adapter in store.adapters] == ["facts"]
    assert len(before) == 1
    with pytest.raises(UserError, match="no LoRA adapter 'verse': choose one of none"):
        store.lora("verse")
    with pytest.raises(UserError, match="no adapter 'verse': choose one of facts"):
        store.find("verse")
    assert not store.is_taken("verse")
    store.withdraw("verse")  # is no error


def test_what_cannot_be_offered_changes_nothing(store: AdapterStore, tiny_llama: BaseModel, tmp_path: Path) -> None:
    before = store.lora("verse")
    (tmp_path / "own" / "verse" / WEIGHTS_FILE).write_bytes(b"nothing")
    with pytest.raises(UserError, match="Cannot read"):
        store.offer(tmp_path / "own" / "verse")
    assert store.lora("verse") is before
    for settings in (LoraSettings(r=1), PrefixSettings(num_virtual_tokens=2)):
        saved(tiny_llama, tmp_path / "other" / "verse", settings)
        with pytest.raises(UserError, match="already an adapter called verse"):
            store.offer(tmp_path / "other" / "verse")
        shutil.rmtree(tmp_path / "other")
    (tmp_path / "other" / "verse").mkdir(parents=True)
    write_discriminator(MOOD, tiny_llama, tmp_path / "other" / "verse")
    with pytest.raises(UserError, match="already an adapter called verse"):
        store.offer(tmp_path / "other" / "verse")
    assert store.lora("verse") is before
    assert store.refused == {}


def test_a_refused_adapter_that_was_mended_is_refused_no_longer(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=2))
    good = (tmp_path / "verse" / WEIGHTS_FILE).read_bytes()
    (tmp_path / "verse" / WEIGHTS_FILE).write_bytes(good[:-3])
    store = AdapterStore([tmp_path], tiny_llama)
    assert list(store.refused) == ["verse"]
    (tmp_path / "verse" / WEIGHTS_FILE).write_bytes(good)
    store.offer(tmp_path / "verse")
    assert store.refused == {}
    assert store.lora("verse").scaling == 8


def test_a_text_goes_on_with_the_weights_it_began_with(
    store: AdapterStore, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    engine = Engine(tiny_llama, store)
    old = text_of(engine)
    running = engine.generate([LORA], GREEDY)
    for _ in range(3):
        next(running)
    scale(tmp_path / "own" / "verse", 3)
    store.offer(tmp_path / "own" / "verse")
    new = text_of(engine)
    assert new != old
    store.withdraw("verse")
    *_, (row,) = running
    assert row.text == old


def test_a_text_goes_on_with_the_vector_it_began_with(
    store: AdapterStore, tiny_llama: BaseModel, tmp_path: Path
) -> None:
    def offer(factor: float) -> None:
        head = moved("model.layers.1")
        vectors = tuple(Vector(vector.layer, factor * vector.push) for vector in head.vectors)
        folder = tmp_path / "own" / "mood"
        folder.mkdir(exist_ok=True)
        write_discriminator(head._replace(vectors=vectors), tiny_llama, folder)
        store.offer(folder)

    engine, request = Engine(tiny_llama, store), Request("Once", parse_method("vector:mood:up*0.5"))
    hashes = Fingerprints(tiny_llama, store)
    offer(1)
    *_, (old,) = engine.generate([request], GREEDY)
    old_hash = hashes.method(request.method)
    running = engine.generate([request], GREEDY)
    for _ in range(3):
        next(running)
    offer(-1)
    *_, (new,) = engine.generate([request], GREEDY)
    assert new.token_ids != old.token_ids
    assert hashes.method(request.method) != old_hash
    store.remove(tmp_path / "own" / "mood")
    *_, (row,) = running
    assert row.token_ids == old.token_ids
    with pytest.raises(UserError, match="no discriminator 'mood'"):
        engine.generate([request], GREEDY)


def test_other_weights_under_the_same_name_have_another_hash(store: AdapterStore, tmp_path: Path) -> None:
    store.offer(tmp_path / "own" / "facts")
    hashes = Fingerprints(store._base, store)

    def found() -> list[str]:
        return [store.find("verse").digest, store.find("facts").digest, *hashes.requests([LORA], GREEDY)]

    before = found()
    for name in ("verse", "facts"):
        store.offer(tmp_path / "own" / name)  # the same weights again
    assert found() == before
    for name in ("verse", "facts"):
        scale(tmp_path / "own" / name, 2)
        store.offer(tmp_path / "own" / name)
    assert all(old != new for old, new in zip(before, found(), strict=True))
    store.withdraw("verse")
    with pytest.raises(UserError, match="no LoRA adapter"):
        hashes.requests([LORA], GREEDY)


def test_two_versions_in_one_batch_are_read_apart(store: AdapterStore, tiny_llama: BaseModel, tmp_path: Path) -> None:
    engine = Engine(tiny_llama, store)
    old = text_of(engine)
    lookup, calls = store.lora, list[str]()

    def change_after_the_first(name: str):  # type: ignore[no-untyped-def]
        weights = lookup(name)
        if not calls:
            scale(tmp_path / "own" / "verse", 3)
            store.offer(tmp_path / "own" / "verse")
        calls.append(name)
        return weights

    store.lora = change_after_the_first  # type: ignore[method-assign]
    *_, (first, second) = engine.generate([LORA, LORA], GREEDY)
    assert (first.text, second.text) == (old, text_of(engine))
    assert first.text != second.text


def test_readers_see_an_adapter_whole_or_not_at_all(
    store: AdapterStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Readers take what is offered at one moment and hold no lock: it is whole and never changes."""
    moments: list[tuple[dict[str, Found], dict[str, Found]]] = []

    def note(changed: AdapterStore, name: str, value: object) -> None:
        if isinstance(value, dict):
            moments.append((value, dict(value)))
        object.__setattr__(changed, name, value)

    monkeypatch.setattr(AdapterStore, "__setattr__", note)
    for _ in range(2):
        store.offer(tmp_path / "own" / "facts")
        store.offer(tmp_path / "own" / "verse")
        store.withdraw("facts")
    assert len(moments) == 6
    for offered, then in moments:
        assert offered == then
        assert (
            {"verse"} <= {n for n, found in offered.items() if isinstance(found.content, Adapter)} <= {"verse", "facts"}
        )


def test_a_folder_knows_whose_it_is(tmp_path: Path) -> None:
    assert read_owner(tmp_path) is None
    write_owner(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    write_owner(tmp_path, "ab12")
    assert read_owner(tmp_path) == "ab12"


def test_the_base_is_never_touched(store: AdapterStore, tiny_llama: BaseModel, tmp_path: Path) -> None:
    before = {name: weight.clone() for name, weight in tiny_llama.model.state_dict().items()}
    store.offer(tmp_path / "own" / "facts")
    store.withdraw("verse")
    assert all(torch.equal(weight, before[name]) for name, weight in tiny_llama.model.state_dict().items())


def test_a_reserved_name_is_taken_until_it_is_released(store: AdapterStore, tmp_path: Path) -> None:
    reserved = store.reserve("waves")
    assert store.is_taken("waves")
    for name in ("waves", "verse", "facts", "Not a name"):  # reserved, offered, only a folder, none
        with pytest.raises(UserError):
            store.reserve(name)
    reserved.close()
    reserved.close()  # is no error
    assert not store.is_taken("waves")
    with store.reserve("waves"):
        assert store.is_taken("waves")
    assert not store.is_taken("waves")


def test_whoever_reserved_a_name_can_offer_it(store: AdapterStore, tmp_path: Path) -> None:
    with store.reserve("waves"):
        (tmp_path / "own" / "verse").rename(tmp_path / "own" / "waves")
        store.offer(tmp_path / "own" / "waves")
    assert store.is_taken("waves")
    with pytest.raises(UserError, match="already something called 'waves'"):
        store.reserve("waves")


def test_of_many_threads_one_gets_a_name(store: AdapterStore) -> None:
    got: list[str] = []

    def take() -> None:
        with suppress(UserError):
            got.append(store.reserve("waves").__class__.__name__)

    threads = [threading.Thread(target=take) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
