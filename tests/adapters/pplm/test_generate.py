"""PPLM in `generate` of plain transformers models, against `generate` itself and against the engine."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    DynamicCache,
    LogitsProcessor,
    PreTrainedTokenizerFast,
    StoppingCriteria,
    StoppingCriteriaList,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.generation.streamers import BaseStreamer

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import PPLM, Attribute, Method, Request, Sampling, UserError, as_in_paper, to_json
from adapters.pplm.discriminator import discriminator_loss, write_discriminator
from adapters.pplm.generate import pplm_generate
from adapters.store.adapter_store import AdapterStore
from tests.adapters.discriminators.mood import MOOD

VOWELS = PPLM((Attribute("vowels", words=("a", "e", "o")),), step_size=0.3, num_iterations=2, gm_scale=0.9)
PAPER = as_in_paper(VOWELS)
MOODY = replace(VOWELS, attributes=(Attribute("mood:up"), *VOWELS.attributes), horizon_length=2, kl_budget=2.0)
PROMPTS = ("Once upon a time", "The", "W")  # the last one is a single token


@pytest.fixture
def write(tiny_base: BaseModel, tokenizer: PreTrainedTokenizerFast) -> Callable[..., Any]:
    """`generate` under PPLM, or plain without settings."""
    model: Any = tiny_base.model

    def call(pplm: PPLM | None, ids: Tensor, **arguments: Any) -> Any:
        arguments = {"max_new_tokens": 12, "do_sample": False, "pad_token_id": 257} | arguments
        if pplm is not None:
            arguments |= {"custom_generate": pplm_generate, "pplm": pplm, "pplm_tokenizer": tokenizer}
        torch.manual_seed(4)
        return model.generate(ids, **arguments)

    return call


def ids_of(*prompts: str) -> dict[str, Tensor]:
    """Prompts as ids and mask, padded on the left."""
    rows = [list(prompt.encode()) for prompt in prompts]
    longest = max(map(len, rows))
    padded = [[257] * (longest - len(row)) + row for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return {"ids": torch.tensor(padded), "attention_mask": torch.tensor(mask)}


SAMPLED: dict[str, Any] = {"do_sample": True, "temperature": 1.3, "top_k": 60, "top_p": 0.95, "num_return_sequences": 3}
SAMPLED |= {"eos_token_id": list(range(100, 126))}
ENDING: dict[str, Any] = {"max_new_tokens": 24, "eos_token_id": [15, 40], "repetition_penalty": 1.2}
OFF = [replace(VOWELS, step_size=0.0), replace(PAPER, step_size=0.0), replace(VOWELS, kl_budget=0.0)]


@pytest.mark.parametrize("off", OFF, ids=["fresh", "carried", "no budget"])
@pytest.mark.parametrize("arguments", [{}, SAMPLED], ids=["greedy", "sampled"])
def test_without_an_effect_it_is_plain_generate(
    write: Callable[..., Any], off: PPLM, arguments: dict[str, Any]
) -> None:
    arguments = ENDING | arguments
    plain = write(None, **ids_of(*PROMPTS), **arguments)
    assert len({row.tolist().index(257, 16) for row in plain if 257 in row[16:]}) > 1, "rows end at different times"
    assert torch.equal(write(off, **ids_of(*PROMPTS), **arguments), plain)
    assert not torch.equal(write(VOWELS, **ids_of(*PROMPTS), **arguments), plain)


@pytest.mark.parametrize("pplm", [VOWELS, PAPER, MOODY], ids=["fresh", "carried", "discriminator"])
def test_a_row_of_a_batch_is_the_row_alone(write: Callable[..., Any], pplm: PPLM) -> None:
    head = {"pplm_class_loss": lambda name: discriminator_loss(MOOD, "up", torch.device("cpu"))}
    together = write(pplm, **ids_of(*PROMPTS), **ENDING, **head)
    for prompt, row in zip(PROMPTS, together, strict=True):
        alone = write(pplm, **ids_of(prompt), **ENDING, **head)[0, len(prompt) :].tolist()
        written = row[len(PROMPTS[0]) :].tolist()
        assert written == alone + [257] * (len(written) - len(alone))


def test_rows_that_have_ended_cost_nothing(write: Callable[..., Any], tiny_base: BaseModel) -> None:
    sizes: list[int] = []
    embeddings: Any = tiny_base.model.get_input_embeddings()
    hook = embeddings.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    written = write(VOWELS, **ids_of(*PROMPTS), **ENDING)
    hook.remove()
    assert sizes[1] == len(PROMPTS), "the first pass asks for the shape of the cache"
    ends = {*ENDING["eos_token_id"], 257}
    assert sizes[-1] == sum(not ends & set(row[16:-1].tolist()) for row in written) < len(PROMPTS)


@pytest.mark.parametrize("pplm", [VOWELS, PAPER, MOODY], ids=["fresh", "carried", "discriminator"])
def test_it_writes_what_the_engine_writes(
    tiny_base: BaseModel, tokenizer: PreTrainedTokenizerFast, pplm: PPLM, tmp_path: Path
) -> None:
    (tmp_path / "mood").mkdir()
    write_discriminator(MOOD, tiny_base, tmp_path / "mood")
    store = AdapterStore([tmp_path], tiny_base)
    requests = [Request(prompt, Method("pplm", steering=pplm)) for prompt in ("Once upon", "The")]
    engine = Engine(replace(tiny_base, tokenizer=tokenizer), store)
    *_, rows = engine.generate(requests, Sampling(temperature=0, max_new_tokens=16))
    for row in rows:
        arguments = {"pplm": to_json(pplm), "pplm_tokenizer": tokenizer, "pplm_class_loss": store.class_loss}
        arguments |= {"custom_generate": pplm_generate, "max_new_tokens": 16, "do_sample": False, "pad_token_id": 257}
        model: Any = tiny_base.model
        written = model.generate(torch.tensor([row.prompt_ids]), **arguments)[0, len(row.prompt_ids) :]
        assert written.tolist() == list(row.token_ids)


class Without(LogitsProcessor):
    """Forbids a token."""

    def __init__(self, token: int) -> None:
        self.token = token

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        return scores.index_fill(1, torch.tensor([self.token]), -torch.inf)


class After(StoppingCriteria):
    """Stops a row that has so many tokens beside padding; pads nothing."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        return (input_ids != 257).sum(1) >= self.count


