"""Adapters from outside and back: each attack is refused with one line and leaves nothing."""

import copy
import hashlib
import io
import json
import os
import shutil
import struct
import tarfile
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZIP_DEFLATED, ZIP_LZMA, ZipFile, ZipInfo

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, GPT2LMHeadModel

from adapters.adapter_files import CONFIG_FILE, OWNER_FILE, WEIGHTS_FILE, write_owner
from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.library.library import Library
from adapters.lora.settings import LoraSettings
from adapters.methods import Request, Sampling, UserError, parse_method
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from tests.adapters.discriminators.mood import MOOD
from tests.adapters.store.test_adapter_store import COMMON, LORA_ONLY, PREFIX_ONLY, config, first, saved, tensors
from tests.tiny import tiny

GREEDY = Sampling(temperature=0, max_new_tokens=8)
ME, YOU = "a" * 64, "b" * 64
SOUND = "# A card\n\n![](http://example.org/pixel.png)\n"


class Place(NamedTuple):
    """A base model, its store and library, and where adapters are made."""

    base: BaseModel
    store: AdapterStore
    library: Library
    own: Path
    made: Path

    def text(self, method: str) -> str:
        *_, (row,) = Engine(self.base, self.store).generate([Request("Once", parse_method(method))], GREEDY)
        return row.text


@pytest.fixture
def place(tiny_llama: BaseModel, tmp_path: Path) -> Place:
    return new_place(tiny_llama, tmp_path)


def new_place(base: BaseModel, folder: Path) -> Place:
    own, made = folder / "own", folder / "made"
    shipped = folder / "shipped"
    if not shipped.exists():
        saved(base, shipped / "poetry", LoraSettings(r=1))
    made.mkdir(exist_ok=True)
    store = AdapterStore([shipped, own], base)
    return Place(base, store, Library(base, store, own), own, made)


def lora_folder(place: Place, **settings: Any) -> Path:
    saved(place.base, place.made / "verse", LoraSettings(**({"r": 2} | settings)))
    return place.made / "verse"


def zipped(folder: Path, inside: str = "", names: Callable[[str], bool] = lambda name: True) -> Path:
    """A zip as a person would make it."""
    file = folder.parent / f"{folder.name}.zip"
    with ZipFile(file, "w", ZIP_DEFLATED) as target:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and names(path.name):
                target.write(path, f"{inside}{path.relative_to(folder)}")
    return file


def without_card(name: str) -> bool:
    return name != "README.md"


def digest(base: BaseModel) -> str:
    """Of every weight of the base, what its modules are, and what hangs on them."""
    found = hashlib.sha256()
    for name, weight in base.model.state_dict().items():
        found.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        found.update(weight.contiguous().numpy().tobytes())
    for name, module in base.model.named_modules():
        found.update(f"{name} {type(module)} {module.training} {len(module._forward_hooks)}".encode())
    for name, parameter in base.model.named_parameters():
        found.update(f"{name} {parameter.requires_grad}".encode())
    return found.hexdigest()


def refused(place: Place, file: Path, message: str) -> None:
    """The zip is refused with one line; nothing is left of it and nothing has changed."""
    before, known = digest(place.base), place.store._offered
    with pytest.raises(UserError, match=message) as caught:
        place.library.import_zip(file, "verse", ME)
    assert len(str(caught.value).splitlines()) == 1
    assert len(str(caught.value)) < 500
    assert digest(place.base) == before
    assert place.store._offered is known
    assert not place.own.exists() or list(place.own.iterdir()) == []


# Taking in


@pytest.mark.parametrize("inside", ["", "my adapter/"])
@pytest.mark.parametrize("settings", [LoraSettings(r=2), PrefixSettings(num_virtual_tokens=3)], ids=["lora", "prefix"])
def test_an_adapter_from_a_zip_runs_at_once_and_after_a_restart(
    place: Place, tmp_path: Path, inside: str, settings: LoraSettings | PrefixSettings
) -> None:
    saved(place.base, place.made / "verse", settings)
    (place.made / "verse" / "README.md").write_text(SOUND)
    before = digest(place.base)
    adapter = place.library.import_zip(zipped(place.made / "verse", inside), "mine", ME)
    kind = "lora" if isinstance(settings, LoraSettings) else "prefix"
    assert (adapter.name, adapter.kind, adapter.folder) == ("mine", kind, place.own / "mine")
    assert sorted(os.listdir(place.own / "mine")) == [OWNER_FILE, "README.md", CONFIG_FILE, WEIGHTS_FILE]
    assert place.text(f"{kind}:mine") != place.text("base")
    assert new_place(place.base, tmp_path).text(f"{kind}:mine") == place.text(f"{kind}:mine")
    assert place.library.card("mine") == SOUND
    assert place.library.report("mine") is None
    assert digest(place.base) == before


