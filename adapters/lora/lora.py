"""LoRA (Hu et al., ICLR 2022, arXiv 2106.09685): a PEFT model to train, plain weights to run or to merge.

    y = W x + scaling * B (A x),   scaling = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora

and DoRA (Liu et al., ICML 2024, arXiv 2402.09353), which trains a magnitude m for each output beside it:

    y = m / ||W + scaling * B A|| * (W x + scaling * B (A x))
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from adapters.adapter_files import read_tensors
from adapters.base_model import BaseModel
from adapters.lora.rows import LoraWeights
from adapters.lora.settings import LoraFile, LoraSettings
from adapters.methods import UserError, from_json

ALL_LINEAR = "all-linear"
MAGNITUDE = "magnitude_vector"
PART = "base_model.model.{}.lora_{}"  # PEFT's name for a part of the LoRA of the module at a path


class Dropout(nn.Module):
    """Dropout that draws from its own generator instead of torch's global one."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.generator: torch.Generator | None = None  # set by whoever trains

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.share
        return x * kept / (1 - self.share)


def lora_model(base: BaseModel, settings: LoraSettings, seed: int) -> PeftModel:
    """The base model wrapped (in place) with a new LoRA; only the LoRA has gradients. Raises UserError."""
    chosen = asdict(settings) | {"target_modules": list(targets(base.model, settings.target_modules))}
    turned = any(isinstance(module, Conv1D) for module in base.model.modules())
    config = LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=turned, **chosen)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = get_peft_model(base.model, config)
    config.base_model_name_or_path = base.id
    if settings.lora_dropout:
        for layer in lora_layers(model):
            layer.lora_dropout["default"] = Dropout(settings.lora_dropout)
    return model


def lora_layers(model: nn.Module) -> list[LoraLayer]:
    """The layers that PEFT put around layers of the base model."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


@contextmanager
def dropping(model: nn.Module) -> Iterator[None]:
    """Turn dropout on in the LoRA while the base model stays in eval mode."""
    layers = [layer for layer in lora_layers(model) if isinstance(layer.lora_dropout["default"], Dropout)]
    switched: list[Any] = [*layers, *(layer.lora_dropout["default"] for layer in layers)]
    for module in switched:
        module.training = True  # of this module alone, not of its children
    try:
        yield
    finally:
        for module in switched:
            module.training = False


def targets(model: PreTrainedModel, asked: Sequence[str]) -> tuple[str, ...]:
    """Path endings of the layers to adapt; see `LoraSettings.target_modules`. Raises UserError."""
    known = linear_endings(model)
    if not asked:  # those of attention
        return tuple(ending for ending in known if "att" in ending.partition(".")[0])
    if tuple(asked) == (ALL_LINEAR,):
        return known
    for name in asked:
        if not any(f".{ending}".endswith(f".{name}") for ending in known):
            names = ", ".join((ALL_LINEAR, *known))
            raise UserError(f"target_modules: the base model has no layer called {name[:60]!r}: choose from {names}.")
    return tuple(asked)


def linear_endings(model: PreTrainedModel) -> tuple[str, ...]:
    """Path endings of the linear layers without the output layer, such as `mlp.up_proj` or `attn.c_attn`."""
    head = model.get_output_embeddings()
    paths = [path for path, module in model.named_modules() if linear_shape(module) and module is not head]
    return tuple(sorted({".".join(path.split(".")[-2:]) for path in paths}))


def target_shapes(model: PreTrainedModel, endings: Sequence[str]) -> dict[str, tuple[int, int]]:
    """Path -> (in, out) of every linear layer with one of these endings. Raises UserError for another layer."""
    shapes: dict[str, tuple[int, int]] = {}
    for path, module in model.named_modules():
        if any(path == target or path.endswith(f".{target}") for target in endings):
            shape = linear_shape(module)
            if shape is None:
                raise UserError(f"target_modules: {path} is not a linear layer of the base model.")
            shapes[path] = shape
    return shapes


def num_parameters(model: PreTrainedModel, settings: LoraSettings) -> int:
    """Parameters of a LoRA, from shapes alone. Raises UserError."""
    shapes = target_shapes(model, targets(model, settings.target_modules)).values()
    return sum(settings.r * (i + o) + (o if settings.use_dora else 0) for i, o in shapes)


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a linear layer, None for any other module."""
    if not isinstance(module, nn.Linear | Conv1D):
        return None
    first, second = module.weight.shape
    return (first, second) if isinstance(module, Conv1D) else (second, first)


def matrix(module: nn.Module) -> Tensor:
    """W (out, in) of a linear layer; GPT-2's layers store it as (in, out)."""
    weight: Tensor = module.weight.detach()  # type: ignore[operator]
    return weight.T if isinstance(module, Conv1D) else weight


def read_lora(folder: Path, config: dict[str, Any], base: BaseModel) -> LoraWeights:
    """The LoRA in `folder` with the adapter_config.json `config`. Raises UserError."""
    known, usual = {field.name for field in fields(LoraFile)}, LoraConfig().to_dict()
    for name, value in config.items():  # all other features of PEFT change what an adapter computes
        if name not in known and value not in (None, [], {}, usual.get(name)):
            raise UserError(f"{name[:60]}: Input should be {usual.get(name)} (got {value!r:.60})")
    file = from_json(LoraFile, {name: value for name, value in config.items() if name in known})
    modules = target_shapes(base.model, file.target_modules)
    if not modules:
        raise UserError(f"target_modules: {base.id} has no layer called {', '.join(file.target_modules)[:100]}.")
    shapes: dict[str, tuple[int, ...]] = {}
    for path, (size_in, size_out) in modules.items():
        shapes |= {PART.format(path, "A.weight"): (file.r, size_in), PART.format(path, "B.weight"): (size_out, file.r)}
        if file.use_dora:
            shapes[PART.format(path, MAGNITUDE)] = (size_out,)
    tensors = read_tensors(folder, shapes)
    scaling = file.lora_alpha / (math.sqrt(file.r) if file.use_rslora else file.r)
    pairs = {p: (tensors[PART.format(p, "A.weight")], tensors[PART.format(p, "B.weight")]) for p in modules}
    sizes = {p: tensors[PART.format(p, MAGNITUDE)] for p in modules if file.use_dora}
    return LoraWeights(scaling, pairs, {p: gain(base.model, p, size, pairs[p], scaling) for p, size in sizes.items()})


def gain(model: PreTrainedModel, path: str, magnitude: Tensor, pair: tuple[Tensor, Tensor], scaling: float) -> Tensor:
    """DoRA's factor for each output (out,): magnitude / ||W + scaling * B A||, over the inputs. Raises UserError.

    Only reads a weight, which nothing ever changes, so it needs no turn of the engine.
    """
    weight, (a, b) = matrix(model.get_submodule(path)).cpu().float(), pair  # there, so that its last bits are the same
    found = magnitude / (weight + scaling * (b @ a)).norm(dim=1)
    if not torch.isfinite(found).all():
        raise UserError(f"This DoRA makes all weights of an output of {path} zero: it cannot be scaled.")
    return found


@torch.no_grad()
def merged_state(base: BaseModel, lora: LoraWeights) -> dict[str, Tensor]:
    """The merged model's state on the CPU; tied weights stay tied. Raises UserError if a merged weight is shared."""
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
