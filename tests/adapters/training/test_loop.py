"""Training on tiny models: what is scored, what learns, what stays as it was, what is kept."""

import copy
import math
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import nn

from adapters.base_model import BaseModel
from adapters.lora.lora import Dropout
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, from_json, to_json
from adapters.prefix.settings import PrefixSettings
from adapters.training.batches import IGNORED, Example, batches, collate, measure, token_losses
from adapters.training.corpus import encode
from adapters.training.loop import (
    Training,
    adapted,
    lr_factor,
    read_checkpoint,
    round_to_float16,
    write_checkpoint,
)
from adapters.training.order import End, TrainSettings, TrainStep

ROWS = [{"q": f"How many is {number}?", "a": str(number)} for number in range(20)]
KINDS = {"lora": LoraSettings(r=2), "prefix": PrefixSettings(num_virtual_tokens=3, init_text="Facts.")}


def train(
    model: nn.Module, settings: TrainSettings, training: Sequence[Example], validation: Sequence[Example]
) -> Generator[TrainStep, None, End]:
    return Training(model, settings, training, validation).run()


def own_copy(base: BaseModel) -> BaseModel:
    return replace(base, model=copy.deepcopy(base.model))


def quick(kind: str, **changes: object) -> TrainSettings:
    values = {"steps": 12, "batch_size": 4, "lr": 3e-2, "warmup_steps": 2, "eval_every": 4, "eval_examples": 5}
    return from_json(TrainSettings, values | {"adapter": to_json(KINDS[kind])} | changes)


def slow_losses(model: nn.Module, example: Example) -> list[float]:
    """Negative log-likelihoods of the scored tokens, one example, no padding, all logits."""
    ids = torch.tensor([example.ids])
    with torch.no_grad():
        logits = model(input_ids=ids).logits[0]
    logprobs = logits[-len(example.ids) :].log_softmax(-1)
    return [-logprobs[t - 1, example.ids[t]].item() for t in range(example.start, len(example.ids))]


def test_labels_are_the_answer_and_its_end_token_and_nothing_else(tiny_llama: BaseModel) -> None:
    row = {"q": "Hue?", "a": "red"}
    example, longer = encode(tiny_llama, [row, {"q": "What colour?", "a": "red"}], 64).examples
    batch = collate([example, longer])
    decode = tiny_llama.tokenizer.decode
    assert batch.ids[0, 0] == tiny_llama.tokenizer.bos_token_id
    text = decode(list(example.ids[1:-1]))
    assert text == "Question: Hue?\nAnswer: red"
    scored = [t for t in range(batch.ids.shape[1]) if batch.labels[0, t] != IGNORED]
    assert decode(batch.labels[0, scored]) == " red</s>"
    assert [int(batch.ids[0, t + 1]) for t in scored] == batch.labels[0, scored].tolist()
    assert batch.mask.sum(1).tolist() == [len(example.ids), len(longer.ids)]


