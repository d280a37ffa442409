"""One forward pass over the newest tokens of a batch. B rows, Q tokens, V vocabulary, C hidden size."""

from typing import NamedTuple

from torch import Tensor
from transformers import Cache, PreTrainedModel

from adapters.kv import KV
from adapters.lora.rows import LoraRows


class Reading(NamedTuple):
    """What the model computes for the last of Q tokens of each row."""

    logits: Tensor  # (B, V), float32
    hidden: Tensor  # (B, Q, C), float32: the decoder's last states, after the final norm

    def detach(self) -> "Reading":
        return Reading(self.logits.detach(), self.hidden.detach())


def read(model: PreTrainedModel, tokens: Tensor, kv: KV, cache: Cache, lora: LoraRows) -> Reading:
    """Read ids (B, Q) or embeddings (B, Q, C) after the columns of `kv`, through a cache of it."""
    name = "inputs_embeds" if tokens.is_floating_point() else "input_ids"
    states: list[Tensor] = []
    hook = model.base_model.register_forward_hook(lambda module, args, out: states.append(out.last_hidden_state))
    try:
        with lora.applied():
            output = model(
                **{name: tokens}, past_key_values=cache, use_cache=True, logits_to_keep=1, **kv.inputs(tokens.shape[1])
            )
    finally:
        hook.remove()
    return Reading(output.logits[:, -1].float(), states[0].float())
