"""Prefix tuning (Li and Liang, ACL 2021, arXiv 2101.00190): a PEFT model to train, and plain keys and values to run.

Knows the base model's layers and heads; knows nothing of texts or of decoding. L layers, H key/value heads, P virtual
tokens, D head size.
"""

from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model, initialize_kv_prefix_from_text
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

from adapters.adapter_files import read_tensors
from adapters.base_model import BaseModel
from adapters.kv import Shape
from adapters.methods import STRICT, UserError, from_json

PrefixKV: TypeAlias = Tensor  # (L, 2, H, P, D): layers, keys and values, heads, virtual tokens, head size; float32
VirtualTokens = Annotated[int, Field(ge=1, le=1024)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True, config=STRICT)
class PrefixSettings:
    """What is trained."""

    num_virtual_tokens: VirtualTokens = 20  # entries before the prompt in every layer's cache; they use up context
    # The prefix starts as the keys and values of this text (repeated or cut to length); empty: at random.
    init_text: Annotated[str, Field(max_length=4_000)] = ""
    prefix_projection: bool = False  # train an MLP that computes the prefix, as in the paper; the file holds its result
    encoder_hidden_size: Annotated[int, Field(ge=1, le=8192)] = 512  # of that MLP

    @model_validator(mode="after")
    def starts_in_one_way(self) -> "PrefixSettings":
        if self.prefix_projection and self.init_text:
            raise ValueError("With prefix_projection a prefix starts at random: leave init_text empty.")
        return self


@dataclass(frozen=True, config=STRICT)
class PrefixFile:
    """The fields of adapter_config.json."""

    peft_type: Literal["PREFIX_TUNING"]
    base_model_name_or_path: str
    num_virtual_tokens: VirtualTokens
    token_dim: Positive
    num_layers: Positive
    num_attention_heads: Positive
    num_transformer_submodules: Literal[1] = 1
    task_type: Literal["CAUSAL_LM"] | None = None
    inference_mode: bool = True
    encoder_hidden_size: int | None = None  # these three matter at training only: the file holds what they computed
    prefix_projection: bool = False
    init_weights: Literal["zero"] | None = None
    peft_version: str | None = None
    revision: str | None = None
    auto_mapping: None = None
    modules_to_save: None = None


def prefix_model(base: BaseModel, settings: PrefixSettings, seed: int) -> PeftModel:
    """The base model wrapped (in place) with a fresh prefix; only the prefix asks for gradients."""
    shape = base.cache_shape
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM",
        num_virtual_tokens=settings.num_virtual_tokens,
        token_dim=shape.num_heads * shape.head_size,
        num_attention_heads=shape.num_heads,
        num_layers=shape.num_layers,
        prefix_projection=settings.prefix_projection,
        encoder_hidden_size=settings.encoder_hidden_size if settings.prefix_projection else None,  # type: ignore[arg-type]
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = get_peft_model(base.model, config)
    config.base_model_name_or_path = base.id
    if settings.init_text:
        count = settings.num_virtual_tokens
        text = " ".join([settings.init_text] * count)
        initialize_kv_prefix_from_text(model, base.tokenizer, text=text, use_chat_template=False, max_length=count)
    return model


def num_parameters(shape: Shape, settings: PrefixSettings) -> int:
    """That are trained, from shapes alone: the keys and values, or the embedding and the MLP that compute them."""
    layers, heads, head_size = shape
    count, width, hidden = settings.num_virtual_tokens, heads * head_size, settings.encoder_hidden_size
    if not settings.prefix_projection:
        return count * layers * 2 * width
    return count * width + (width + 1) * hidden + (hidden + 1) * layers * 2 * width


def read_prefix(folder: Path, config: dict[str, Any], base: BaseModel) -> PrefixKV:
    """The prefix in `folder`, whose adapter_config.json says `config`. Raises UserError with one line."""
    file = from_json(PrefixFile, config)
    layers, heads, head_size = base.cache_shape
    if (file.num_layers, file.num_attention_heads, file.token_dim) != (layers, heads, heads * head_size):
        raise UserError(
            f"The prefix has {file.num_layers} layers of {file.num_attention_heads} heads, {file.token_dim} numbers "
            f"each; {base.id} has {layers} layers of {heads} heads, {heads * head_size} numbers each."
        )
    size = (file.num_virtual_tokens, layers * 2 * heads * head_size)
    rows = read_tensors(folder, {"prompt_embeddings": size})["prompt_embeddings"]
    return rows.view(file.num_virtual_tokens, layers, 2, heads, head_size).permute(1, 2, 3, 0, 4).contiguous()
