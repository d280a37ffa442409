"""Prefix tuning (Li and Liang, ACL 2021, arXiv 2101.00190): a PEFT model to train, and plain keys and values to run.

L layers, H key/value heads, P virtual tokens, D head size.
"""

from pathlib import Path
from typing import Any, TypeAlias

import torch
from peft import PeftModel, PrefixTuningConfig, get_peft_model, initialize_kv_prefix_from_text
from torch import Tensor

from adapters.adapter_files import read_tensors
from adapters.base_model import BaseModel
from adapters.kv import Shape
from adapters.methods import UserError, from_json
from adapters.prefix.settings import PrefixFile, PrefixSettings

PrefixKV: TypeAlias = Tensor  # (L, 2, H, P, D): layers, keys and values, heads, virtual tokens, head size; float32


def prefix_model(base: BaseModel, settings: PrefixSettings, seed: int) -> PeftModel:
    """The base model wrapped (in place) with a new prefix; only the prefix has gradients."""
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
    """Trained parameters, from shapes alone: the keys and values, or the embedding and MLP that compute them."""
    layers, heads, head_size = shape
    count, width, hidden = settings.num_virtual_tokens, heads * head_size, settings.encoder_hidden_size
    if not settings.prefix_projection:
        return count * layers * 2 * width
    return count * width + (width + 1) * hidden + (hidden + 1) * layers * 2 * width


def read_prefix(folder: Path, config: dict[str, Any], base: BaseModel) -> PrefixKV:
    """The prefix in `folder` with the adapter_config.json `config`. Raises UserError."""
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
