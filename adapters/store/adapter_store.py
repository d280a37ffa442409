"""Finds adapters by name and hands out their weights, checked.

Knows folders and what is in them; knows nothing of decoding. An adapter is offered only if it was made for the base
model at hand and its files hold exactly what they should; the others are listed with the reason.
"""

import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from adapters.adapter_files import CONFIG_FILE, MAX_OWN, WEIGHTS_FILE, check_name, read_config
from adapters.base_model import BaseModel
from adapters.lora.lora import read_lora
from adapters.lora.rows import LoraWeights
from adapters.methods import UserError
from adapters.pplm.bags import AttributeLoss
from adapters.pplm.discriminator import DISCRIMINATOR_FILE, Discriminator, discriminator_loss, read_discriminator
from adapters.prefix.prefix import PrefixKV, read_prefix

WEIGHTS = Path(__file__).parents[1] / "weights"  # the adapters that come with the project


class Adapter(NamedTuple):
    """A trained adapter on disk."""

    name: str
    kind: str  # "lora" or "prefix"
    folder: Path
    base: str  # id of the base model it was trained on
    num_parameters: int
    num_bytes: int  # of its weights file
    size: int  # r, or num_virtual_tokens


class Offered(NamedTuple):
    """What is offered at one moment. A offered is replaced whole and never changed: whoever reads it sees all of it."""

    adapters: dict[str, Adapter]
    weights: dict[str, LoraWeights | PrefixKV]  # of the adapters
    discriminators: dict[str, Discriminator]
    discriminator_folders: dict[str, Path]  # of the discriminators
    refused: dict[str, str]  # name -> why it cannot be used

    def without(self, name: str) -> "Offered":
        """The same without whatever is called so."""
        return Offered(*({key: value for key, value in part.items() if key != name} for part in self))  # type: ignore[arg-type]