def test_what_a_mac_adds_is_passed_over(place: Place) -> None:
    file = zipped(lora_folder(place), "verse/", without_card)
    with ZipFile(file, "a") as target:
        target.writestr("__MACOSX/verse/._adapter_config.json", b"\0\5\x16")
        target.writestr("verse/.DS_Store", b"\0")
        target.writestr("verse/", b"")
    assert place.library.import_zip(file, "mine", None).size == 2


@pytest.mark.parametrize("name", ["", "../x", "a/b", "poetry", "x" * 41, "Verse", ".hidden", "a b", "é"])
def test_a_name_that_is_none_or_taken_is_refused(place: Place, name: str) -> None:
    file = zipped(lora_folder(place))
    with pytest.raises(UserError, match="name"):
        place.library.import_zip(file, name, ME)
    assert not place.own.exists() or list(place.own.iterdir()) == []


def test_two_that_take_the_same_name_at_once_do_not_mix(place: Place) -> None:
    file = zipped(lora_folder(place), "", without_card)
    results: list[str] = []

    def take() -> None:
        try:
            results.append(place.library.import_zip(file, "mine", ME).name)
        except UserError as error:
            results.append(str(error))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["There is already something called 'mine': choose another name."] * 3 + ["mine"]
    assert os.listdir(place.own) == ["mine"]


# The attacks on the two files


def extra(name: str) -> Callable[[Path], None]:
    return tensors(lambda found: found.update({name: torch.zeros(258, 32)}))


def poisoned(found: dict[str, torch.Tensor]) -> None:
    found[first(found)].view(-1)[-1] = torch.inf


def truncate(folder: Path) -> None:
    data = (folder / WEIGHTS_FILE).read_bytes()
    (folder / WEIGHTS_FILE).write_bytes(data[:-4])


def header(change: Callable[[dict[str, Any]], object], length: int | None = None) -> Callable[[Path], None]:
    """An attack: a header that lies about what follows."""

    def attack(folder: Path) -> None:
        data = (folder / WEIGHTS_FILE).read_bytes()
        size = int.from_bytes(data[:8], "little")
        fields = json.loads(data[8 : 8 + size])
        change(fields)
        text = json.dumps(fields).encode()
        (folder / WEIGHTS_FILE).write_bytes(struct.pack("<Q", length or len(text)) + text + data[8 + size :])

    return attack


def overlapping(fields: dict[str, Any]) -> None:
    names = [name for name in fields if name != "__metadata__"]
    fields[names[0]]["data_offsets"] = fields[names[1]]["data_offsets"]


def beyond(fields: dict[str, Any]) -> None:
    for name in fields:
        if name != "__metadata__":
            fields[name]["data_offsets"] = [0, 10**15]


def larger(fields: dict[str, Any]) -> None:
    name = next(name for name in fields if name != "__metadata__")
    fields[name]["shape"] = [2**31, 2**31]


