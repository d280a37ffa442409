"""LoRA (Hu et al., ICLR 2022, arXiv 2106.09685): a PEFT model to train, and plain weights to run.

    y = W x + scaling * B (A x),   scaling = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora

and DoRA (Liu et al., ICML 2024, arXiv 2402.09353), which trains a magnitude m for each output beside it:

    y = m / ||W + scaling * B A|| * (W x + scaling * B (A x))

Knows the base model's modules; knows nothing of texts or of decoding.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from adapters.adapter_files import read_tensors
from adapters.base_model import BaseModel
from adapters.lora.rows import LoraWeights
from adapters.methods import STRICT, UserError, from_json

ALL_LINEAR = "all-linear"
MAGNITUDE = "magnitude_vector"
Rank = Annotated[int, Field(ge=1, le=256)]
Alpha = Annotated[float, Field(gt=0, le=10_000)]


@dataclass(frozen=True, config=STRICT)
class LoraSettings:
    """What is trained."""

    r: Rank = 8  # rank of the update
    lora_alpha: Alpha = 16.0  # strength: the update is scaled by lora_alpha / r
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of a layer's inputs that each step leaves out
    # Path endings of the adapted layers; none: every attention projection; "all-linear": all but the output layer.
    target_modules: Annotated[tuple[str, ...], Field(max_length=256)] = ()
    use_rslora: bool = False  # scale by lora_alpha / sqrt(r)
    use_dora: bool = False  # train the length of each output's weights apart from their direction


@dataclass(frozen=True, config=STRICT)
class LoraFile:
    """The fields of adapter_config.json. Those that change what the adapter computes must keep their neutral value."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: str
    r: Rank
    lora_alpha: Alpha
    target_modules: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]  # a string would be a pattern
    use_rslora: bool = False
    task_type: Literal["CAUSAL_LM"] | None = None
    inference_mode: bool = True
    fan_in_fan_out: bool = False  # how the base stores its weight; the update itself is the same
    lora_dropout: float = 0.0  # at training only
    peft_version: str | None = None
    revision: str | None = None
    init_lora_weights: Literal[True, False, "gaussian"] = True  # others start from changed base weights
    bias: Literal["none"] = "none"
    use_dora: bool = False
    lora_bias: Literal[False] = False
    use_qalora: Literal[False] = False
    qalora_group_size: int = 16
    ensure_weight_tying: bool = False
    megatron_core: str | None = None
    rank_pattern: Annotated[dict[str, int], Field(max_length=0)] = Field(default_factory=dict)
    alpha_pattern: Annotated[dict[str, float], Field(max_length=0)] = Field(default_factory=dict)
    loftq_config: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    layers_pattern: Annotated[list[str], Field(max_length=0)] | None = None
    auto_mapping: None = None
    exclude_modules: None = None
    modules_to_save: None = None
    layers_to_transform: None = None
    layer_replication: None = None
    megatron_config: None = None
    trainable_token_indices: None = None
    target_parameters: None = None
    eva_config: None = None
    corda_config: None = None
    lora_ga_config: None = None
    velora_config: None = None
    monteclora_config: None = None
    kasa_config: None = None
    arrow_config: None = None
    use_bdlora: None = None
    alora_invocation_tokens: None = None


class Dropout(nn.Module):
    """Leaves out a share of its inputs, drawn from a generator of its own instead of torch's global one."""

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
    """The base model wrapped (in place) with a fresh LoRA; only the LoRA asks for gradients. Raises UserError."""
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.r,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # PEFT takes any number
        lora_dropout=settings.lora_dropout,
        target_modules=list(targets(base.model, settings.target_modules)),
        use_rslora=settings.use_rslora,
        use_dora=settings.use_dora,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in base.model.modules()),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = get_peft_model(base.model, config)
    config.base_model_name_or_path = base.id
    if settings.lora_dropout:
        for layer in lora_layers(model):
            layer.lora_dropout["default"] = Dropout(settings.lora_dropout)
    return model


def lora_layers(model: nn.Module) -> list[LoraLayer]:
    """The layers that PEFT put around those of the base model."""
    return [module for module in model.modules() if isinstance(module, LoraLayer)]


@contextmanager
def dropping(model: nn.Module) -> Iterator[None]:
    """Dropout is on in the LoRA, while the base model stays as it is in eval mode."""
    layers = [layer for layer in lora_layers(model) if isinstance(layer.lora_dropout["default"], Dropout)]
    switched: list[Any] = [*layers, *(layer.lora_dropout["default"] for layer in layers)]
    for module in switched:
        module.training = True  # of this module alone, not of what it holds
    try:
        yield
    finally:
        for module in switched:
            module.training = False