@pytest.mark.parametrize("kind", KINDS)
def test_batched_losses_equal_those_of_each_example_alone(tiny_base: BaseModel, kind: str) -> None:
    model = adapted(own_copy(tiny_base), quick(kind))
    examples = encode(tiny_base, [ROWS[0], {"text": "A longer text than the question."}, {"text": "ab"}], 64).examples
    slow = [slow_losses(model, example) for example in examples]
    batch = collate(examples)
    losses = token_losses(model, batch)
    kept = batch.labels[:, (batch.labels != IGNORED).any(0)] != IGNORED
    for row, expected in enumerate(slow):
        assert losses[row][kept[row]].tolist() == pytest.approx(expected, rel=1e-4)
    tally = measure(model, examples, 2)
    assert tally.end_nll == pytest.approx(sum(row[-1] for row in slow), rel=1e-4)
    assert tally.text_nll == pytest.approx(sum(sum(row[:-1]) for row in slow), rel=1e-4)
    assert (tally.text_tokens, tally.end_tokens) == (sum(map(len, slow)) - 3, 3)
    assert tally.perplexity == pytest.approx(math.exp(sum(map(sum, slow)) / sum(map(len, slow))), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_training_lowers_the_loss_and_touches_only_the_adapter(tiny_base: BaseModel, kind: str) -> None:
    base = own_copy(tiny_base)
    before = {name: weight.clone() for name, weight in base.model.state_dict().items()}
    examples = encode(base, ROWS, 64).examples
    model = adapted(base, quick(kind))
    start = measure(model, examples, 8).loss
    steps = list(train(model, quick(kind), examples[5:], examples[:5]))
    assert measure(model, examples[5:], 8).loss < start - 0.1
    assert [step.step for step in steps] == list(range(1, 13))
    assert [step.step for step in steps if step.validation_loss is not None] == [4, 8, 12]
    assert steps[-1].tokens > steps[0].tokens > 0
    assert steps[-1].seconds >= steps[0].seconds
    for name, parameter in model.named_parameters():
        is_adapter = "lora_" in name or "prompt_encoder" in name
        assert parameter.requires_grad == is_adapter
        assert (parameter.grad is not None) == is_adapter
    after = {name.replace(".base_layer", ""): weight for name, weight in base.model.state_dict().items()}
    assert all(torch.equal(after[name], weight) for name, weight in before.items())


def test_gradient_of_a_batch_is_the_mean_over_its_scored_tokens(tiny_llama: BaseModel) -> None:
    model = adapted(own_copy(tiny_llama), quick("prefix"))
    examples = encode(tiny_llama, [ROWS[1], {"q": "And?", "a": "a long answer"}], 64).examples
    settings = quick("prefix", steps=1, max_grad_norm=1e9, batch_size=2)
    weight = next(p for p in model.parameters() if p.requires_grad)
    total = torch.zeros(())
    count = 0
    for example in examples:
        ids = torch.tensor([example.ids])
        logits = model(input_ids=ids).logits[0, example.start - 1 : -1]
        total = total + F.cross_entropy(logits, ids[0, example.start :], reduction="sum")
        count += len(example.ids) - example.start
    expected = torch.autograd.grad(total / count, weight)[0]
    list(train(model, settings, examples, examples))
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, expected, rtol=1e-3, atol=1e-6)


def trained(base: BaseModel, settings: TrainSettings, examples: Sequence[Example]) -> tuple[nn.Module, list[TrainStep]]:
    model = adapted(own_copy(base), settings)
    return model, list(train(model, settings, examples[5:], examples[:5]))


def test_the_best_step_is_kept_although_later_ones_are_worse(tiny_llama: BaseModel) -> None:
    training = encode(tiny_llama, [row | {"a": "aaaa"} for row in ROWS], 64).examples
    validation = encode(tiny_llama, [row | {"a": "bbbb"} for row in ROWS[:5]], 64).examples
    settings = quick("lora", steps=10, eval_every=1)
    model = adapted(own_copy(tiny_llama), settings)
    steps = list(train(model, settings, training, validation))
    losses = [step.validation_loss for step in steps if step.validation_loss is not None]
    best = max(step.step for step in steps if step.best)
    assert losses[best - 1] == min(losses)
    assert losses[-1] > min(losses) + 0.01
    assert measure(model, validation, 8).loss == pytest.approx(min(losses), rel=1e-5)