NAMED = {  # what facts are known about, one by one
    "the output layer": (extra("base_model.model.lm_head.weight"), "does not ask for: base_model.model.lm_head"),
    "a base layer": (
        extra("base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight"),
        "does not ask for: base_model.model.model.layers.0.self_attn.q_proj.base_layer.weight",
    ),
    "infinity": (tensors(poisoned), "not finite"),
    "truncated": (truncate, "Cannot read adapter_model.safetensors"),
    "header beyond the file": (header(beyond), "Cannot read"),
    "header overlaps": (header(overlapping), "Cannot read"),
    "header of a huge tensor": (header(larger), "Cannot read"),
    "header longer than the file": (header(lambda fields: None, 10**6), "Cannot read"),
    "header longer than any": (header(lambda fields: None, 2**62), "header is damaged"),
    "empty weights": (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b""), "header is damaged"),
}
NAMED_LORA = {
    "olora": (config(init_lora_weights="olora"), "init_lora_weights"),
    "pissa with iterations": (config(init_lora_weights="pissa_niter_4"), "init_lora_weights"),
    "rank pattern": (config(rank_pattern={"q_proj": 10**9}), "rank_pattern"),
    "alpha pattern": (config(alpha_pattern={"q_proj": 1e30}), "alpha_pattern"),
    "all linear as a word": (config(target_modules="all-linear"), "target_modules"),
    "layers replicated": (config(layer_replication=[[0, 3], [0, 3]]), "layer_replication"),
    "trained tokens": (config(trainable_token_indices=[1]), "trainable_token_indices"),
    "mapped to a class": (config(auto_mapping={"base_model_class": "os", "parent_library": "os"}), "auto_mapping"),
    "negative r": (config(r=-1), "r: "),
    "r as text": (config(r="2; import os"), "r: "),
    "infinite alpha": (config(lora_alpha=1e400), "lora_alpha"),
}
NAMED_PREFIX = {"negative length": (config(num_virtual_tokens=-1), "num_virtual_tokens")}
ATTACKS = [("lora", *case) for case in (COMMON | LORA_ONLY | NAMED | NAMED_LORA).items()] + [
    ("prefix", *case) for case in (COMMON | PREFIX_ONLY | NAMED | NAMED_PREFIX).items() if case[0] != "header overlaps"
]


@pytest.mark.parametrize(("kind", "name", "case"), ATTACKS, ids=[f"{kind} {name}" for kind, name, _ in ATTACKS])
def test_an_attack_is_refused_and_leaves_nothing(
    place: Place, kind: str, name: str, case: tuple[Callable[[Path], None], str]
) -> None:
    settings = LoraSettings(r=2) if kind == "lora" else PrefixSettings(num_virtual_tokens=3)
    saved(place.base, place.made / "verse", settings)
    attack, message = case
    attack(place.made / "verse")
    missing = not (place.made / "verse" / WEIGHTS_FILE).is_file()
    if "endless" in name:
        message = "has 70,000 bytes"
    refused(place, zipped(place.made / "verse", "", without_card), "holds no adapter_model" if missing else message)


def test_the_base_of_an_adapter_must_be_this_one_by_its_very_id(place: Place) -> None:
    for other in ("./tiny-llama", "tiny-llama/", "TINY-LLAMA", "org/tiny-llama", None, ["tiny-llama"]):
        folder = lora_folder(place)
        config(base_model_name_or_path=other)(folder)
        refused(place, zipped(folder, "", without_card), "It was made for the base model")


# The attacks on the zip


def made_of(place: Place, *entries: tuple[str | ZipInfo, bytes], how: int = ZIP_DEFLATED) -> Path:
    file = place.made / "attack.zip"
    with ZipFile(file, "w", how) as target:
        for name, data in entries:
            target.writestr(name, data)
    return file


def sound(place: Place) -> list[tuple[str | ZipInfo, bytes]]:
    """The entries of an adapter that could be imported."""
    folder = lora_folder(place)
    return [(name, (folder / name).read_bytes()) for name in (CONFIG_FILE, WEIGHTS_FILE)]


def link(name: str, target: str) -> tuple[ZipInfo, bytes]:
    info = ZipInfo(name)
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return info, target.encode()


@pytest.mark.parametrize(
    "name",
    ["../evil.py", "../../adapter_config.json", "/etc/passwd", "a/../../b", "..\\evil.py", "C:/evil.py", "./x", "a//b"],
)
def test_a_path_that_leads_elsewhere(place: Place, name: str) -> None:
    refused(place, made_of(place, *sound(place), (name, b"x")), "a path out of the folder")
    assert not (place.own.parent / "evil.py").exists()


def test_a_link(place: Place) -> None:
    refused(place, made_of(place, *sound(place)[:1], link(WEIGHTS_FILE, "/etc/passwd")), "a link and no file")
    refused(place, made_of(place, *sound(place), link("README.md", "../.owner")), "a link and no file")


@pytest.mark.parametrize("name", ["adapter_model.bin", "x/training_args.bin", "optimizer.PT", "a.pkl", "scheduler.pth"])
def test_a_pickle(place: Place, name: str) -> None:
    refused(place, made_of(place, *sound(place), (name, b"\x80\x04.")), "a pickle, which can run code")


@pytest.mark.parametrize("name", ["inner.zip", "inner.tar.gz", "a/inner.7z"])
def test_an_archive_within(place: Place, name: str) -> None:
    refused(place, made_of(place, *sound(place), (name, b"PK\3\4")), "an archive within the archive")


