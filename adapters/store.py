"""Finds adapters by name and hands out their weights, checked.

Knows folders and what is in them; knows nothing of decoding. An adapter is offered only if it was made for the base
model at hand and its files hold exactly what they should; the others are listed with the reason.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from adapters.base_model import BaseModel
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
        self.refused: dict[str, str] = {}
        adapters: dict[str, Adapter] = {}
        for folder in (path for parent in folders if parent.is_dir() for path in sorted(parent.iterdir())):
            name = folder.name
            if name.startswith(".") or not (folder / CONFIG_FILE).is_file():
                continue
            if name in adapters:
                self.refused[f"{name} ({folder.parent})"] = f"There is already an adapter called {name}: rename one."
                continue
            try:
                adapters[name] = self._read(folder)
            except UserError as error:
                self.refused[name] = str(error)
        self.adapters = tuple(adapters.values())

    def lora(self, name: str) -> LoraWeights:
        """The weights of a LoRA. Raises UserError for an unknown name."""
        if name not in self._loras:
            raise self._unknown("LoRA", name, self._loras)
        return self._loras[name]

    def prefix(self, name: str) -> PrefixKV:
        """The keys and values of a prefix. Raises UserError for an unknown name."""
        if name not in self._prefixes:
            raise self._unknown("prefix", name, self._prefixes)
        return self._prefixes[name]

    def _unknown(self, kind: str, name: str, known: dict[str, Any]) -> UserError:
        if name in self.refused:
            return UserError(f"The adapter {name!r} cannot be used: {self.refused[name]}")
        return UserError(f"There is no {kind} adapter {name!r}: choose one of {', '.join(known) or 'none'}.")

    def _read(self, folder: Path) -> Adapter:
        config = read_config(folder)
        kind, base = config.get("peft_type"), config.get("base_model_name_or_path")
        if base != self._base.id:
            raise UserError(f"It was made for the base model {str(base)[:100]!r}, not for {self._base.id!r}.")
        if kind == "LORA":
            lora = self._loras[folder.name] = read_lora(folder, config, self._base)
            pairs = list(lora.modules.values())
            name, size, parameters = "lora", pairs[0][0].shape[0], sum(a.numel() + b.numel() for a, b in pairs)
        elif kind == "PREFIX_TUNING":
            kv = self._prefixes[folder.name] = read_prefix(folder, config, self._base)
            name, size, parameters = "prefix", kv.shape[3], kv.numel()
        else:
            raise UserError(f"Its peft_type is {str(kind)[:40]!r}: only LORA and PREFIX_TUNING can be run.")
        num_bytes = (folder / WEIGHTS_FILE).stat().st_size
        return Adapter(folder.name, name, folder, self._base.id, parameters, num_bytes, size)