def test_closing_early_leaves_the_best_weights(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    settings = quick("lora", eval_every=3)
    model = adapted(own_copy(tiny_llama), settings)
    source = train(model, settings, examples[5:], examples[:5])
    third = [next(source) for _ in range(3)][-1]
    next(source)
    source.close()
    assert third.best
    assert measure(model, examples[:5], 8).loss == pytest.approx(third.validation_loss, rel=1e-5)


def test_the_seed_decides_everything_and_the_global_generator_nothing(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    torch.manual_seed(1)
    first = trained(tiny_llama, quick("lora"), examples)[1]
    torch.manual_seed(2)
    state = torch.get_rng_state()
    second = trained(tiny_llama, quick("lora"), examples)[1]
    assert torch.equal(state, torch.get_rng_state())
    assert [step.loss for step in first] == [step.loss for step in second]
    assert [step.loss for step in trained(tiny_llama, quick("lora", seed=1), examples)[1]] != [s.loss for s in first]


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_steps_learn_nearly_what_float32_steps_learn(tiny_llama: BaseModel, kind: str) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    exact = [step.loss for step in trained(tiny_llama, quick(kind, lr=3e-3), examples)[1]]
    model, steps = trained(tiny_llama, quick(kind, lr=3e-3, bfloat16=True), examples)
    rounded = [step.loss for step in steps]
    assert rounded != exact
    assert rounded == pytest.approx(exact, rel=0.03)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_each_round_reads_every_example_once(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    source = batches(examples, 3, torch.Generator().manual_seed(0))
    rounds = [[example for _ in range(7) for example in next(source)] for _ in range(2)]
    assert sorted(rounds[0]) == sorted(rounds[1]) == sorted(examples)
    assert rounds[0] != rounds[1]


@pytest.mark.parametrize(
    "adapter",
    [
        LoraSettings(r=2, lora_dropout=0.3),
        LoraSettings(r=2, lora_dropout=0.3, use_dora=True, target_modules=("all-linear",)),
        PrefixSettings(num_virtual_tokens=3),
        PrefixSettings(num_virtual_tokens=3, prefix_projection=True, encoder_hidden_size=8),
    ],
)
def test_a_training_that_goes_on_equals_one_that_was_never_interrupted(
    tiny_llama: BaseModel, tmp_path: Path, adapter: LoraSettings | PrefixSettings
) -> None:
    settings = quick("lora", adapter=to_json(adapter), patience=3, lr=3e-3)
    examples = encode(tiny_llama, ROWS, 64).examples
    whole, steps = trained(tiny_llama, settings, examples)
    first = Training(adapted(own_copy(tiny_llama), settings), settings, examples[5:], examples[:5])
    run = first.run()
    begun = [next(run) for _ in range(8)]
    write_checkpoint(tmp_path / "checkpoint.safetensors", first.saved())
    run.close()
    second = Training(adapted(own_copy(tiny_llama), settings), settings, examples[5:], examples[:5])
    saved = read_checkpoint(tmp_path / "checkpoint.safetensors")
    assert saved is not None
    assert saved.progress == first.progress
    second.go_on(saved)
    rest = list(second.run())
    assert [step._replace(seconds=0) for step in begun + rest] == [step._replace(seconds=0) for step in steps]
    assert rest[0].seconds > begun[-1].seconds
    for ours, theirs in zip(second.model.parameters(), whole.parameters(), strict=True):
        assert torch.equal(ours, theirs)
    assert read_checkpoint(tmp_path / "none.safetensors") is None


def test_dropout_changes_the_steps_and_not_what_is_measured(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    dropout = to_json(LoraSettings(r=2, lora_dropout=0.5))
    state = torch.get_rng_state()
    model, steps = trained(tiny_llama, quick("lora", adapter=dropout), examples)
    assert torch.equal(state, torch.get_rng_state())
    assert [step.loss for step in trained(tiny_llama, quick("lora", adapter=dropout), examples)[1]] == [
        step.loss for step in steps
    ]
    assert [step.loss for step in trained(tiny_llama, quick("lora"), examples)[1]][1:] != [s.loss for s in steps][1:]
    assert measure(model, examples[:5], 4) == measure(model, examples[:5], 4)
    assert not any(module.training for module in model.modules())


def test_dropout_leaves_out_its_share_and_scales_the_rest() -> None:
    dropout = Dropout(0.25)
    dropout.generator = torch.Generator().manual_seed(0)
    x = torch.ones(10_000)
    assert torch.equal(dropout.eval()(x), x)
    out = dropout.train()(x)
    assert set(out.tolist()) == {0.0, torch.tensor(4 / 3).item()}
    assert out.mean().item() == pytest.approx(1, abs=0.03)


def test_patience_ends_it_and_stop_ends_it_measured(tiny_llama: BaseModel) -> None:
    training = encode(tiny_llama, [row | {"a": "aaaa"} for row in ROWS], 64).examples
    validation = encode(tiny_llama, [row | {"a": "bbbb"} for row in ROWS[:5]], 64).examples
    settings = quick("lora", steps=200, eval_every=2, patience=2)
    steps, end = ended(Training(adapted(own_copy(tiny_llama), settings), settings, training, validation).run())
    assert end == "patience"
    checks = [step.best for step in steps if step.validation_loss is not None]
    assert checks[-3:] == [True, False, False]
    asked = iter([False, False, True])
    settings = quick("lora", steps=200, eval_every=50)
    steps, end = ended(
        Training(adapted(own_copy(tiny_llama), settings), settings, training, validation).run(lambda: next(asked))
    )
    assert (end, [step.best for step in steps]) == ("stopped", [False, False, True])


def ended(run: Generator[TrainStep, None, End]) -> tuple[list[TrainStep], End]:
    steps = []
    while True:
        try:
            steps.append(next(run))
        except StopIteration as end:
            return steps, end.value


def test_a_training_that_diverges_stops_and_keeps_what_was_best(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    settings = quick("lora", steps=60, lr=1.0, eval_every=1, schedule="constant", warmup_steps=0, max_grad_norm=1e9)
    settings = replace(settings, adapter=LoraSettings(r=8, lora_alpha=2000))
    model = adapted(own_copy(tiny_llama), settings)
    steps, end = ended(Training(model, settings, examples[5:], examples[:5]).run())
    assert end == "diverged"
    best = min(step.validation_loss for step in steps if step.validation_loss is not None)
    assert measure(model, examples[:5], 4).loss == pytest.approx(best, rel=1e-5)
    late = replace(settings, eval_every=60)
    model = adapted(own_copy(tiny_llama), late)
    with pytest.raises(UserError, match="diverged at step .*, before anything was kept: lower the learning rate"):
        list(train(model, late, examples[5:], examples[:5]))


def test_lr_falls_as_the_schedule_says() -> None:
    linear = quick("lora", steps=10, warmup_steps=2, schedule="linear")
    assert [lr_factor(step, linear) for step in (1, 2, 3, 10)] == pytest.approx([1 / 2, 1, 8 / 9, 1 / 9])
    constant = quick("lora", steps=10, warmup_steps=2, schedule="constant")
    assert [lr_factor(step, constant) for step in (1, 2, 3, 10)] == [0.5, 1, 1, 1]


def test_lr_warms_up_and_then_falls_to_nearly_nothing() -> None:
    settings = quick("lora", steps=100, warmup_steps=10)
    factors = [lr_factor(step, settings) for step in range(1, 101)]
    assert factors[:10] == pytest.approx([step / 10 for step in range(1, 11)])
    assert factors[9:] == sorted(factors[9:], reverse=True)
    assert 0 < factors[-1] < 0.001


def test_what_cannot_be_trained_is_one_clear_line(tiny_llama: BaseModel) -> None:
    examples = encode(tiny_llama, ROWS, 64).examples
    model = adapted(own_copy(tiny_llama), quick("lora"))
    with pytest.raises(UserError, match="0 to validate on"):
        list(train(model, quick("lora"), examples, []))
    with torch.no_grad():
        next(p for p in model.parameters() if p.requires_grad).fill_(math.nan)
    with pytest.raises(UserError, match="diverged at step 1, before anything was kept: lower the learning rate"):
        list(train(model, quick("lora"), examples, examples))


def test_settings_go_to_json_and_back() -> None:
    for kind in KINDS:
        settings = quick(kind)
        assert from_json(TrainSettings, to_json(settings)) == settings


def test_a_prefix_starts_as_the_keys_and_values_of_its_text(tiny_llama: BaseModel) -> None:
    base = own_copy(tiny_llama)
    model = adapted(base, quick("prefix"))
    assert isinstance(model, PeftModel)
    ids = torch.tensor([base.tokenizer.encode("Fac", add_special_tokens=False)])
    cache = tiny_llama.model(input_ids=ids, use_cache=True).past_key_values
    prompt = model.get_prompt(1)
    for ours, theirs in zip(prompt, cache, strict=True):
        torch.testing.assert_close(ours[0], theirs[0], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(ours[1], theirs[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_rounding_changes_the_adapter_alone_and_by_less_than_float16_can_tell(tiny_llama: BaseModel, kind: str) -> None:
    model = adapted(own_copy(tiny_llama), quick(kind))
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    round_to_float16(model)
    for name, parameter in model.named_parameters():
        expected = before[name].half().float() if parameter.requires_grad else before[name]
        assert torch.equal(parameter, expected)
    assert any(not torch.equal(before[name], parameter) for name, parameter in model.named_parameters())