def targets(model: PreTrainedModel, asked: Sequence[str]) -> tuple[str, ...]:
    """Path endings of the layers to adapt; see `LoraSettings.target_modules`. Raises UserError."""
    if not asked:
        return attention_projections(model)
    known = linear_endings(model)
    if tuple(asked) == (ALL_LINEAR,):
        return known
    for name in asked:
        if not any(f".{ending}".endswith(f".{name}") for ending in known):
            names = ", ".join((ALL_LINEAR, *known))
            raise UserError(f"target_modules: the base model has no layer called {name[:60]!r}: choose from {names}.")
    return tuple(asked)


def linear_endings(model: PreTrainedModel) -> tuple[str, ...]:
    """Path endings of the linear layers, such as `mlp.up_proj` or `attn.c_attn`; without the output layer."""
    head = model.get_output_embeddings()
    paths = [path for path, module in model.named_modules() if linear_shape(module) and module is not head]
    return tuple(sorted({".".join(path.split(".")[-2:]) for path in paths}))


def attention_projections(model: PreTrainedModel) -> tuple[str, ...]:
    """Those of the endings that stand in the attention blocks, such as `self_attn.q_proj` or `attn.c_attn`."""
    return tuple(ending for ending in linear_endings(model) if "att" in ending.partition(".")[0])


def target_shapes(model: PreTrainedModel, endings: Sequence[str]) -> dict[str, tuple[int, int]]:
    """(in, out) of every linear layer whose path ends so, by its path. Raises UserError for one that is not linear."""
    shapes: dict[str, tuple[int, int]] = {}
    for path, module in model.named_modules():
        if any(path == target or path.endswith(f".{target}") for target in endings):
            shape = linear_shape(module)
            if shape is None:
                raise UserError(f"target_modules: {path} is not a linear layer of the base model.")
            shapes[path] = shape
    return shapes


def num_parameters(model: PreTrainedModel, settings: LoraSettings) -> int:
    """Of a LoRA, from shapes alone. Raises UserError."""
    shapes = target_shapes(model, targets(model, settings.target_modules)).values()
    return sum(settings.r * (i + o) + (o if settings.use_dora else 0) for i, o in shapes)


def linear_shape(module: nn.Module) -> tuple[int, int] | None:
    """(in, out) of a linear layer, None for any other module."""
    if isinstance(module, nn.Linear):
        return module.in_features, module.out_features
    if isinstance(module, Conv1D):  # GPT-2's linear layer, which stores its weight as (in, out)
        return module.weight.shape[0], module.weight.shape[1]
    return None


def read_lora(folder: Path, config: dict[str, Any], base: BaseModel) -> LoraWeights:
    """The LoRA in `folder`, whose adapter_config.json says `config`. Raises UserError with one line."""
    file = from_json(LoraFile, config)
    modules = target_shapes(base.model, file.target_modules)
    if not modules:
        raise UserError(f"target_modules: {base.id} has no layer called {', '.join(file.target_modules)[:100]}.")
    shapes: dict[str, tuple[int, ...]] = {}
    for path, (size_in, size_out) in modules.items():
        shapes[tensor_name(path, "A.weight")] = (file.r, size_in)
        shapes[tensor_name(path, "B.weight")] = (size_out, file.r)
        if file.use_dora:
            shapes[tensor_name(path, MAGNITUDE)] = (size_out,)
    tensors = read_tensors(folder, shapes)
    scaling = file.lora_alpha / (math.sqrt(file.r) if file.use_rslora else file.r)
    pairs = {p: (tensors[tensor_name(p, "A.weight")], tensors[tensor_name(p, "B.weight")]) for p in modules}
    if not file.use_dora:
        return LoraWeights(scaling, pairs)
    sizes = {path: tensors[tensor_name(path, MAGNITUDE)] for path in modules}
    return LoraWeights(scaling, pairs, {p: gain(base.model, p, sizes[p], pairs[p], scaling) for p in modules})


def gain(model: PreTrainedModel, path: str, magnitude: Tensor, pair: tuple[Tensor, Tensor], scaling: float) -> Tensor:
    """DoRA's factor for each output (out,): magnitude / ||W + scaling * B A||, over the inputs. Raises UserError."""
    layer, (a, b) = model.get_submodule(path), pair
    weight = layer.weight.detach().float()  # type: ignore[operator]
    weight = weight.T if isinstance(layer, Conv1D) else weight  # (out, in)
    norm = (weight + scaling * (b @ a).to(weight.device)).norm(dim=1)
    found = magnitude.to(norm.device) / norm
    if not torch.isfinite(found).all():
        raise UserError(f"The weights of {path} with this DoRA are all zero for some output: it cannot be scaled.")
    return found.cpu()


def tensor_name(path: str, part: str) -> str:
    """The name that PEFT gives to a part of the LoRA of the module at `path`."""
    return f"base_model.model.{path}.lora_{part}"
