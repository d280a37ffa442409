"""PPLM in transformers' own `generate`: `model.generate(..., custom_generate=pplm_generate, pplm=...)`.

With the modules that it imports, this file is also `custom_generate/generate.py` of a folder for the Hub, with
`generate` as its entry.

Letters: B rows, R of them still running, T tokens so far, N tokens at most, V vocabulary.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    GenerationMixin,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteriaList,
)
from transformers.generation import GenerateDecoderOnlyOutput, GenerationMode
from transformers.generation.streamers import BaseStreamer

from adapters.kv import KV, cache_shape
from adapters.lora.rows import LoraRows
from adapters.methods import PPLM, UserError, from_json
from adapters.pplm.bags import AttributeLoss, WeightedLoss, attribute_loss, unknown_class
from adapters.pplm.past import read
from adapters.pplm.steering import Steering

MODES = (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE)
# Arguments that `generate` adds. Positions are counted from the mask, and the cache is our own.
EXPECTED = frozenset(["attention_mask", "position_ids", "past_key_values", "use_cache", "logits_to_keep"])


def generate(
    model: PreTrainedModel,
    pplm: PPLM | dict[str, Any],
    tokenizer: PreTrainedTokenizerBase | None = None,
    streamer: BaseStreamer | None = None,
    **arguments: Any,
) -> GenerateDecoderOnlyOutput | Tensor:
    """The entry for `model.generate(..., custom_generate=FOLDER, trust_remote_code=True, pplm=...)`."""
    own = {"pplm": pplm, "pplm_tokenizer": tokenizer, "pplm_streamer": streamer}
    mixin: Any = GenerationMixin  # not `model.generate`, which is this function if the model lies in the same folder
    output: GenerateDecoderOnlyOutput | Tensor
    output = mixin.generate(model, custom_generate=pplm_generate, **own, **arguments)
    return output


def pplm_generate(
    model: PreTrainedModel,
    input_ids: Tensor,
    logits_processor: LogitsProcessorList,
    stopping_criteria: StoppingCriteriaList,
    generation_config: GenerationConfig,
    pplm: PPLM | dict[str, Any],
    pplm_tokenizer: PreTrainedTokenizerBase | None = None,
    pplm_streamer: BaseStreamer | None = None,
    pplm_class_loss: Callable[[str], AttributeLoss] = unknown_class,
    **model_kwargs: Any,
) -> GenerateDecoderOnlyOutput | Tensor:
    """Decode under PPLM; all other arguments mean what they mean in `generate`, torch's seed included.

    `pplm`: the settings, or plain data: {"attributes": [{"name": "sea", "words": ["ship", "wave"]}]}.
    `pplm_tokenizer` encodes the words; by default the one beside the model. `pplm_streamer` gets the tokens (`generate`
    passes neither `tokenizer` nor `streamer` to a callable). `pplm_class_loss` gives the loss for an attribute
    "NAME:CLASS", as `AdapterStore.class_loss` does. Raises UserError, a ValueError, for what PPLM cannot do (beams, an
    encoder, a given cache or embeddings) and for text that diverges.
    """
    settings = pplm if isinstance(pplm, PPLM) else from_json(PPLM, pplm)
    if settings.best_of > 1:
        raise UserError("best_of is not possible here: set num_return_sequences and choose a text.")
    mask = prompt_mask(model, input_ids, generation_config, model_kwargs)
    tokenizer = own_tokenizer(model.name_or_path) if pplm_tokenizer is None else pplm_tokenizer
    # Steering takes gradients, and tensors made in inference mode can have none.
    with torch.inference_mode(False), torch.no_grad():
        loss = attribute_loss(tokenizer, settings.attributes, model.device, pplm_class_loss)
        # Columns to come: tokens to write (`generate` has set the length), and the horizon.
        room = generation_config.max_length - mask.shape[1] + settings.horizon_length
        whole = torch.cat([mask, mask.new_ones(len(mask), room)], dim=1)  # (B, N)
        rows = SteeredRows(model, input_ids.to(model.device, copy=True), whole, settings, loss)
        return decode(rows, input_ids.clone(), logits_processor, stopping_criteria, generation_config, pplm_streamer)


def decode(
    rows: "SteeredRows",
    ids: Tensor,
    logits_processor: Any,  # these two are typed for LongTensor, which nothing makes
    stopping_criteria: Any,
    config: GenerationConfig,
    streamer: BaseStreamer | None,
) -> GenerateDecoderOnlyOutput | Tensor:
    """The loop of `generate` over ids (B, T), with steered logits."""
    scores: Any = () if config.return_dict_in_generate and config.output_scores else None
    raw: Any = () if config.return_dict_in_generate and config.output_logits else None
    # As in `generate`, a row that has ended is padded only if there are end tokens; else it goes on with the rest.
    pad = config._pad_token_tensor if any(hasattr(c, "eos_token_id") for c in stopping_criteria) else None
    unfinished = torch.ones(len(ids), dtype=torch.bool, device=ids.device)
    if streamer is not None:
        streamer.put(ids.cpu())
    while unfinished.any():
        logits = rows.logits(ids[:, -1]).to(ids.device)
        processed = logits_processor(ids, logits)
        tokens = processed.softmax(-1).multinomial(1)[:, 0] if config.do_sample else processed.argmax(-1)
        if pad is not None:
            tokens = torch.where(unfinished, tokens, pad.to(ids.device))
        ids = torch.cat([ids, tokens[:, None]], dim=1)
        scores = None if scores is None else (*scores, processed)
        raw = None if raw is None else (*raw, logits)
        if streamer is not None:
            streamer.put(tokens.cpu())
        unfinished &= ~stopping_criteria(ids, scores)
        if pad is not None:
            rows.keep(unfinished)
    if streamer is not None:
        streamer.end()
    output: Any = GenerateDecoderOnlyOutput
    return output(sequences=ids, scores=scores, logits=raw) if config.return_dict_in_generate else ids


class SteeredRows:
    """The rows of a batch under one setting; rows that have ended cost nothing."""

    def __init__(self, model: PreTrainedModel, prompts: Tensor, mask: Tensor, settings: PPLM, loss: WeightedLoss):
        """Reads prompts (B, T), padded on the left as in mask (B, N), without their last token."""
        count, length = prompts.shape
        self.model, self.count = model, count
        self.running = torch.arange(count, device=prompts.device)  # (R,)
        self.lora = LoraRows.of(model, [None] * count)
        like = torch.empty(0, dtype=model.dtype, device=model.device)
        self.kv = KV.empty(cache_shape(model), mask, like)
        hidden_sum = None
        if length > 1:
            reading = read(model, prompts[:, :-1], self.kv, self.kv.cache(), self.lora)
            hidden_sum = reading.hidden.masked_fill(~mask[:, : length - 1, None], 0).sum(1)  # (B, C)
            self.kv.length = length - 1
        ids = [row[real].tolist() for row, real in zip(prompts, mask[:, :length], strict=True)]
        self.steering = Steering.begin(model, [settings] * count, [loss] * count, ids, self.kv, hidden_sum)

    def keep(self, unfinished: Tensor) -> None:
        """Drop the rows that have ended, by unfinished (B,)."""
        places = unfinished.to(self.running.device)[self.running].nonzero()[:, 0]
        if len(places) < len(self.running):
            self.running, self.kv = self.running[places], self.kv.rows(places)
            self.lora = self.lora.rows(places.tolist())
            self.steering.keep(places, places.tolist())

    def logits(self, tokens: Tensor) -> Tensor:
        """Steered logits (B, V) after the newest tokens (B,); 0 in dropped rows, so that the others draw the same."""
        newest = tokens.to(self.running.device)[self.running, None]
        with torch.enable_grad():  # `generate` turns it off; steering knows where it needs none
            steps = self.steering.step(newest, self.kv, self.lora)
            try:
                while True:
                    next(steps)
            except StopIteration as end:
                fused: Tensor = end.value.fused  # (R, V)
        if not fused.isfinite().all():
            raise UserError("The text diverged while steering: lower step_size or gamma.")
        return fused.new_zeros(self.count, fused.shape[-1]).index_copy(0, self.running, fused)


def prompt_mask(
    model: PreTrainedModel, input_ids: Tensor, config: GenerationConfig, model_kwargs: Mapping[str, Any]
) -> Tensor:
    """Mask (B, T) of the tokens that are not padding. Raises UserError for what PPLM cannot do."""
    if model.config.is_encoder_decoder:
        raise UserError("PPLM needs a decoder-only model: this one has an encoder.")
    if config.get_generation_mode() not in MODES:
        raise UserError("PPLM samples or is greedy: leave out beams, assistants and contrastive search.")
    if config.return_dict_in_generate and (config.output_attentions or config.output_hidden_states):
        raise UserError("PPLM returns scores and logits only: leave out output_attentions and output_hidden_states.")
    unknown = [name for name, value in model_kwargs.items() if value is not None and name not in EXPECTED]
    if unknown:
        raise UserError(f"PPLM takes tokens and their mask only: leave out {', '.join(sorted(unknown))}.")
    past = model_kwargs.get("past_key_values")
    if past is not None and past.get_seq_length():
        raise UserError("PPLM has its own cache: give the whole text instead of past_key_values.")
    given = model_kwargs.get("attention_mask")
    mask = torch.ones_like(input_ids, dtype=torch.bool) if given is None else given.bool()
    if (mask[:, 1:] < mask[:, :-1]).any() or not mask[:, -1].all():
        raise UserError("Pad prompts on the left: set tokenizer.padding_side = 'left'.")
    return mask.to(model.device)


@lru_cache(maxsize=1)
def own_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer beside a model of this name. Raises UserError if there is none."""
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(name)
        empty = not tokenizer.encode("word")  # without a file GPT-2 gets an empty tokenizer
    except (OSError, ValueError):
        empty = True
    if empty:
        raise UserError(f"There is no tokenizer beside the model {name!r}: give pplm_tokenizer.")
    return tokenizer