@pytest.mark.parametrize("name", [OWNER_FILE, "custom_generate/generate.py", "modeling.py", "tokenizer.json", "a/b/c"])
def test_a_file_that_no_adapter_has(place: Place, name: str) -> None:
    refused(place, made_of(place, *sound(place), (name, b"x")), "nothing else|at its top or into one folder")


def test_a_file_twice(place: Place) -> None:
    with pytest.warns(UserWarning, match="Duplicate"):
        file = made_of(place, *sound(place), (CONFIG_FILE, b"{}"))
    refused(place, file, "twice")
    (config_entry, weights_entry) = sound(place)
    refused(place, made_of(place, config_entry, (f"a/{WEIGHTS_FILE}", weights_entry[1])), "several folders")
    refused(place, made_of(place, config_entry, weights_entry, (f"b/{CONFIG_FILE}", b"{}")), "twice")


def test_a_bomb(place: Place) -> None:
    config_entry, _ = sound(place)
    huge = made_of(place, config_entry, (WEIGHTS_FILE, bytes(4_000_000)))
    assert huge.stat().st_size < 10_000
    refused(place, huge, "header is damaged")  # it fits the limit, and is refused by its first bytes
    refused(place, made_of(place, (CONFIG_FILE, b" " * 10_000_000), (WEIGHTS_FILE, b"x")), "has 10,000,000 bytes")


