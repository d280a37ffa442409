"""LoRA (Hu et al., ICLR 2022, arXiv 2106.09685): a PEFT model to train, and plain weights to run.

    y = W x + scaling * B (A x),   scaling = lora_alpha / r, or lora_alpha / sqrt(r) with use_rslora

Knows the base model's modules; knows nothing of texts or of decoding.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from adapters.base_model import BaseModel
from adapters.files import read_tensors
from adapters.lora_rows import LoraWeights
from adapters.methods import STRICT, UserError, from_json

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
    use_dora: Literal[False] = False
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


def lora_model(base: BaseModel, settings: LoraSettings, seed: int) -> PeftModel:
    """The base model wrapped (in place) with a fresh LoRA; only the LoRA asks for gradients."""
    targets = settings.target_modules or attention_projections(base.model)
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.r,
        lora_alpha=settings.lora_alpha,  # type: ignore[arg-type]  # PEFT takes any number
        target_modules=list(targets),
        use_rslora=settings.use_rslora,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in base.model.modules()),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = get_peft_model(base.model, config)
    config.base_model_name_or_path = base.id
    return model


def attention_projections(model: PreTrainedModel) -> tuple[str, ...]:
    """Path endings of the linear layers in the attention blocks, such as `self_attn.q_proj` or `attn.c_attn`."""
    endings = {tuple(path.split(".")[-2:]) for path, module in model.named_modules() if linear_shape(module)}
    return tuple(sorted(".".join(ending) for ending in endings if "att" in ending[0]))


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
    shapes: dict[str, tuple[int, ...]] = {}
    paths: list[str] = []
    for path, module in base.model.named_modules():
        if not any(path == target or path.endswith(f".{target}") for target in file.target_modules):
            continue
        shape = linear_shape(module)
        if shape is None:
            raise UserError(f"target_modules: {path} is not a linear layer of {base.id}.")
        paths.append(path)
        shapes[tensor_name(path, "A")] = (file.r, shape[0])
        shapes[tensor_name(path, "B")] = (shape[1], file.r)
    if not paths:
        raise UserError(f"target_modules: {base.id} has no layer called {', '.join(file.target_modules)[:100]}.")
    tensors = read_tensors(folder, shapes)
    scaling = file.lora_alpha / (math.sqrt(file.r) if file.use_rslora else file.r)
    return LoraWeights(scaling, {p: (tensors[tensor_name(p, "A")], tensors[tensor_name(p, "B")]) for p in paths})


def tensor_name(path: str, matrix: str) -> str:
    """The name that PEFT gives to one matrix of the LoRA of the module at `path`."""
    return f"base_model.model.{path}.lora_{matrix}.weight"
