"""The disk quota of what visitors leave: the longest unused goes first, and only what is theirs."""

import os
from pathlib import Path

import pytest

from adapters.adapter_files import OWNER_FILE, folder_bytes, write_owner
from adapters.base_model import BaseModel
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.store.adapter_store import AdapterStore
from tests.adapters.store.test_adapter_store import saved

NAMES = ("first", "second", "third", "lines")


@pytest.fixture
def own(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """Three adapters of visitors, used one after the other, and one of the command line that is older."""
    for age, name in enumerate(NAMES):
        saved(tiny_llama, tmp_path / name, LoraSettings(r=2))
        if name != "lines":
            write_owner(tmp_path / name, "me")
            os.utime(tmp_path / name / OWNER_FILE, (age, age))
    return tmp_path


def test_the_longest_unused_goes_first_and_is_told_before(own: Path, tiny_llama: BaseModel) -> None:
    size = folder_bytes(own / "first")
    store = AdapterStore([own], tiny_llama, max_disk_bytes=3 * size)
    assert store.room_line(0) == ""
    assert store.room_line(1) == "To make room on the disk, the longest unused go first: first."
    store.lora("first")  # a use
    assert store.removed_for(1) == ("second",)
    assert store.removed_for(size + 1) == ("second", "third")
    assert set(os.listdir(own)) == set(NAMES)
    store.make_room(size + 1)
    assert set(os.listdir(own)) == {"first", "lines"}
    assert [adapter.name for adapter in store.adapters] == ["first", "lines"]
    assert store.room_line(2 * size) == ""


def test_what_is_reserved_or_nobodys_stays(own: Path, tiny_llama: BaseModel) -> None:
    size = folder_bytes(own / "first")
    store = AdapterStore([own], tiny_llama, max_disk_bytes=3 * size)
    store._reserved.add("first")  # a training that has written its folder and has not ended
    assert store.removed_for(1) == ("second",)
    with pytest.raises(UserError, match="visitors may leave"):
        store.make_room(3 * size)
    assert set(os.listdir(own)) == set(NAMES)


def test_what_is_offered_stays_and_pushes_out_the_longest_unused(own: Path, tiny_llama: BaseModel) -> None:
    """A training ends with a folder that is larger than was estimated."""
    size = folder_bytes(own / "first")
    store = AdapterStore([own], tiny_llama, max_disk_bytes=3 * size)
    saved(tiny_llama, own / "new", LoraSettings(r=2))
    write_owner(own / "new", "me")
    os.utime(own / "new" / OWNER_FILE, (0, 0))
    store.offer(own / "new")
    assert set(os.listdir(own)) == {"second", "third", "lines", "new"}


def test_a_restart_and_a_store_without_a_quota_remove_nothing(own: Path, tiny_llama: BaseModel) -> None:
    AdapterStore([own], tiny_llama, max_disk_bytes=1)
    store = AdapterStore([own], tiny_llama)
    store.offer(own / "first")
    assert store.room_line(10**12) == ""
    assert set(os.listdir(own)) == set(NAMES)