def test_a_file_that_is_too_large_is_not_opened(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    file = made_of(place, *sound(place))
    size = file.stat().st_size
    place.library._max_bytes = size - 1
    monkeypatch.setattr("adapters.library.library.unpack", lambda *_: pytest.fail("it was opened"))
    refused(place, file, f"The zip has {size:,} bytes")


def test_a_bomb_that_lies_about_its_size(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sizes of entries are given twice, and neither need be true; at most the size that is allowed is written."""
    config_entry, _ = sound(place)
    file = made_of(place, config_entry, (WEIGHTS_FILE, bytes(4_000_000)))
    data = file.read_bytes()
    assert data.count(struct.pack("<L", 4_000_000)) == 2
    file.write_bytes(data.replace(struct.pack("<L", 4_000_000), struct.pack("<L", 1000)))
    written: list[int] = []
    original = shutil.copyfileobj

    def counted(source: IO[bytes], into: IO[bytes], length: int) -> None:
        try:
            original(source, into, length)
        finally:
            written.append(into.tell())

    monkeypatch.setattr(shutil, "copyfileobj", counted)
    refused(place, file, "damaged")
    assert max(written) < 100_000


def test_a_zip_with_many_entries_is_refused_in_little_memory(place: Place) -> None:
    some = made_of(place, *((f"{number}", b"") for number in range(100))).rename(place.made / "some.zip")
    refused(place, some, "has 100 entries")
    file = made_of(place, *((f"{number}", b"") for number in range(20_000)))
    tracemalloc.start()
    refused(place, file, "too many entries")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
    data = bytearray(file.read_bytes())
    data[-14:-10] = struct.pack("<2H", 2, 2)  # it says two, but its directory is as long as before
    file.write_bytes(data)
    refused(place, file, "too many entries")


def test_a_zip_that_is_none_or_not_plain(place: Place) -> None:
    file = place.made / "attack.zip"
    for data in (b"", b"PK", b"\x80\x04.", b"PK\5\6" + bytes(17), bytes(1000)):
        file.write_bytes(data)
        refused(place, file, "no plain zip")
    commented = made_of(place, *sound(place))
    with ZipFile(commented, "a") as target:
        target.comment = b"PK\5\6" + bytes(18)
    refused(place, commented, "no adapter_config|at most 4 files|no plain zip")
    whole = made_of(place, *sound(place)).read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    refused(place, file, "no plain zip")
    file.write_bytes(whole.replace(b"PK\3\4", b"PK\3\5"))
    refused(place, file, "damaged")
    refused(place, made_of(place, *sound(place), how=ZIP_LZMA), "compressed in an unusual way")
    stored = bytearray(made_of(place, *sound(place)).read_bytes())
    for sign, offset in ((b"PK\1\2", 8), (b"PK\3\4", 6)):
        stored[stored.index(sign) + offset] |= 1
    file.write_bytes(stored)
    refused(place, file, "encrypted")
    with tarfile.open(file, "w") as tar:
        tar.addfile(tarfile.TarInfo(CONFIG_FILE), io.BytesIO())
    refused(place, file, "no plain zip")
    end = whole[-22:]
    file.write_bytes(whole[:-22] + b"PK\6\7" + bytes(16) + end)
    refused(place, file, "no plain zip")


def test_a_flipped_bit_is_noticed(place: Place) -> None:
    data = bytearray(made_of(place, *sound(place), how=0).read_bytes())
    data[len(data) // 2] ^= 1
    (place.made / "attack.zip").write_bytes(data)
    refused(place, place.made / "attack.zip", "damaged")


def test_figures_and_cards_that_cannot_be_read(place: Place) -> None:
    refused(place, made_of(place, *sound(place), ("metrics.json", b'{"name": 1}')), "metrics|base|name")
    refused(place, made_of(place, *sound(place), ("README.md", b"\xff\xfe")), "not text in UTF-8")


# From the Hub


class Sibling(NamedTuple):
    rfilename: str
    size: int | None


class Info(NamedTuple):
    siblings: list[Sibling]
    sha: str = "c0ffee"


class FakeHub(HfApi):
    """A Hub of one folder that answers without a network; remembers what was fetched and what was sent."""

    def __init__(self, folder: Path, sizes: dict[str, int | None] | None = None) -> None:
        super().__init__(endpoint="http://hub.invalid", token="hf_secret")
        self.folder, self.sizes = folder, sizes or {}
        self.fetched: list[tuple[str, str, str]] = []
        self.sent: dict[str, dict[str, bytes]] = {}

    def model_info(self, repo_id: str, **options: Any) -> Any:
        assert options == {"files_metadata": True}
        files = [path for path in sorted(self.folder.rglob("*")) if path.is_file()]
        names = {str(path.relative_to(self.folder)): path.stat().st_size for path in files} | self.sizes
        return Info([Sibling(name, size) for name, size in names.items()])

    def hf_hub_download(self, repo_id: str, filename: str, **options: Any) -> Any:
        self.fetched.append((repo_id, filename, options.pop("revision")))
        (folder,) = options.values()
        folder.mkdir(exist_ok=True)
        (folder / filename).write_bytes((self.folder / filename).read_bytes())
        return str(folder / filename)

    def create_repo(self, repo_id: str, **options: Any) -> Any:
        assert options == {"repo_type": "model", "private": True, "exist_ok": False}
        if repo_id in self.sent:
            raise FileExistsError(f"409 Conflict:\nyou have already created {repo_id}")
        self.sent[repo_id] = {}

    def upload_folder(  # type: ignore[override]
        self, *, repo_id: str, folder_path: Any, allow_patterns: Any, **options: Any
    ) -> Any:
        names = [path.name for path in Path(folder_path).iterdir() if path.name in allow_patterns]
        self.sent[repo_id] = {name: (Path(folder_path) / name).read_bytes() for name in names}


def with_hub(place: Place, hub: FakeHub) -> Place:
    return place._replace(library=Library(place.base, place.store, place.own, source=hub, target=hub))


def test_an_adapter_from_the_hub_is_its_two_files_and_the_card_of_one_commit(place: Place) -> None:
    folder = lora_folder(place)
    (folder / "README.md").write_text(SOUND)
    for stray in ("training_args.bin", "modeling.py", "checkpoint/adapter_model.safetensors"):
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_bytes(b"\x80\x04.")
    hub = FakeHub(folder)
    place = with_hub(place, hub)
    before = digest(place.base)
    adapter = place.library.import_from_hub("org/verse", "mine", ME)
    assert hub.fetched == [("org/verse", name, "c0ffee") for name in (CONFIG_FILE, WEIGHTS_FILE, "README.md")]
    assert sorted(os.listdir(adapter.folder)) == [OWNER_FILE, "README.md", CONFIG_FILE, WEIGHTS_FILE]
    assert os.listdir(place.own) == ["mine"]
    assert digest(place.base) == before


def test_nothing_is_fetched_unless_the_operator_permits(place: Place) -> None:
    assert not place.library.can_fetch
    with pytest.raises(UserError, match="STEERBOARD_HUB_ADAPTERS=1"):
        place.library.import_from_hub("org/verse", "mine", ME)


def test_an_id_is_never_a_local_folder(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(place.base, place.made / "org" / "verse", LoraSettings(r=2))
    monkeypatch.chdir(place.made)
    (place.made / "empty").mkdir()
    hub = FakeHub(place.made / "empty")
    with pytest.raises(UserError, match="org/verse holds no adapter_config.json"):
        with_hub(place, hub).library.import_from_hub("org/verse", "mine", ME)
    assert hub.fetched == []


@pytest.mark.parametrize(
    "repo", ["", "verse", "../verse", "org/../x", "/etc/passwd", "org/a/b", "org/a--b", "http://x/y", "org/verse@main"]
)
def test_an_id_that_is_none(place: Place, repo: str) -> None:
    hub = FakeHub(lora_folder(place))
    with pytest.raises(UserError, match="OWNER/NAME"):
        with_hub(place, hub).library.import_from_hub(repo, "mine", ME)
    assert hub.fetched == []


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({WEIGHTS_FILE: 10**12}, "has 1,000,000,000,000 bytes, at most"),
        ({CONFIG_FILE: 10**6}, "at most 65,536"),
        ({WEIGHTS_FILE: None}, "unknown"),
    ],
)
def test_a_size_is_checked_before_anything_large_is_fetched(
    place: Place, sizes: dict[str, int | None], message: str
) -> None:
    hub = FakeHub(lora_folder(place), sizes)
    with pytest.raises(UserError, match=message):
        with_hub(place, hub).library.import_from_hub("org/verse", "mine", ME)
    assert not any(name in sizes for _, name, _ in hub.fetched)
    assert list(place.own.iterdir()) == []


def test_a_repository_of_a_pickle_or_a_bad_adapter(place: Place) -> None:
    folder = lora_folder(place)
    extra("base_model.model.lm_head.weight")(folder)
    with pytest.raises(UserError, match="does not ask for"):
        with_hub(place, FakeHub(folder)).library.import_from_hub("org/verse", "mine", ME)
    (folder / WEIGHTS_FILE).rename(folder / "adapter_model.bin")
    hub = FakeHub(folder)
    with pytest.raises(UserError, match="a pickle, which can run code"):
        with_hub(place, hub).library.import_from_hub("org/verse", "mine", ME)
    assert hub.fetched == []
    assert list(place.own.iterdir()) == []


def test_a_hub_that_does_not_answer_is_one_line(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = FakeHub(lora_folder(place))

    def broken(*_: Any, **__: Any) -> Any:
        raise ConnectionError("no\nroute")

    monkeypatch.setattr(hub, "model_info", broken)
    with pytest.raises(UserError, match="Cannot fetch 'org/verse' from the Hub: no route"):
        with_hub(place, hub).library.import_from_hub("org/verse", "mine", ME)


# Away


def test_a_zip_is_the_same_each_time_holds_no_owner_and_can_be_taken_in_again(place: Place, tmp_path: Path) -> None:
    place.library.import_zip(zipped(lora_folder(place), "", without_card), "mine", ME)
    out = tmp_path / "out"
    out.mkdir()
    one = place.library.zip("mine", out)
    assert one == out / "mine.zip"
    before = one.read_bytes()
    for file in (place.own / "mine").iterdir():
        os.utime(file, (0, 0))
    assert place.library.zip("mine", out).read_bytes() == before
    assert os.listdir(out) == ["mine.zip"]
    with ZipFile(one) as made:
        assert made.namelist() == [f"mine/{CONFIG_FILE}", f"mine/{WEIGHTS_FILE}"]
    assert ME.encode() not in before
    place.library.import_zip(one, "again", YOU)
    assert place.text("lora:again") == place.text("lora:mine")
    with pytest.raises(UserError, match="no adapter 'none'"):
        place.library.zip("none", out)


@pytest.mark.parametrize("how", [{}, {"use_rslora": True}, {"use_dora": True}], ids=["plain", "rsLoRA", "DoRA"])
def test_a_merged_lora_is_what_peft_merges(tiny_base: BaseModel, tmp_path: Path, how: dict[str, bool]) -> None:
    place = new_place(tiny_base, tmp_path)
    settings = LoraSettings(r=2, target_modules=("all-linear",), **how)
    peft = saved(tiny_base, tmp_path / "own" / "verse", settings)
    place.store.offer(tmp_path / "own" / "verse")
    before, dtype = digest(tiny_base), tiny_base.model.config.dtype
    architectures = tiny_base.model.config.architectures
    file = place.library.merged("verse", tmp_path)
    assert digest(tiny_base) == before
    assert (tiny_base.model.config.dtype, tiny_base.model.config.architectures) == (dtype, architectures)
    with ZipFile(file) as made:
        made.extractall(tmp_path / "unpacked")
    folder = tmp_path / "unpacked" / "verse-merged"
    merged = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    expected: Any = copy.deepcopy(peft).merge_and_unload()
    assert merged.state_dict().keys() == expected.state_dict().keys()
    for name, weight in expected.state_dict().items():
        torch.testing.assert_close(merged.state_dict()[name], weight, rtol=1e-6, atol=1e-6, msg=name)
    ids = torch.tensor([[256, 72, 101, 108]])
    with torch.no_grad():
        torch.testing.assert_close(merged(ids).logits, peft(ids).logits, rtol=1e-4, atol=1e-3)
    assert AutoTokenizer.from_pretrained(folder).encode("Once") == tiny_base.tokenizer.encode("Once")
    assert list(tmp_path.glob(".*")) == []


def test_a_layer_that_shares_its_weights_is_not_merged(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"vocab_size": 258, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 32}
    base = tiny(GPT2LMHeadModel, GPT2Config(**settings, bos_token_id=256, eos_token_id=257, tie_word_embeddings=True))
    place = new_place(base, tmp_path)
    saved(base, tmp_path / "own" / "verse", LoraSettings(r=2))
    config(target_modules=["lm_head"])(tmp_path / "own" / "verse")
    pair = {"lora_A": torch.zeros(2, 16), "lora_B": torch.zeros(258, 2)}
    save_file(
        {f"base_model.model.lm_head.{part}.weight": matrix for part, matrix in pair.items()},
        tmp_path / "own" / "verse" / WEIGHTS_FILE,
    )
    place.store.offer(tmp_path / "own" / "verse")
    with pytest.raises(UserError, match="lm_head shares its weights"):
        place.library.merged("verse", tmp_path)
    merged_file = place.library.merged("poetry", tmp_path)  # what is tied stays tied
    with ZipFile(merged_file) as made:
        made.extractall(tmp_path / "unpacked")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "unpacked" / "poetry-merged")
    assert isinstance(merged, GPT2LMHeadModel)
    assert torch.equal(merged.lm_head.weight, base.model.get_output_embeddings().weight)
    assert merged.lm_head.weight is merged.transformer.wte.weight


def test_a_prefix_is_not_merged(place: Place, tmp_path: Path) -> None:
    saved(place.base, place.own / "facts", PrefixSettings(num_virtual_tokens=3))
    place.store.offer(place.own / "facts")
    with pytest.raises(UserError, match="facts is a prefix: it adds entries to the cache"):
        place.library.merged("facts", tmp_path)


def test_what_is_published_goes_with_its_card_and_without_its_owner(place: Place) -> None:
    folder = lora_folder(place)
    (folder / "README.md").write_text(SOUND)
    place.library.import_zip(zipped(folder), "mine", ME)
    assert not place.library.can_push
    with pytest.raises(UserError, match="sets HF_TOKEN"):
        place.library.push("mine", "me/mine")
    hub = FakeHub(folder)
    place = with_hub(place, hub)
    assert place.library.push("mine", "me/mine") == "http://hub.invalid/me/mine"
    assert sorted(hub.sent["me/mine"]) == ["README.md", CONFIG_FILE, WEIGHTS_FILE]
    with pytest.raises(UserError, match="did not take mine into 'me/mine': 409 Conflict: you have already") as caught:
        place.library.push("mine", "me/mine")
    assert "hf_secret" not in str(caught.value)
    with pytest.raises(UserError, match="OWNER/NAME"):
        place.library.push("mine", "mine")
    with pytest.raises(UserError, match="no adapter 'other'"):
        place.library.push("other", "me/other")


# Gone


def test_only_the_owner_deletes_and_nothing_is_left(place: Place) -> None:
    place.library.import_zip(zipped(lora_folder(place), "", without_card), "mine", ME)
    assert (place.library.owner("mine"), place.library.owner("poetry")) == (ME, None)
    write = place.text("lora:mine")
    running = Engine(place.base, place.store).generate([Request("Once", parse_method("lora:mine"))], GREEDY)
    next(running)
    for owner in (YOU, None, ""):
        with pytest.raises(UserError, match="not yours to delete"):
            place.library.delete("mine", owner)
    assert place.text("lora:mine") == write
    place.library.delete("mine", ME)
    assert list(place.own.iterdir()) == []
    assert not place.store.is_taken("mine")
    *_, (row,) = running
    assert row.text == write
    with pytest.raises(UserError, match="no adapter 'mine'"):
        place.library.delete("mine", ME)


def test_an_operator_deletes_all_but_what_comes_with_the_project(place: Place) -> None:
    place.library.import_zip(zipped(lora_folder(place), "", without_card), "mine", ME)
    saved(place.base, place.own / "verse", LoraSettings(r=2))  # which nobody owns
    for name in ("mine", "verse"):
        place.library.delete(name, None, operator=True)
    assert list(place.own.iterdir()) == []
    with pytest.raises(UserError, match="poetry comes with the project"):
        place.library.delete("poetry", None, operator=True)
    with pytest.raises(UserError, match="Give it a name"):
        place.library.delete("../shipped/poetry", None, operator=True)


def test_what_is_shipped_or_made_on_the_command_line_stays(place: Place, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="poetry comes with the project"):
        place.library.delete("poetry", ME)
    saved(place.base, place.own / "verse", LoraSettings(r=2))
    place.store.offer(place.own / "verse")
    for owner in (ME, None):
        with pytest.raises(UserError, match="not yours to delete"):
            place.library.delete("verse", owner)
    for path in ("../shipped/poetry", "..", ".", ""):
        with pytest.raises(UserError, match="Give it a name"):
            place.library.delete(path, ME)
    (place.own / "linked").symlink_to(tmp_path / "shipped" / "poetry")
    with pytest.raises(UserError, match="no adapter 'linked'"):
        place.library.delete("linked", ME)
    assert (tmp_path / "shipped" / "poetry").is_dir()
    assert place.text("lora:verse") != place.text("lora:poetry")


def test_own_discriminators_and_broken_adapters_can_be_deleted(place: Place, tmp_path: Path) -> None:
    (place.own / "mood").mkdir(parents=True)
    write_discriminator(MOOD, place.base, place.own / "mood")
    write_owner(place.own / "mood", ME)
    (place.own / "broken").mkdir()
    (place.own / "broken" / CONFIG_FILE).write_text("{")
    write_owner(place.own / "broken", ME)
    place = new_place(place.base, tmp_path)
    assert (set(place.store.discriminators), set(place.store.refused)) == ({"mood"}, {"broken"})
    with ZipFile(place.library.zip("mood", tmp_path)) as made:
        assert made.namelist() == [f"mood/{WEIGHTS_FILE}", "mood/discriminator_config.json"]
    place.library.delete("mood", ME)
    place.library.delete("broken", ME)
    assert place.store.discriminators == {}
    assert place.store.refused == {}
    assert list(place.own.iterdir()) == []


def test_scratch_of_a_killed_process_is_swept(place: Place, tmp_path: Path) -> None:
    for name in (".import-1", ".delete-1", ".import-now"):
        (place.own / name / "x").mkdir(parents=True)
    for name in (".import-1", ".delete-1"):
        os.utime(place.own / name, (0, 0))
    new_place(place.base, tmp_path)
    assert os.listdir(place.own) == [".import-now"]


def test_a_name_that_is_being_trained_cannot_be_imported(place: Place) -> None:
    file = zipped(lora_folder(place), "", without_card)
    with place.store.reserve("mine"), pytest.raises(UserError, match="already something called 'mine'"):
        place.library.import_zip(file, "mine", ME)
    assert place.library.import_zip(file, "mine", ME).name == "mine"


def test_an_import_makes_room_for_itself(place: Place) -> None:
    file = zipped(lora_folder(place), "", without_card)
    place.library.import_zip(file, "old", ME)
    size = sum(path.stat().st_size for path in (place.own / "old").iterdir())
    store = AdapterStore([place.own], place.base, max_disk_bytes=size)
    Library(place.base, store, place.own).import_zip(file, "new", YOU)
    assert os.listdir(place.own) == ["new"]
    tight = AdapterStore([place.own], place.base, max_disk_bytes=size - 1)
    with pytest.raises(UserError, match="visitors may leave"):
        Library(place.base, tight, place.own).import_zip(file, "more", ME)
    assert os.listdir(place.own) == ["new"]


def test_one_merged_zip_is_kept_and_used_again(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.library.import_zip(zipped(lora_folder(place), "", without_card), "mine", ME)
    first = place.library.merged("poetry", tmp_path)
    written = first.stat().st_ino
    assert place.library.merged("poetry", tmp_path).stat().st_ino == written
    second = place.library.merged("mine", tmp_path)
    assert list(tmp_path.rglob("*-merged.zip")) == [second]
