"""Adapters from disk: read as PEFT runs them, refused with one line when they are not what they should be."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from adapters.adapter_files import CONFIG_FILE, WEIGHTS_FILE
from adapters.base_model import BaseModel
from adapters.lora.lora import linear_endings, lora_model, num_parameters, targets
from adapters.lora.rows import LoraRows, LoraWeights, ScaledLora
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.prefix import num_parameters as num_prefix_parameters
from adapters.prefix.prefix import prefix_model
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from tests.adapters.discriminators.mood import MOOD


def saved(base: BaseModel, folder: Path, settings: LoraSettings | PrefixSettings) -> PeftModel:
    """A random adapter, saved by PEFT."""
    own = replace(base, model=copy.deepcopy(base.model))
    model = lora_model(own, settings, 0) if isinstance(settings, LoraSettings) else prefix_model(own, settings, 0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(0, 0.3, generator=generator)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    return model.eval()


@pytest.mark.parametrize("rslora", [False, True])
def test_lora_weights_compute_what_peft_computes(tiny_base: BaseModel, tmp_path: Path, rslora: bool) -> None:
    model = saved(tiny_base, tmp_path / "verse", LoraSettings(r=4, lora_alpha=6, use_rslora=rslora))
    store = AdapterStore([tmp_path], tiny_base)
    assert store.refused == {}
    lora = store.lora("verse")
    assert lora.scaling == pytest.approx(6 / 2 if rslora else 6 / 4)
    for path, (a, b) in lora.modules.items():
        base_layer, peft_layer = tiny_base.model.get_submodule(path), model.get_base_model().get_submodule(path)
        x = torch.randn(3, a.shape[1], generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            ours = base_layer(x) + lora.scaling * (x @ a.T) @ b.T
            torch.testing.assert_close(ours, peft_layer(x), rtol=1e-4, atol=1e-4)
    adapted = {name.removesuffix(".lora_A.default") for name, _ in model.get_base_model().named_modules()}
    assert set(lora.modules) <= adapted
    assert len(lora.modules) == tiny_base.model.config.num_hidden_layers * (4 if "llama" in tiny_base.id else 2)


@pytest.mark.parametrize(
    "settings", [LoraSettings(r=4, use_dora=True), LoraSettings(r=2, use_dora=True, use_rslora=True)]
)
def test_a_dora_runs_as_peft_runs_it(tiny_base: BaseModel, tmp_path: Path, settings: LoraSettings) -> None:
    model = saved(tiny_base, tmp_path / "verse", settings)
    plain = saved(tiny_base, tmp_path / "plain", LoraSettings(r=3))
    store = AdapterStore([tmp_path], tiny_base)
    assert store.refused == {}
    adapter = store.adapters[1]
    assert adapter.num_parameters == sum(p.numel() for p in model.parameters() if p.requires_grad)
    ids = torch.randint(0, 256, (1, 9), generator=torch.Generator().manual_seed(0))
    dora, lora = ScaledLora(store.lora("verse"), 1.0), ScaledLora(store.lora("plain"), 1.0)
    with torch.no_grad():
        alone = tiny_base.model(ids).logits
        with LoraRows.of(tiny_base.model, [None, lora]).applied():
            before = tiny_base.model(ids.repeat(2, 1)).logits
        with LoraRows.of(tiny_base.model, [None, dora, lora, dora._replace(scale=0.0)]).applied():
            base_row, dora_row, lora_row, off = tiny_base.model(ids.repeat(4, 1)).logits.split(1)
        torch.testing.assert_close(dora_row, model(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(lora_row, plain(input_ids=ids).logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(off, alone, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(base_row, before[:1], rtol=1e-5, atol=1e-5)
    assert not torch.allclose(dora_row, alone, atol=0.1)


def test_a_module_with_a_bias_keeps_it_under_dora() -> None:
    layer = torch.nn.Linear(3, 2)
    x = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(0))
    a, b, gain = torch.ones(1, 3), torch.tensor([[0.5], [1.0]]), torch.tensor([2.0, 0.5])
    weights = LoraWeights(0.25, {"0": (a, b)}, {"0": gain})
    model = torch.nn.Sequential(layer)
    with torch.no_grad():
        clean = model(x)
        with LoraRows.of(model, [None, ScaledLora(weights, 1.0)]).applied():
            first, second = model(x)
        expected = gain * (x[1] @ (layer.weight + 0.25 * b @ a).T) + layer.bias
    assert torch.equal(first, clean[0])
    torch.testing.assert_close(second, expected)


def test_a_computed_prefix_is_saved_as_what_was_computed(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = saved(tiny_base, tmp_path / "facts", PrefixSettings(num_virtual_tokens=5, prefix_projection=True))
    kv = AdapterStore([tmp_path], tiny_base).prefix("facts")
    for layer, (keys, values, *_) in enumerate(model.get_prompt(1)):
        assert torch.equal(kv[layer, 0], keys[0])
        assert torch.equal(kv[layer, 1], values[0])
    own = replace(tiny_base, model=copy.deepcopy(tiny_base.model))
    reloaded = PeftModel.from_pretrained(own.model, str(tmp_path / "facts")).eval()
    ids = torch.randint(0, 256, (2, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(reloaded(input_ids=ids).logits, model(input_ids=ids).logits)


@pytest.mark.parametrize(
    "settings",
    [
        LoraSettings(r=3),
        LoraSettings(r=2, use_dora=True, target_modules=("all-linear",)),
        PrefixSettings(num_virtual_tokens=4),
        PrefixSettings(num_virtual_tokens=4, prefix_projection=True, encoder_hidden_size=7),
    ],
)
def test_parameters_are_counted_without_making_them(
    tiny_base: BaseModel, tmp_path: Path, settings: LoraSettings | PrefixSettings
) -> None:
    trainable = saved(tiny_base, tmp_path / "it", settings).get_nb_trainable_parameters()[0]
    if isinstance(settings, LoraSettings):
        assert num_parameters(tiny_base.model, settings) == trainable
    else:
        assert num_prefix_parameters(tiny_base.cache_shape, settings) == trainable


def test_layers_are_named_and_those_that_are_not_there_are_answered_with_those_that_are(tiny_base: BaseModel) -> None:
    gpt2 = "gpt2" in tiny_base.id
    known = linear_endings(tiny_base.model)
    assert ("attn.c_attn" if gpt2 else "self_attn.q_proj") in known
    assert not any("head" in name for name in known)
    assert targets(tiny_base.model, ("all-linear",)) == known
    with pytest.raises(UserError, match=f"no layer called 'w_proj': choose from all-linear, {', '.join(known)}"):
        targets(tiny_base.model, ("c_attn" if gpt2 else "q_proj", "w_proj"))


def test_prefix_equals_what_peft_puts_in_the_cache(tiny_base: BaseModel, tmp_path: Path) -> None:
    model = saved(tiny_base, tmp_path / "facts", PrefixSettings(num_virtual_tokens=5))
    kv = AdapterStore([tmp_path], tiny_base).prefix("facts")
    heads = 2 if "llama" in tiny_base.id else 4
    assert kv.shape == (3, 2, heads, 5, 8)
    assert kv.dtype == torch.float32
    for layer, (keys, values, *_) in enumerate(model.get_prompt(1)):
        assert torch.equal(kv[layer, 0], keys[0])
        assert torch.equal(kv[layer, 1], values[0])


def test_the_list_says_what_each_adapter_is(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "one" / "verse", LoraSettings(r=4, target_modules=("q_proj",)))
    saved(tiny_llama, tmp_path / "two" / "facts", PrefixSettings(num_virtual_tokens=5))
    saved(tiny_llama, tmp_path / "two" / "verse", LoraSettings(r=2))
    (tmp_path / "two" / "notes").mkdir()
    store = AdapterStore([tmp_path / "one", tmp_path / "two", tmp_path / "none"], tiny_llama)
    verse, facts = store.adapters
    assert (verse.name, verse.kind, verse.size, verse.num_parameters) == ("verse", "lora", 4, 3 * 4 * (32 + 32))
    assert (facts.name, facts.kind, facts.size, facts.num_parameters) == ("facts", "prefix", 5, 3 * 2 * 2 * 5 * 8)
    assert verse.base == "tiny-llama"
    assert verse.folder == tmp_path / "one" / "verse"
    assert verse.num_bytes == (verse.folder / WEIGHTS_FILE).stat().st_size
    assert list(store.refused.values()) == ["There is already an adapter called verse: rename one."]


def test_an_unknown_discriminator_is_told_with_the_known_ones(tiny_llama: BaseModel, tmp_path: Path) -> None:
    (tmp_path / "mood").mkdir()
    write_discriminator(MOOD, tiny_llama, tmp_path / "mood")
    store = AdapterStore([tmp_path], tiny_llama)
    with pytest.raises(UserError, match="no discriminator 'calm': choose one of mood"):
        store.discriminator("calm")


def test_an_unknown_name_is_answered_with_those_that_exist(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=1))
    store = AdapterStore([tmp_path], tiny_llama)
    with pytest.raises(UserError, match="no LoRA adapter 'prose': choose one of verse"):
        store.lora("prose")
    with pytest.raises(UserError, match="no prefix adapter 'verse': choose one of none"):
        store.prefix("verse")


def config(**changes: Any) -> Callable[[Path], None]:
    """An attack: other values in the config."""

    def attack(folder: Path) -> None:
        file = folder / CONFIG_FILE
        file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    return attack


def tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """An attack: other tensors."""

    def attack(folder: Path) -> None:
        found = load_file(folder / WEIGHTS_FILE)
        change(found)
        save_file(found, folder / WEIGHTS_FILE)

    return attack


def first(found: dict[str, torch.Tensor]) -> str:
    return sorted(found)[0]


COMMON = {
    "other base": (config(base_model_name_or_path="other/model"), "made for the base model 'other/model'"),
    "unknown kind": (config(peft_type="IA3"), "only LORA and PREFIX_TUNING"),
    "unknown field": (config(surprise=1), "surprise"),
    "not JSON": (lambda folder: (folder / CONFIG_FILE).write_text("{"), "not JSON"),
    "not an object": (lambda folder: (folder / CONFIG_FILE).write_text("[]"), "not a JSON object"),
    "deep": (lambda folder: (folder / CONFIG_FILE).write_text("[" * 60_000), "config.json"),
    "endless": (lambda folder: (folder / CONFIG_FILE).write_text(" " * 70_000), "longer than"),
    "no weights": (lambda folder: (folder / WEIGHTS_FILE).unlink(), "Cannot read adapter_model.safetensors"),
    "no safetensors": (lambda folder: (folder / WEIGHTS_FILE).write_bytes(b"\x80\x04pickle"), "Cannot read"),
    "extra key": (tensors(lambda t: t.update({"base_model.model.lm_head.weight": torch.zeros(2)})), "does not ask for"),
    "missing key": (tensors(lambda t: t.pop(first(t))), "lacks|does not ask for"),
    "wrong shape": (tensors(lambda t: t.update({first(t): torch.zeros(2, 2)})), "has shape"),
    "NaN": (tensors(lambda t: t[first(t)].view(-1)[0].fill_(torch.nan)), "not finite"),
    "wrong dtype": (tensors(lambda t: t.update({first(t): t[first(t)].long()})), "not float32"),
}
LORA_ONLY = {
    "huge r": (config(r=10**9), "r: "),
    "other r": (config(r=3), "has shape"),
    "pattern": (config(target_modules=".*"), "target_modules"),
    "no such module": (config(target_modules=["w_proj"]), "no layer called w_proj"),
    "not a linear layer": (config(target_modules=["self_attn"]), "not a linear layer"),
    "DoRA without magnitudes": (config(use_dora=True), "lacks a tensor .*lora_magnitude_vector"),
    "saved modules": (config(modules_to_save=["lm_head"]), "modules_to_save"),
    "base weights changed": (config(init_lora_weights="pissa"), "init_lora_weights"),
    "NaN alpha": (config(lora_alpha=float("nan")), "lora_alpha"),
    "bias": (config(bias="all"), "bias"),
}
PREFIX_ONLY = {
    "huge prefix": (config(num_virtual_tokens=10**9), "num_virtual_tokens"),
    "other length": (config(num_virtual_tokens=4), "has shape"),
    "other layers": (config(num_layers=2), "has 2 layers"),
    "other heads": (config(num_attention_heads=4), "of 4 heads"),
}
ATTACKS = [("lora", *case) for case in (COMMON | LORA_ONLY).items()] + [
    ("prefix", *case) for case in (COMMON | PREFIX_ONLY).items()
]


@pytest.mark.parametrize(("kind", "name", "case"), ATTACKS, ids=[f"{kind} {name}" for kind, name, _ in ATTACKS])
def test_what_is_not_as_it_should_be_is_refused_with_one_line(
    tiny_llama: BaseModel, tmp_path: Path, kind: str, name: str, case: tuple[Callable[[Path], None], str]
) -> None:
    settings = LoraSettings(r=2) if kind == "lora" else PrefixSettings(num_virtual_tokens=3)
    saved(tiny_llama, tmp_path / "verse", settings)
    before = {key: weight.clone() for key, weight in tiny_llama.model.state_dict().items()}
    attack, message = case
    attack(tmp_path / "verse")
    store = AdapterStore([tmp_path], tiny_llama)
    assert store.adapters == ()
    assert "\n" not in store.refused["verse"]
    with pytest.raises(UserError, match=message):
        store.lora("verse")
    assert all(torch.equal(weight, before[key]) for key, weight in tiny_llama.model.state_dict().items())
