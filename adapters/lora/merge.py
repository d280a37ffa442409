"""A LoRA merged into full weights, as a folder that transformers loads.

    W + scaling * B A instead of W; for a DoRA g (W + scaling * B A), with a gain g for each output

The live model is only read: merged weights are new tensors, and `save_pretrained` writes into the config of a copy of
the shell. So no turn of the engine is needed.
"""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.pytorch_utils import Conv1D

from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO, BaseModel
from adapters.lora.rows import LoraWeights
from adapters.methods import UserError


def write_merged(base: BaseModel, lora: LoraWeights, name: str, folder: Path) -> None:
    """Write the base model with a LoRA merged into it, its tokenizer and a card. Raises UserError.

    Equal to PEFT's `merge_and_unload` in float32; in another dtype the sum is rounded once.
    """
    shell: Any = copy.copy(base.model)  # save_pretrained writes into the config of the model it saves
    shell.config = copy.deepcopy(base.model.config)
    shell.save_pretrained(folder, state_dict=merged_state(base, lora))
    base.tokenizer.save_pretrained(folder)
    (folder / "README.md").write_text(card(base, name), "utf-8")


@torch.no_grad()
def merged_state(base: BaseModel, lora: LoraWeights) -> dict[str, Tensor]:
    """The state of the merged model on the CPU; tied weights stay tied.

    Raises UserError if a merged weight would also change another layer.
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
            turned = isinstance(base.model.get_submodule(path), Conv1D)  # GPT-2 stores (in, out)
            whole = added(weight.cpu().float().T if turned else weight.cpu().float(), lora, path)
            merged[name] = (whole.T if turned else whole).to(weight.dtype).contiguous()
        else:
            merged[name] = kept.setdefault(weight.data_ptr(), weight.cpu().contiguous())
    return merged


def added(weight: Tensor, lora: LoraWeights, path: str) -> Tensor:
    """The weight (out, in) of the module at `path` under a LoRA: W + scaling * B A, times the gains of a DoRA.

    >>> lora = LoraWeights(1.0, {"q": (torch.tensor([[0.5, 0.6]]), torch.tensor([[0.1], [0.2]]))})
    >>> added(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), lora, "q")
    tensor([[1.0500, 2.0600],
            [3.1000, 4.1200]])
    """
    a, b = lora.modules[path]
    whole = weight + lora.scaling * (b @ a).to(weight.device)
    gain = lora.gains.get(path)
    return whole if gain is None else gain.to(whole.device)[:, None] * whole


def card(base: BaseModel, name: str) -> str:
    """The README.md of the merged model; the embedded model is named by its Hub repository."""
    return f"""---
base_model: {EMBEDDED_REPO if base.id == EMBEDDED_ID else base.id}
library_name: transformers
pipeline_tag: text-generation
tags:
- steerboard
---

# {name}, merged

`{base.id}` with the LoRA `{name}` added to its weights. It is a plain model and needs no PEFT.
The card of the LoRA tells its training data and its scores.
"""
