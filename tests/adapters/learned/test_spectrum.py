"""What was learned, computed the slow and obvious way beside it; the live model is never touched."""

import copy
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import initialize_kv_prefix_from_text
from transformers.pytorch_utils import Conv1D

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.learned.explorer import Explorer, Watched
from adapters.learned.prefix_attention import (
    nearest_words,
    prefix_attention,
    starting_prefix,
    vocabulary_values,
)
from adapters.learned.spectrum import BLOCK, Update, crop, updates
from adapters.lora.rows import LoraWeights
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError
from adapters.prefix.prefix import prefix_model
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from tests.adapters.conftest import Bench
from tests.adapters.library.test_library import digest
from tests.adapters.store.test_adapter_store import saved

TEXT = "Answer"


def dense(base: BaseModel, lora: LoraWeights, path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """W and the update, in full."""
    module: Any = base.model.get_submodule(path)
    weight = module.weight.T if isinstance(module, Conv1D) else module.weight
    a, b = lora.modules[path]
    return weight, lora.scaling * (b @ a)


def test_singular_values_and_norms_are_those_of_the_whole_update(tiny_base: BaseModel, tmp_path: Path) -> None:
    saved(tiny_base, tmp_path / "verse", LoraSettings(r=5, target_modules=("all-linear",)))
    lora = AdapterStore([tmp_path], tiny_base).lora("verse")
    before = digest(tiny_base)
    found = updates(tiny_base, lora)
    assert [update.path for update in found] == list(lora.modules)
    for update in found:
        weight, change = dense(tiny_base, lora, update.path)
        expected = torch.linalg.svdvals(change)
        torch.testing.assert_close(torch.tensor(update.singular_values), expected[:5], rtol=1e-4, atol=1e-4)
        assert expected[5:].max() < 1e-3
        assert update.norm == pytest.approx(change.norm().item(), rel=1e-4)
        assert update.relative == pytest.approx((change.norm() / weight.norm()).item(), rel=1e-4)
        shares = expected[:5] / expected[:5].sum()
        assert update.effective_rank == pytest.approx(math.exp(-(shares * shares.log()).sum().item()), rel=1e-3)
        assert 1 <= update.effective_rank <= 5
        assert update.size == tuple(change.shape)
        assert update.trained == 5 * sum(change.shape)
    assert {update.layer for update in found} == {0, 1, 2}
    assert found[0].module in ("self_attn.q_proj", "attn.c_attn")
    assert digest(tiny_base) == before


def test_a_rank_beyond_the_size_of_a_module_is_no_trouble(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=40))
    lora = AdapterStore([tmp_path], tiny_llama).lora("verse")
    update = next(u for u in updates(tiny_llama, lora) if u.module == "self_attn.k_proj")
    _, change = dense(tiny_llama, lora, update.path)
    expected = torch.linalg.svdvals(change)
    torch.testing.assert_close(torch.tensor(update.singular_values), expected, rtol=1e-4, atol=1e-3)


def test_effective_rank_counts_directions() -> None:
    def effective_rank(*values: float) -> float:
        return Update("q", (4, 4), 0, values, 1.0).effective_rank

    assert effective_rank(1.0, 1.0, 1.0, 1.0) == pytest.approx(4)
    assert effective_rank(2.0, 2.0, 2.0) == 3
    assert effective_rank(3.0, 0.0, 0.0) == 1
    assert effective_rank(0.0, 0.0) == 0
    assert effective_rank(0.5, 0.25, 0.25) == pytest.approx(2**1.5)


