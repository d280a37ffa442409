"""The published code of PPLM for one row, rewritten for today's caches: greedy, bags of words only.

As there, each token reads the whole text again for the unsteered distribution, moves every position of the past, and
runs each iteration forward and back through the whole model. Uses nothing of the engine.

Letters: L layers, H key/value heads, T positions, D head size, V vocabulary.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from adapters.methods import PPLM

SMALL = 1e-15  # added to norms and to probabilities of zero
Past = list[Tensor]  # keys and values by turns: 2 L tensors (1, H, T, D)


def tokens(model: PreTrainedModel, prompt: Tensor, words: Sequence[int], settings: PPLM) -> Iterator[int]:
    """Yield the tokens after `prompt` (1, T), without end, steered towards the tokens `words`."""
    text, bag = prompt, torch.tensor(words, device=prompt.device)
    largest = [0.0] * model.config.num_hidden_layers
    with torch.no_grad():
        _, past = read(model, text[:, :-1], [])
    while True:
        with torch.no_grad():
            unsteered = read(model, text, [])[0].softmax(-1)
        nudge = pushed(model, text[:, -1:], past, bag, settings, unsteered, largest)
        with torch.no_grad():
            logits, past = read(model, text[:, -1:], [state + step for state, step in zip(past, nudge, strict=True)])
        fused = logits.softmax(-1) ** settings.gm_scale * unsteered ** (1 - settings.gm_scale)
        token = fused.argmax(-1)
        text = torch.cat([text, token[:, None]], dim=1)
        yield int(token)


def read(model: PreTrainedModel, ids: Tensor, past: Past) -> tuple[Tensor, Past]:
    """Logits (1, V) after `ids` (1, Q) that follow `past`, and the past with them."""
    cache = DynamicCache()
    for layer in range(len(past) // 2):
        cache.update(past[2 * layer], past[2 * layer + 1], layer)
    logits = model(input_ids=ids, past_key_values=cache, use_cache=True).logits[:, -1]
    layers: Any = cache.layers
    return logits, [tensor for layer in layers for tensor in (layer.keys, layer.values)]


def pushed(
    model: PreTrainedModel,
    token: Tensor,
    past: Past,
    bag: Tensor,
    settings: PPLM,
    unsteered: Tensor,
    largest: list[float],
) -> Past:
    """The change of the past; updates `largest`, each layer's largest norm so far."""
    nudge = [torch.zeros_like(state) for state in past]
    for _ in range(settings.num_iterations):
        leaves = [step.detach().requires_grad_() for step in nudge]
        with torch.enable_grad():
            moved = [state + step for state, step in zip(past, leaves, strict=True)]
            steered = read(model, token, moved)[0].softmax(-1)
            loss = -steered[:, bag].sum().log()
            ratio = (steered + SMALL * (steered <= SMALL)) / (unsteered + SMALL * (unsteered <= SMALL))
            loss = loss + settings.kl_scale * (steered * ratio.log()).sum()
            gradients = torch.autograd.grad(loss, leaves)
        for layer in range(len(largest)):
            pair = slice(2 * layer, 2 * layer + 2)
            norm = torch.cat([gradient.flatten() for gradient in gradients[pair]]).norm() + SMALL
            largest[layer] = max(largest[layer], float(norm))
            size = settings.step_size / largest[layer] ** settings.gamma
            nudge[pair] = [step - size * gradient for step, gradient in zip(nudge[pair], gradients[pair], strict=True)]
    return nudge
