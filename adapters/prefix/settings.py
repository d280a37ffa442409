"""What is trained of a prefix, and the fields of its adapter_config.json."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from adapters.methods import STRICT

VirtualTokens = Annotated[int, Field(ge=1, le=1024)]
Positive = Annotated[int, Field(ge=1, le=1_000_000)]


@dataclass(frozen=True, config=STRICT)
class PrefixSettings:
    num_virtual_tokens: VirtualTokens = 20  # entries before the prompt in every layer's cache; they use up context
    # The prefix starts as the keys and values of this text, repeated or cut to length; empty: at random.
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
    peft_type: Literal["PREFIX_TUNING"]
    base_model_name_or_path: str
    num_virtual_tokens: VirtualTokens
    token_dim: Positive
    num_layers: Positive
    num_attention_heads: Positive
    num_transformer_submodules: Literal[1] = 1
    task_type: Literal["CAUSAL_LM"] | None = None
    inference_mode: bool = True
    encoder_hidden_size: int | None = None  # these three matter in training only
    prefix_projection: bool = False
    init_weights: Literal["zero"] | None = None
    peft_version: str | None = None
    revision: str | None = None
    auto_mapping: None = None
    modules_to_save: None = None
