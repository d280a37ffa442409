"""What is trained of a LoRA, and the fields of its adapter_config.json."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from adapters.methods import STRICT

Rank = Annotated[int, Field(ge=1, le=256)]
Alpha = Annotated[float, Field(gt=0, le=10_000)]


@dataclass(frozen=True, config=STRICT)
class LoraSettings:
    r: Rank = 8  # rank of the update
    lora_alpha: Alpha = 16.0  # strength: the update is scaled by lora_alpha / r
    lora_dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0  # share of a layer's inputs dropped in each step
    # Path endings of the adapted layers; none: the attention projections; "all-linear": all but the output layer.
    target_modules: Annotated[tuple[str, ...], Field(max_length=256)] = ()
    use_rslora: bool = False  # scale by lora_alpha / sqrt(r)
    use_dora: bool = False  # train the norm of each output's weights apart from their direction


# Features of PEFT that change what an adapter computes: null in the file of one without them.
UNUSED = """
auto_mapping exclude_modules modules_to_save layers_to_transform layer_replication megatron_config
trainable_token_indices target_parameters eva_config corda_config lora_ga_config velora_config monteclora_config
kasa_config arrow_config use_bdlora alora_invocation_tokens
"""


@dataclass(frozen=True, config=STRICT)
class LoraFile:
    """The fields of adapter_config.json but UNUSED. Those that change what the adapter computes must be neutral."""

    peft_type: Literal["LORA"]
    base_model_name_or_path: str
    r: Rank
    lora_alpha: Alpha
    target_modules: Annotated[tuple[str, ...], Field(min_length=1, max_length=256)]  # a string would be a pattern
    use_rslora: bool = False
    task_type: Literal["CAUSAL_LM"] | None = None
    inference_mode: bool = True
    fan_in_fan_out: bool = False  # how the base stores its weight
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
