"""Tiny random models with a byte tokenizer: they check every law in seconds, in float32 on the CPU.

`python -m tests.tiny FOLDER` saves the Llama, with a tokenizer that has three words, for `make gpu`.
"""

import sys
from dataclasses import replace
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from adapters.base_model import BaseModel, freeze


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, then bos (256) and eos (257)."""
    vocabulary = {character: index for index, character in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def vowel_tokenizer() -> PreTrainedTokenizerFast:
    """The bytes of the tiny models, three rare ones of which stand for a vowel after a space."""
    alphabet = sorted(ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    for rare, vowel in zip(alphabet[-3:], "aeo", strict=True):
        vocabulary[f"\u0120{vowel}"] = vocabulary.pop(rare)
    bpe = Tokenizer(BPE(vocabulary, [("\u0120", vowel) for vowel in "aeo"]))
    bpe.pre_tokenizer = ByteLevel(add_prefix_space=False)
    bpe.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def tiny(model_class: type[PreTrainedModel], config: LlamaConfig | GPT2Config) -> BaseModel:
    """A random model with next-token distributions far enough from flat to have clear winners."""
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25)
    return freeze(model, byte_tokenizer(), f"tiny-{config.model_type}")


def llama() -> BaseModel:
    """Three layers, four query heads over two key/value heads (GQA)."""
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
        tie_word_embeddings=False,
    )
    return tiny(LlamaForCausalLM, config)


def gpt2() -> BaseModel:
    config = GPT2Config(
        vocab_size=258,
        n_embd=32,
        n_layer=3,
        n_head=4,
        n_positions=128,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
        tie_word_embeddings=False,
    )
    return tiny(GPT2LMHeadModel, config)


def on(device: str, base: BaseModel) -> BaseModel:
    """The model on another device."""
    model: Any = base.model
    return replace(base, model=model.to(device))


if __name__ == "__main__":
    llama().model.save_pretrained(sys.argv[1])
    vowel_tokenizer().save_pretrained(sys.argv[1])