def test_processors_and_criteria_take_part(write: Callable[..., Any]) -> None:
    """Without end tokens a row that a criterion has stopped goes on with the others, as in `generate`."""
    free = write(VOWELS, **ids_of(*PROMPTS))
    token = int(free[0, 16])
    bound = write(VOWELS, **ids_of(*PROMPTS), logits_processor=[Without(token)])
    assert token not in bound[:, 16:]
    criteria = {"stopping_criteria": StoppingCriteriaList([After(20)]), "max_new_tokens": 40, "eos_token_id": None}
    stopped = write(OFF[0], **ids_of(*PROMPTS), **criteria)
    assert stopped.shape[1] == 16 + 19
    assert torch.equal(stopped, write(None, **ids_of(*PROMPTS), **criteria))


def test_scores_and_logits_are_those_that_drew(write: Callable[..., Any]) -> None:
    arguments = {"return_dict_in_generate": True, "output_scores": True, "output_logits": True, "temperature": 0.5}
    arguments |= {"do_sample": True, "top_k": 0}
    plain, off = (write(pplm, **ids_of(*PROMPTS), **arguments) for pplm in (None, OFF[0]))
    assert torch.equal(off.sequences, plain.sequences)
    torch.testing.assert_close(off.scores, plain.scores, atol=1e-4, rtol=0)
    torch.testing.assert_close(off.logits, plain.logits, atol=1e-4, rtol=0)
    steered = write(VOWELS, **ids_of(*PROMPTS), **arguments)
    torch.testing.assert_close(steered.scores[3], steered.logits[3] / 0.5)


class Notes(BaseStreamer):
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.ended = False

    def put(self, value: Tensor) -> None:
        self.tokens += value.flatten().tolist()

    def end(self) -> None:
        self.ended = True


