"""A LoRA merged into full weights, as a folder that transformers loads: W + scaling * B A in the place of W.

Knows weights and the files of a model; knows nothing of where adapters come from. The live model is read and never
written: merged weights are new tensors, and what `save_pretrained` notes in a model it notes in a copy of the shell.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO, BaseModel
from adapters.lora_rows import LoraWeights
from adapters.methods import UserError


def write_merged(base: BaseModel, lora: LoraWeights, name: str, folder: Path) -> None:
    """Writes the base model with a LoRA merged into it, and its tokenizer and card. Raises UserError.

    Equal to PEFT's `merge_and_unload` in float32; in another dtype the sum is rounded once.
    """
    shell: Any = copy.copy(base.model)  # save_pretrained writes into the config of the model it saves
    shell.config = copy.deepcopy(base.model.config)
    shell.save_pretrained(folder, state_dict=merged_state(base, lora))
    base.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card(base, name), "utf-8")


@torch.no_grad()
def merged_state(base: BaseModel, lora: LoraWeights) -> dict[str, Tensor]:
    """The state of the merged model on the CPU; weights that are the same tensor in the base are so here too.

    Raises UserError where a merged weight would also change another layer.
    """
    kept: dict[int, Tensor] = {}
    merged: dict[str, Tensor] = {}
    state = base.model.state_dict()
    shared = [tensor.data_ptr() for tensor in state.values()]
    for name, weight in state.items():
        path = name.removesuffix(".weight")
        if path in lora.modules and name != path:
            if shared.count(weight.data_ptr()) > 1:
                raise UserError(f"{path} shares its weights with another layer, so a LoRA cannot be merged into it.")
            a, b = lora.modules[path]
            delta = lora.scaling * (b @ a)  # (out, in), float32
            turned = delta.T if isinstance(base.model.get_submodule(path), Conv1D) else delta
            merged[name] = (weight.cpu().float() + turned.cpu()).to(weight.dtype).contiguous()
        else:
            merged[name] = kept.setdefault(weight.data_ptr(), weight.cpu().contiguous())
    return merged


def card(base: BaseModel, name: str) -> str:
    """The README.md of the merged model. The embedded model is named by where it comes from, as the Hub wants it."""
    return f"""---
base_model: {EMBEDDED_REPO if base.id == EMBEDDED_ID else base.id}
library_name: transformers
pipeline_tag: text-generation
tags:
- steerboard
---

# {name}, merged

`{base.id}` with the LoRA `{name}` added to its weights: W + scaling * B A in the place of W. It is a plain model and
needs no PEFT. What the LoRA was trained on and how well it does stands in the card of the LoRA itself.
"""
