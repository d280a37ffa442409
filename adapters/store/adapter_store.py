"""Adapters and discriminators on disk: found by name, checked when they are offered, read when they are used.

An adapter is offered only if it was made for the base model at hand and its files hold exactly the tensors that its
config asks for. The others are listed with the reason. Nothing here runs the base model.
"""

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple, TypeVar

import torch

from adapters.adapter_files import CONFIG_FILE, WEIGHTS_FILE, check_name, note_use, read_config, sweep, to_remove
from adapters.base_model import BaseModel
from adapters.lora.lora import read_lora
from adapters.lora.rows import LoraWeights
from adapters.methods import UserError
from adapters.pplm.bags import AttributeLoss
from adapters.pplm.discriminator import (
    DISCRIMINATOR_FILE,
    Discriminator,
    class_index,
    discriminator_loss,
    read_discriminator,
)
from adapters.prefix.prefix import PrefixKV, read_prefix
from adapters.store.weight_cache import WeightCache, Weights, pieces, sha256, weights_digest
from adapters.vector.shifts import Vector

T = TypeVar("T")
WEIGHTS = Path(__file__).parents[1] / "weights"  # the adapters that come with the project
KINDS = {"": "adapter", "lora": "LoRA adapter", "prefix": "prefix adapter"}
MAX_OWN = 200  # adapters and discriminators that visitors may leave: everybody may add to them
FLOAT_BYTES = 4  # of a weight in memory


class Adapter(NamedTuple):
    name: str
    kind: str  # "lora" or "prefix"
    folder: Path
    base: str  # id of the base model it was trained on
    num_parameters: int
    num_bytes: int  # of its weights file
    size: int  # r, or num_virtual_tokens
    digest: str  # of its weights as they run


class Found(NamedTuple):
    """What there is in a folder, or why it cannot be used."""

    folder: Path
    content: Adapter | Discriminator | str


