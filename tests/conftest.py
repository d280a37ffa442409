"""Tiny random models with a byte tokenizer: every law is checked on them in seconds, in float32 on the CPU."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from playwright.sync_api import Playwright
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

from adapters.base_model import EMBEDDED_ID, BaseModel, freeze, load_base_model
from tests.serving import BROWSER_OPTIONS, browser_path

HOME = Path(__file__).parents[1] / ".steerboard"  # where `make` puts the embedded model


def missing(reason: str) -> NoReturn:
    """A test that cannot run here: skipped with the reason, and a failure where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("there is no GPU here")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are many times faster on one thread than on two that wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, then bos (256) and eos (257)."""
    vocabulary = {character: index for index, character in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Tokenizer(BPE(vocabulary, []))
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def tiny(model_class: type[PreTrainedModel], config: LlamaConfig | GPT2Config) -> BaseModel:
    """A random model whose next-token distributions are far enough from flat to have clear winners."""
    torch.manual_seed(0)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.25)
    return freeze(model, byte_tokenizer(), f"tiny-{config.model_type}")


@pytest.fixture(scope="session")
def tiny_llama() -> BaseModel:
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


@pytest.fixture(scope="session")
def tiny_gpt2() -> BaseModel:
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


@pytest.fixture(params=["llama", "gpt2"])
def tiny_base(request: pytest.FixtureRequest) -> BaseModel:
    """Each tiny architecture in turn."""
    base: BaseModel = request.getfixturevalue(f"tiny_{request.param}")
    return base


@pytest.fixture(scope="session")
def embedded() -> BaseModel:
    """The embedded model itself."""
    if not (HOME / EMBEDDED_ID).is_dir():
        missing("The embedded model is not there: run `make model`.")
    return load_base_model(None, HOME)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], playwright: Playwright) -> dict[str, Any]:
    """The system's browser, or Playwright's own."""
    path = browser_path(playwright)
    if path is None:
        missing("There is no browser: run `make browser`.")
    return browser_type_launch_args | {"executable_path": path, "args": BROWSER_OPTIONS}