class AdapterStore:
    """The adapters in the sub-folders of `folders` that work with `base`; all are read and checked at once.

    Safe to read in every thread while adapters come and go: what somebody was handed stays as it was.
    """

    def __init__(self, folders: Sequence[Path], base: BaseModel) -> None:
        self._base, self._folders = base, tuple(folders)
        self._changing = threading.Lock()  # one change after the other; readers need no lock
        self._reserved: set[str] = set()  # names of what is being trained or imported
        self._offered = Offered({}, {}, {}, {}, {})
        for folder in (path for parent in folders if parent.is_dir() for path in sorted(parent.iterdir())):
            if folder.name.startswith(".") or not any(
                (folder / f).is_file() for f in (CONFIG_FILE, DISCRIMINATOR_FILE)
            ):
                continue
            try:
                self.offer(folder)
            except UserError as error:
                taken = folder.name in self.names
                key = f"{folder.name} ({folder.parent})" if taken else folder.name
                self._offered = self._offered._replace(refused=self.refused | {key: str(error)})

    @property
    def adapters(self) -> tuple[Adapter, ...]:
        return tuple(self._offered.adapters.values())

    @property
    def discriminators(self) -> dict[str, Discriminator]:
        return self._offered.discriminators

    @property
    def discriminator_folders(self) -> dict[str, Path]:
        """Of the discriminators."""
        return self._offered.discriminator_folders

    @property
    def refused(self) -> dict[str, str]:
        """Name -> why it cannot be used."""
        return self._offered.refused

    @property
    def names(self) -> tuple[str, ...]:
        """Of everything that can be used."""
        offered = self._offered
        return (*offered.adapters, *offered.discriminators)

    def check(self, folder: Path) -> None:
        """Reads what is in `folder` as `offer` does, and offers nothing. Raises UserError."""
        self._read_any(folder)

    def offer(self, folder: Path) -> None:
        """Hands out the adapter or discriminator in `folder` under the folder's name from now on.

        What was offered from the same folder before is replaced; texts that are being written go on with the weights
        that they began with. Raises UserError where it cannot be used or the name is another folder's; then nothing has
        changed.
        """
        name, read = folder.name, self._read_any(folder)
        with self._changing:
            before = self._offered
            if self._folder(before, name) not in (None, folder):
                raise UserError(f"There is already an adapter called {name}: rename one.")
            offered = before.without(name)
            if isinstance(read, Discriminator):
                offered.discriminators[name], offered.discriminator_folders[name] = read, folder
            else:
                offered.adapters[name], offered.weights[name] = read
            self._offered = offered

    def withdraw(self, name: str) -> None:
        """Offers what is called so no longer; it may be unknown. Texts that are being written go on."""
        with self._changing:
            self._offered = self._offered.without(name)

    def find(self, name: str) -> Adapter:
        """The adapter called `name`. Raises UserError for an unknown one."""
        adapters = self._offered.adapters
        if name not in adapters:
            raise self._unknown("adapter", name, list(adapters))
        return adapters[name]

    def is_taken(self, name: str) -> bool:
        """Whether something has this name, even if it cannot be used or is still being made."""
        return name in (*self.names, *self.refused, *self._reserved)

    def reserve(self, name: str) -> ExitStack:
        """Keep a name for what is being made, until the returned stack is closed or its `with` block ends.

        Raises UserError for a name that is malformed or taken, and where visitors have left too much already.
        """
        check_name(name)
        with self._changing:
            if self.is_taken(name) or any((folder / name).exists() for folder in self._folders):
                raise UserError(f"There is already something called {name!r}: choose another name.")
            if self._num_own() + len(self._reserved) >= MAX_OWN:
                raise UserError(f"There are {MAX_OWN} adapters of your own already: delete one first.")
            self._reserved.add(name)
        stack = ExitStack()
        stack.callback(self._reserved.discard, name)
        return stack

    def lora(self, name: str) -> LoraWeights:
        """The weights of a LoRA. Raises UserError for an unknown name."""
        weights = self._offered.weights
        found = weights.get(name)
        if not isinstance(found, LoraWeights):
            raise self._unknown("LoRA adapter", name, [n for n, w in weights.items() if isinstance(w, LoraWeights)])
        return found

    def prefix(self, name: str) -> PrefixKV:
        """The keys and values of a prefix. Raises UserError for an unknown name."""
        weights = self._offered.weights
        found = weights.get(name)
        if found is None or isinstance(found, LoraWeights):
            known = [n for n, w in weights.items() if not isinstance(w, LoraWeights)]
            raise self._unknown("prefix adapter", name, known)
        return found

    def discriminator(self, name: str) -> Discriminator:
        """A linear head. Raises UserError for an unknown name."""
        found = self.discriminators.get(name)
        if found is None:
            raise self._unknown("discriminator", name, list(self.discriminators))
        return found

    def discriminator_bytes(self, name: str) -> int:
        """Of the weights file of a discriminator. Raises UserError for an unknown name."""
        self.discriminator(name)
        return (self.discriminator_folders[name] / WEIGHTS_FILE).stat().st_size

    def class_loss(self, name: str) -> AttributeLoss:
        """The loss of a discriminator's class, named as NAME:CLASS. Raises UserError for an unknown one."""
        head, _, label = name.partition(":")
        return discriminator_loss(self.discriminator(head), label, self._base.device)

    def _num_own(self) -> int:
        """Adapters and discriminators in the last folder, where visitors leave theirs."""
        own = self._folders[-1] if self._folders else None
        return sum(1 for path in own.iterdir() if not path.name.startswith(".")) if own and own.is_dir() else 0

    @staticmethod
    def _folder(offered: Offered, name: str) -> Path | None:
        """Where what is called so comes from."""
        adapter = offered.adapters.get(name)
        return offered.discriminator_folders.get(name) if adapter is None else adapter.folder

    def _unknown(self, kind: str, name: str, known: Sequence[str]) -> UserError:
        if name in self.refused:
            return UserError(f"The adapter {name!r} cannot be used: {self.refused[name]}")
        return UserError(f"There is no {kind} {name!r}: choose one of {', '.join(known) or 'none'}.")

    def _read_any(self, folder: Path) -> "Discriminator | tuple[Adapter, LoraWeights | PrefixKV]":
        is_discriminator = (folder / DISCRIMINATOR_FILE).is_file()
        return read_discriminator(folder, self._base) if is_discriminator else self._read(folder)

    def _read(self, folder: Path) -> tuple[Adapter, LoraWeights | PrefixKV]:
        config = read_config(folder)
        kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
        if base != self._base.id:
            raise UserError(f"It was made for the base model {str(base)[:100]!r}, not for {self._base.id!r}.")
        weights: LoraWeights | PrefixKV
        if kind == "LORA":
            weights = read_lora(folder, config, self._base)
            pairs = list(weights.modules.values())
            magnitudes = sum(gain.numel() for gain in weights.gains.values())
            parameters = sum(a.numel() + b.numel() for a, b in pairs) + magnitudes
            name, size = "lora", pairs[0][0].shape[0]
        elif kind == "PREFIX_TUNING":
            weights = read_prefix(folder, config, self._base)
            name, size, parameters = "prefix", weights.shape[3], weights.numel()
        else:
            raise UserError(f"Its peft_type is {str(kind)[:40]!r}: only LORA and PREFIX_TUNING can be run.")
        num_bytes = (folder / WEIGHTS_FILE).stat().st_size
        return Adapter(folder.name, name, folder, self._base.id, parameters, num_bytes, size), weights