@pytest.mark.parametrize("dora", [False, True])
def test_a_crop_is_the_block_that_changes_most(tiny_base: BaseModel, tmp_path: Path, dora: bool) -> None:
    peft = saved(tiny_base, tmp_path / "verse", LoraSettings(r=3, target_modules=("all-linear",), use_dora=dora))
    lora = AdapterStore([tmp_path], tiny_base).lora("verse")
    merged: Any = copy.deepcopy(peft).merge_and_unload()
    for path in lora.modules:
        weight, change = dense(tiny_base, lora, path)
        found = crop(tiny_base, lora, path)
        blocks = {
            (row, column): change[row : row + BLOCK, column : column + BLOCK].norm().item()
            for row in range(0, change.shape[0], BLOCK)
            for column in range(0, change.shape[1], BLOCK)
        }
        assert blocks[found.first_row, found.first_column] == pytest.approx(max(blocks.values()), rel=1e-4)
        rows, columns = (slice(first, first + BLOCK) for first in (found.first_row, found.first_column))
        module = merged.get_submodule(path)
        whole = module.weight.T if isinstance(module, Conv1D) else module.weight
        torch.testing.assert_close(torch.tensor(found.weight), weight[rows, columns])
        torch.testing.assert_close(torch.tensor(found.adapted), whole[rows, columns], rtol=1e-4, atol=1e-4)
        difference = (whole - weight)[rows, columns]
        torch.testing.assert_close(torch.tensor(found.change), difference, rtol=1e-4, atol=1e-4)
    with pytest.raises(UserError, match="does not adapt 'lm_head'"):
        crop(tiny_base, lora, "lm_head")


def test_attention_is_what_transformers_hands_out(bench: Bench) -> None:
    """PEFT's own prefix model, copied and made eager, read token by token."""
    prefix = bench.engine.store.prefix("facts")
    prompt, written = [256, 10, 20, 30], [40, 50, 60]
    before = digest(bench.base)
    found = prefix_attention(bench.base.private(), prefix, prompt, written)
    assert digest(bench.base) == before
    assert bench.base.model.config._attn_implementation != "eager"
    peft = copy.deepcopy(bench.peft["facts"])
    peft.get_base_model().set_attn_implementation("eager")  # type: ignore[operator]
    layers = torch.zeros(3, 5)
    for count in range(len(written)):
        ids = torch.tensor([[*prompt, *written[:count]]])
        with torch.no_grad():
            output = peft(input_ids=ids, attention_mask=torch.ones_like(ids), output_attentions=True)
        paid = torch.stack([layer[0, :, -1, :5].mean(0) for layer in output.attentions])  # (L, P)
        torch.testing.assert_close(torch.tensor(found.tokens[count]), paid.sum(1), rtol=1e-4, atol=1e-5)
        layers += paid / len(written)
    torch.testing.assert_close(torch.tensor(found.layers), layers, rtol=1e-4, atol=1e-5)
    assert len(found.tokens) == 3


def test_values_of_the_vocabulary_are_those_in_the_cache(tiny_base: BaseModel) -> None:
    own = tiny_base.private()
    for place in (0, 7):
        values = vocabulary_values(own, place)
        assert values.shape == (258, 16 if "llama" in tiny_base.id else 32)
        for token in (0, 100, 257):
            with torch.no_grad():
                ids = torch.full((1, place + 1), 5)
                ids[0, -1] = token
                cache: Any = tiny_base.model(input_ids=ids, use_cache=True).past_key_values
            expected = cache.layers[0].values[0, :, -1].flatten()
            torch.testing.assert_close(values[token], expected, rtol=1e-4, atol=1e-4)