class AdapterStore:
    """The adapters and discriminators in the sub-folders of `folders`; visitors leave theirs in the last one.

    Safe to read in every thread while adapters come and go. A reader keeps the weights that it was handed.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        base: BaseModel,
        max_cache_bytes: int = 500_000_000,
        max_disk_bytes: int | None = None,
    ) -> None:
        """`max_cache_bytes`: of unused weights in memory. `max_disk_bytes`: of what visitors leave; None: no limit."""
        self._base, self._folders, self._max_disk_bytes = base, tuple(folders), max_disk_bytes
        self._changing = threading.RLock()  # one change after the other; readers need no lock
        self._reserved: set[str] = set()  # names of what is being trained or imported
        self._cache = WeightCache(max_cache_bytes)
        self.far_check: Callable[[Path], Adapter] | None = None  # set where the weights of the base are elsewhere
        self._offered: dict[str, Found] = {}  # replaced as a whole, never changed
        for parent in (parent for parent in folders if parent.is_dir()):
            sweep(parent)
            for folder in sorted(parent.glob("[!.]*/")):
                if (folder / CONFIG_FILE).is_file() or (folder / DISCRIMINATOR_FILE).is_file():
                    try:
                        self._offer(folder)
                    except UserError as error:
                        name = f"{folder.name} ({parent})" if folder.name in self.names else folder.name
                        self._offered[name] = Found(folder, str(error))

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        return tuple(self._of(Adapter).values())

    @property
    def discriminators(self) -> dict[str, Discriminator]:
        return self._of(Discriminator)

    @property
    def refused(self) -> dict[str, str]:
        """Name -> why it cannot be used."""
        return self._of(str)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, found in self._offered.items() if not isinstance(found.content, str))

    @property
    def hashes(self) -> dict[Path, str]:
        """The folders of what can be used, with the hashes of their weights."""
        found = {adapter.folder: adapter.digest for adapter in self.adapters}
        for name, head in self.discriminators.items():
            pushes = [(vector.layer, vector.push) for vector in head.vectors]
            found[self.folder(name)] = sha256(*pieces([("weight", head.weight), ("bias", head.bias), *pushes]))
        return found

    def follow(self, hashes: Mapping[Path, str]) -> None:
        """Offer what `hashes` has and nothing else. Raises UserError where the files have changed since."""
        own = self.hashes
        for folder in own.keys() - hashes.keys():
            self.withdraw(folder.name)
        for folder in (folder for folder, digest in hashes.items() if own.get(folder) != digest):
            self._offer(folder)

    def find(self, name: str, kind: str = "") -> Adapter:
        """The adapter called `name`, of this kind if one is given. Raises UserError for an unknown one."""
        known = {adapter.name: adapter for adapter in self.adapters if kind in ("", adapter.kind)}
        if name not in known:
            raise self._unknown(KINDS[kind], name, list(known))
        return known[name]

    def lora(self, name: str) -> LoraWeights:
        """Weights of a LoRA. Raises UserError for an unknown name, or where its files have changed."""
        weights = self._weights(self.find(name, "lora"))
        assert isinstance(weights, LoraWeights)
        return weights

    def prefix(self, name: str) -> PrefixKV:
        """Keys and values of a prefix. Raises UserError for an unknown name, or where its files have changed."""
        weights = self._weights(self.find(name, "prefix"))
        assert not isinstance(weights, LoraWeights)
        return weights

    def discriminator(self, name: str) -> Discriminator:
        """A discriminator. Raises UserError for an unknown name."""
        found = self.discriminators.get(name)
        if found is None:
            raise self._unknown("discriminator", name, list(self.discriminators))
        return found

    def class_loss(self, name: str, device: torch.device | None = None) -> AttributeLoss:
        """Loss of a discriminator's class, named as NAME:CLASS. Raises UserError for an unknown one."""
        name, _, label = name.partition(":")
        loss = discriminator_loss(self.discriminator(name), label, device or self._base.device)
        note_use(self.folder(name))
        return loss

    def vector(self, name: str) -> Vector:
        """The steering vector of a discriminator's class, named as NAME:CLASS. Raises UserError for an unknown one."""
        name, _, label = name.partition(":")
        found = self.discriminator(name)
        place = class_index(found, label)
        if not found.vectors:
            raise UserError(f"{name!r} was trained without steering vectors: train it again.")
        note_use(self.folder(name))
        return found.vectors[place]

    def folder(self, name: str) -> Path:
        """Folder of an adapter or a discriminator. Raises UserError for an unknown name."""
        return self._offered[name].folder if name in self.names else self.find(name).folder

    def check(self, folder: Path) -> "Discriminator | Adapter":
        """Read the files in `folder` without offering them. Raises UserError."""
        is_discriminator = (folder / DISCRIMINATOR_FILE).is_file()
        if is_discriminator:
            return read_discriminator(folder, self._base)
        return self._read(folder)[0] if self.far_check is None else self.far_check(folder)

    def offer(self, folder: Path) -> None:
        """Offer what is in `folder` by its name, in place of an earlier one. Raises UserError; then nothing changes."""
        self._offer(folder)
        with suppress(UserError):  # a training may have left more than was estimated
            self.make_room(0, keep=folder.name)

    def withdraw(self, name: str) -> None:
        """Stop offering `name`, which may be unknown. Texts that are being written go on."""
        with self._changing:
            self._offered = self._without(name)

    def is_taken(self, name: str) -> bool:
        """Whether something has this name, even if it cannot be used or is still being made."""
        return name in (*self._offered, *self._reserved)

    def reserve(self, name: str) -> ExitStack:
        """Keep a name for what is being made, until the returned stack is closed or its `with` block ends.

        Raises UserError for a name that is malformed or taken, and where visitors have left too much already.
        """
        check_name(name)
        with self._changing:
            if self.is_taken(name) or any((folder / name).exists() for folder in self._folders):
                raise UserError(f"There is already something called {name!r}: choose another name.")
            num_own = sum(1 for _ in self._folders[-1].glob("[!.]*/")) if self._folders else 0
            if num_own + len(self._reserved) >= MAX_OWN:
                raise UserError(f"There are {MAX_OWN} adapters of your own already: delete one first.")
            self._reserved.add(name)
        stack = ExitStack()
        stack.callback(self._reserved.discard, name)
        return stack

    def remove(self, folder: Path) -> None:
        """Stop offering what is in `folder`, and delete it."""
        with self._changing:
            self.withdraw(folder.name)
            scratch = Path(tempfile.mkdtemp(prefix=".delete-", dir=folder.parent))
            folder.rename(scratch / folder.name)  # at once, so that nobody reads a part of it
        shutil.rmtree(scratch, ignore_errors=True)

    def removed_for(self, num_bytes: int, keep: str = "") -> tuple[str, ...]:
        """Names that `make_room` would remove, the longest unused first. Raises UserError as it does."""
        if self._max_disk_bytes is None:
            return ()
        return to_remove(self._folders[-1], num_bytes, self._max_disk_bytes, {*self._reserved, keep})

    def room_line(self, num_bytes: int) -> str:
        """One line that says what `make_room` would remove; empty for nothing. Raises UserError as it does."""
        names = self.removed_for(num_bytes)
        return f"To make room on the disk, the longest unused go first: {', '.join(names)}." if names else ""

    def make_room(self, num_bytes: int, keep: str = "") -> None:
        """Remove what visitors have not used for longest, but not `keep`, until so many bytes fit. Raises UserError."""
        with self._changing:
            for name in self.removed_for(num_bytes, keep):
                self.remove(self._folders[-1] / name)

    def _offer(self, folder: Path) -> None:
        name, read = folder.name, self.check(folder)
        with self._changing:
            if name in self.names and self.folder(name) != folder:
                raise UserError(f"There is already an adapter called {name}: rename one.")
            self._offered = self._without(name) | {name: Found(folder, read)}

    def _without(self, name: str) -> dict[str, Found]:
        """What is offered but `name`, whose weights are forgotten."""
        if adapter := self._of(Adapter).get(name):
            self._cache.drop(adapter.digest)
        return {other: found for other, found in self._offered.items() if other != name}

    def _of(self, kind: type[T]) -> dict[str, T]:
        return {name: found.content for name, found in self._offered.items() if isinstance(found.content, kind)}

    def _unknown(self, kind: str, name: str, known: Sequence[str]) -> UserError:
        if name in self.refused:
            return UserError(f"The adapter {name!r} cannot be used: {self.refused[name]}")
        return UserError(f"There is no {kind} {name!r}: choose one of {', '.join(known) or 'none'}.")

    def _weights(self, adapter: Adapter) -> Weights:
        """Weights from memory, or from disk, checked again. Raises UserError unless they are as they were offered."""

        def read() -> Weights:
            try:
                found, weights = self._read(adapter.folder)
            except UserError as error:
                raise UserError(f"The files of {adapter.name} have changed on disk: {error}") from error
            if found.digest != adapter.digest:
                raise UserError(f"The files of {adapter.name} have changed on disk: restart the app to use them.")
            return weights

        note_use(adapter.folder)
        return self._cache.get(adapter.digest, FLOAT_BYTES * adapter.num_parameters, read)

    def _read(self, folder: Path) -> tuple[Adapter, Weights]:
        config = read_config(folder)
        kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
        if base != self._base.id:
            raise UserError(f"It was made for the base model {str(base)[:100]!r}, not for {self._base.id!r}.")
        weights: Weights
        if kind == "LORA":
            weights = read_lora(folder, config, self._base)
            pairs = list(weights.modules.values())
            name, size = "lora", pairs[0][0].shape[0]
            parameters = sum(tensor.numel() for part in (*pairs, weights.gains.values()) for tensor in part)
        elif kind == "PREFIX_TUNING":
            weights = read_prefix(folder, config, self._base)
            name, size, parameters = "prefix", weights.shape[3], weights.numel()
        else:
            raise UserError(f"Its peft_type is {str(kind)[:40]!r}: only LORA and PREFIX_TUNING can be run.")
        num_bytes = (folder / WEIGHTS_FILE).stat().st_size
        digest = weights_digest(weights)
        return Adapter(folder.name, name, folder, self._base.id, parameters, num_bytes, size, digest), weights
