"""Finds adapters by name and hands out their weights, checked.

Knows folders and what is in them; knows nothing of decoding. An adapter is offered only if it was made for the base
model at hand and its files hold exactly what they should; the others are listed with the reason.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.attributes import AttributeLoss
from adapters.base_model import BaseModel
from adapters.discriminator import DISCRIMINATOR_FILE, Discriminator, discriminator_loss, read_discriminator
from adapters.files import CONFIG_FILE, WEIGHTS_FILE, read_config
from adapters.lora import read_lora
from adapters.lora_rows import LoraWeights
from adapters.methods import UserError
from adapters.prefix import PrefixKV, read_prefix

WEIGHTS = Path(__file__).parent / "weights"  # the adapters that come with the project


class Adapter(NamedTuple):
    """A trained adapter on disk."""

    name: str
    kind: str  # "lora" or "prefix"
    folder: Path
    base: str  # id of the base model it was trained on
    num_parameters: int
    num_bytes: int  # of its weights file
    size: int  # r, or num_virtual_tokens


class AdapterStore:
    """The adapters in the sub-folders of `folders` that work with `base`; all are read and checked at once."""

    def __init__(self, folders: Sequence[Path], base: BaseModel) -> None:
        self._base = base
        self._loras: dict[str, LoraWeights] = {}
        self._prefixes: dict[str, PrefixKV] = {}
        self.discriminators: dict[str, Discriminator] = {}
        self.head_folders: dict[str, Path] = {}  # of the discriminators
        self.refused: dict[str, str] = {}
        adapters: dict[str, Adapter] = {}
        for folder in (path for parent in folders if parent.is_dir() for path in sorted(parent.iterdir())):
            name, is_head = folder.name, (folder / DISCRIMINATOR_FILE).is_file()
            if name.startswith(".") or not (is_head or (folder / CONFIG_FILE).is_file()):
                continue
            if name in adapters or name in self.discriminators:
                self.refused[f"{name} ({folder.parent})"] = f"There is already an adapter called {name}: rename one."
                continue
            try:
                if is_head:
                    self.offer(folder)
                else:
                    adapters[name] = self._read(folder)
            except UserError as error:
                self.refused[name] = str(error)
        self.adapters = tuple(adapters.values())

    def offer(self, folder: Path) -> None:
        """Hands out the discriminator in `folder` under the folder's name from now on. Raises UserError."""
        head = read_discriminator(folder, self._base)
        self.head_folders[folder.name] = folder
        self.discriminators = self.discriminators | {folder.name: head}  # whole, whoever is reading it just now

    def is_taken(self, name: str) -> bool:
        """Whether something is called so already, even if it cannot be used."""
        known = {adapter.name for adapter in self.adapters} | self.discriminators.keys() | self.refused.keys()
        return name in known

    def lora(self, name: str) -> LoraWeights:
        """The weights of a LoRA. Raises UserError for an unknown name."""
        if name not in self._loras:
            raise self._unknown("LoRA adapter", name, self._loras)
        return self._loras[name]

    def prefix(self, name: str) -> PrefixKV:
        """The keys and values of a prefix. Raises UserError for an unknown name."""
        if name not in self._prefixes:
            raise self._unknown("prefix adapter", name, self._prefixes)
        return self._prefixes[name]

    def discriminator(self, name: str) -> Discriminator:
        """A linear head. Raises UserError for an unknown name."""
        if name not in self.discriminators:
            raise self._unknown("discriminator", name, self.discriminators)
        return self.discriminators[name]

    def head_bytes(self, name: str) -> int:
        """Of the weights file of a discriminator. Raises UserError for an unknown name."""
        self.discriminator(name)
        return (self.head_folders[name] / WEIGHTS_FILE).stat().st_size

    def class_loss(self, name: str) -> AttributeLoss:
        """The loss of a discriminator's class, named as NAME:CLASS. Raises UserError for an unknown one."""
        head, _, label = name.partition(":")
        return discriminator_loss(self.discriminator(head), label, self._base.device)

    def _unknown(self, kind: str, name: str, known: dict[str, Any]) -> UserError:
        if name in self.refused:
            return UserError(f"The adapter {name!r} cannot be used: {self.refused[name]}")
        return UserError(f"There is no {kind} {name!r}: choose one of {', '.join(known) or 'none'}.")

    def _read(self, folder: Path) -> Adapter:
        config = read_config(folder)
        kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
        if base != self._base.id:
            raise UserError(f"It was made for the base model {str(base)[:100]!r}, not for {self._base.id!r}.")
        if kind == "LORA":
            lora = self._loras[folder.name] = read_lora(folder, config, self._base)
            pairs = list(lora.modules.values())
            magnitudes = sum(gain.numel() for gain in lora.gains.values())
            parameters = sum(a.numel() + b.numel() for a, b in pairs) + magnitudes
            name, size = "lora", pairs[0][0].shape[0]
        elif kind == "PREFIX_TUNING":
            kv = self._prefixes[folder.name] = read_prefix(folder, config, self._base)
            name, size, parameters = "prefix", kv.shape[3], kv.numel()
        else:
            raise UserError(f"Its peft_type is {str(kind)[:40]!r}: only LORA and PREFIX_TUNING can be run.")
        num_bytes = (folder / WEIGHTS_FILE).stat().st_size
        return Adapter(folder.name, name, folder, self._base.id, parameters, num_bytes, size)