def test_a_prefix_starts_as_its_text_and_moves_from_there(tiny_base: BaseModel) -> None:
    settings = PrefixSettings(num_virtual_tokens=9, init_text=TEXT)
    before = digest(tiny_base)
    start = starting_prefix(tiny_base.private(), settings, 0)
    assert digest(tiny_base) == before
    peft = prefix_model(replace(tiny_base, model=copy.deepcopy(tiny_base.model)), settings, 0)
    initialize_kv_prefix_from_text(
        peft, tiny_base.tokenizer, text=" ".join([TEXT] * 9), use_chat_template=False, max_length=9
    )
    for layer, (keys, values, *_) in enumerate(peft.get_prompt(1)):
        torch.testing.assert_close(start[layer], torch.stack([keys[0], values[0]]))
    trained = start.clone()
    trained[2, :, :, 4] *= 3
    words = nearest_words(tiny_base.private(), trained, start)
    ids = tiny_base.tokenizer(" ".join([TEXT] * 9))["input_ids"][:9]
    for place, (virtual, token) in enumerate(zip(words, ids, strict=True)):
        assert virtual.before[0].text == tiny_base.tokenizer.decode([token])
        assert virtual.before[0].cosine == pytest.approx(1, abs=1e-4)
        assert virtual.before == virtual.after
        assert virtual.moved == pytest.approx([0, 0, 2 if place == 4 else 0], abs=1e-4)
    trained[0, 1, :, 1] = vocabulary_values(tiny_base.private(), 1)[ord("x")].view(trained.shape[2], -1) * 5
    words = nearest_words(tiny_base.private(), trained, None)
    nearest = [tiny_base.tokenizer.convert_tokens_to_ids(c) for c in words[1].after[0].text]
    assert nearest == [ord("x")] or words[1].after[0].text == tiny_base.tokenizer.decode([ord("x")])
    assert words[1].before == ()
    assert words[1].moved == ()


def test_an_explorer_answers_beside_a_running_engine(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=2))
    saved(tiny_llama, tmp_path / "facts", PrefixSettings(num_virtual_tokens=3))
    engine = Engine(tiny_llama, AdapterStore([tmp_path], tiny_llama))
    explorer = Explorer(engine, lambda name: None)
    before = digest(tiny_llama)
    assert len(explorer.updates("verse")) == 3 * 4
    assert explorer.crop("verse", explorer.updates("verse")[0].path).path == "model.layers.0.self_attn.q_proj"
    words = explorer.words("facts")
    assert len(words) == 3
    assert explorer.words("facts") is words
    seen: list[Watched] = list(explorer.watch("facts", "Once"))
    assert [one.attention is None for one in seen] == [True] * (len(seen) - 1) + [False]
    attention = seen[-1].attention
    assert attention is not None
    assert (len(attention.layers), len(attention.layers[0])) == (3, 3)
    assert len(attention.tokens) == len(seen[-1].tokens)
    assert all(0 < share < 1 for row in attention.tokens for share in row)
    lora, prefix = (json.loads(explorer.as_json(name)) for name in ("verse", "facts"))
    assert lora["learned"][0]["effective_rank"] == pytest.approx(explorer.updates("verse")[0].effective_rank)
    assert prefix["learned"][0]["after"][0]["text"] == words[0].after[0].text
    assert digest(tiny_llama) == before
    for ask in (explorer.updates, explorer.words):
        with pytest.raises(UserError, match="no "):
            ask("none")
    with pytest.raises(UserError, match="empty"):
        next(explorer.watch("facts", " "))


def test_what_an_adapter_says_of_its_start_is_not_trusted(tiny_llama: BaseModel, tmp_path: Path) -> None:
    saved(tiny_llama, tmp_path / "facts", PrefixSettings(num_virtual_tokens=3))
    engine = Engine(tiny_llama, AdapterStore([tmp_path], tiny_llama))

    class Says:
        def __init__(self, adapter: PrefixSettings | LoraSettings) -> None:
            self.settings = self
            self.adapter, self.seed = adapter, 0

    for adapter in (
        PrefixSettings(num_virtual_tokens=4, init_text="x"),
        PrefixSettings(num_virtual_tokens=3),
        LoraSettings(),
    ):
        said: Any = Says(adapter)
        words = Explorer(engine, lambda name, said=said: said).words("facts")  # type: ignore[misc]
        assert words[0].before == ()
    said = Says(PrefixSettings(num_virtual_tokens=3, init_text="abc"))
    assert [v.before[0].text for v in Explorer(engine, lambda name: said).words("facts")] == ["a", "b", "c"]