def test_a_streamer_is_given_every_token(write: Callable[..., Any]) -> None:
    notes = Notes()
    written = write(VOWELS, **ids_of("Once"), pplm_streamer=notes)
    assert (notes.tokens, notes.ended) == (written[0].tolist(), True)


def test_the_model_stays_as_it_was(write: Callable[..., Any], tiny_base: BaseModel) -> None:
    """Weights that want gradients get none; greedy decoding draws nothing; inference mode is no obstacle."""
    model = tiny_base.model
    model.requires_grad_(True)
    try:
        expected = write(PAPER, **ids_of("Once"))
        state = torch.get_rng_state()
        with torch.inference_mode():
            assert torch.equal(write(PAPER, **ids_of("Once")), expected)
        assert torch.equal(torch.get_rng_state(), state)
        assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
        assert not any(module._forward_pre_hooks for module in model.modules())
    finally:
        model.requires_grad_(False)


def test_a_model_brings_its_own_tokenizer(
    tiny_base: BaseModel, tokenizer: PreTrainedTokenizerFast, write: Callable[..., Any], tmp_path: Path
) -> None:
    tiny_base.model.save_pretrained(tmp_path)
    model: Any = type(tiny_base.model).from_pretrained(tmp_path)
    arguments = {"max_new_tokens": 12, "do_sample": False, "custom_generate": pplm_generate, "pplm": to_json(VOWELS)}
    with pytest.raises(UserError, match="no tokenizer beside the model .*: give pplm_tokenizer"):
        model.generate(ids_of("Once")["ids"], **arguments)
    tokenizer.save_pretrained(tmp_path)
    assert torch.equal(model.generate(ids_of("Once")["ids"], **arguments), write(VOWELS, **ids_of("Once")))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_beams": 2}, "leave out beams"),
        ({"prompt_lookup_num_tokens": 2}, "leave out beams"),
        ({"return_dict_in_generate": True, "output_hidden_states": True}, "scores and logits only"),
        ({"attention_mask": torch.tensor([[1, 1, 1, 0]])}, "Pad prompts on the left"),
        ({"attention_mask": torch.tensor([[1, 0, 1, 1]])}, "Pad prompts on the left"),
        ({"inputs_embeds": torch.zeros(1, 4, 32)}, "leave out inputs_embeds"),
        ({"pplm": {"attributes": [{"name": "x", "words": ["a"]}], "step_size": 7}}, "step_size: .* less than or equal"),
        ({"pplm": "science"}, "settings: "),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_said_in_a_line(
    write: Callable[..., Any], arguments: dict[str, Any], message: str
) -> None:
    others = {name: value for name, value in arguments.items() if name != "pplm"}
    with pytest.raises(UserError, match=message):
        write(arguments.get("pplm", VOWELS), ids_of("Once")["ids"], **others)


def test_a_cache_to_begin_with_is_refused(write: Callable[..., Any], tiny_base: BaseModel) -> None:
    ids = ids_of("Once")["ids"]
    cache = tiny_base.model(ids[:, :2], past_key_values=DynamicCache(), use_cache=True).past_key_values
    with pytest.raises(UserError, match="instead of past_key_values"):
        write(VOWELS, ids, past_key_values=cache)


def test_an_encoder_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    config: Any = T5Config(vocab_size=258, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    config.decoder_start_token_id = 0
    model: Any = T5ForConditionalGeneration(config)
    with pytest.raises(UserError, match="this one has an encoder"):
        model.generate(
            torch.tensor([[1, 2]]),
            max_new_tokens=2,
            custom_generate=pplm_generate,
            pplm=VOWELS,
            pplm_tokenizer=tokenizer,
        )


def test_numbers_that_go_wrong_are_not_written(write: Callable[..., Any], tiny_base: BaseModel) -> None:
    hook = tiny_base.model.get_output_embeddings().register_forward_hook(lambda *args: args[-1] * torch.nan)
    with pytest.raises(UserError, match="diverged while steering"):
        write(VOWELS, **ids_of("Once"))
    hook.remove()
