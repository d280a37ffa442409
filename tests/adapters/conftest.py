"""Random adapters for the tiny models, saved by PEFT and read by the store, as a trained one would be."""

import copy
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from peft import PeftModel
from transformers import PreTrainedTokenizerFast

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.lora.lora import lora_model
from adapters.lora.settings import LoraSettings
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.prefix import prefix_model
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.vector.direction import usual_layer
from tests.adapters.discriminators.mood import moved
from tests.tiny import vowel_tokenizer


class Bench(NamedTuple):
    """A tiny base model with its engine, and PEFT's own model of each adapter to compare with."""

    base: BaseModel
    engine: Engine
    peft: dict[str, PeftModel]


def randomise(model: PeftModel, size: float, seed: int) -> PeftModel:
    """Gives every trained parameter a value that matters (a fresh LoRA does nothing)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
    return model.eval()


def make_bench(base: BaseModel, folder: Path) -> Bench:
    def own_copy() -> BaseModel:
        return replace(base, model=copy.deepcopy(base.model))

    peft = {
        "verse": randomise(lora_model(own_copy(), LoraSettings(r=3), 0), 0.3, 1),
        "space": randomise(lora_model(own_copy(), LoraSettings(r=2, lora_alpha=5), 0), 0.3, 2),
        "facts": randomise(prefix_model(own_copy(), PrefixSettings(num_virtual_tokens=5), 0), 0.7, 3),
        "gain": randomise(lora_model(own_copy(), LoraSettings(r=2, use_dora=True), 0), 0.5, 5),
        "burst": randomise(lora_model(own_copy(), LoraSettings(r=1), 0), 1e30, 4),
    }
    for name, model in peft.items():
        model.save_pretrained(str(folder / name))
    (folder / "mood").mkdir()
    write_discriminator(moved(usual_layer(base)), base, folder / "mood")
    return Bench(base, Engine(base, AdapterStore([folder], base)), peft)


@pytest.fixture(scope="session")
def benches(tiny_llama: BaseModel, tiny_gpt2: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Bench]:
    return {
        "llama": make_bench(tiny_llama, tmp_path_factory.mktemp("llama")),
        "gpt2": make_bench(tiny_gpt2, tmp_path_factory.mktemp("gpt2")),
    }


@pytest.fixture(params=["llama", "gpt2"])
def bench(request: pytest.FixtureRequest, benches: dict[str, Bench]) -> Bench:
    """Each tiny architecture in turn."""
    return benches[request.param]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return vowel_tokenizer()
