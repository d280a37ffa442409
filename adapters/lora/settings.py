"""What is trained of a LoRA, and the fields of its adapter_config.json."""

from typing import Annotated, Literal

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


@dataclass(frozen=True, config=STRICT)
class LoraFile:
    """The fields of adapter_config.json that say what to compute, and those that do not matter."""

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
    use_dora: bool = False
    qalora_group_size: int = 16
    ensure_weight_tying: bool = False
    megatron_core: str | None = None
