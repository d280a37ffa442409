"""Steering vectors from labelled texts: differences of means in the residual stream of one decoder layer.

    push_c = norm * v_c / |v_c|,    v_c = mean over the texts of class c - mean over the texts of all other classes

(CAA: Rimsky et al., ACL 2024, arXiv 2312.06681; DiffMean of AxBench: Wu et al., ICML 2025, arXiv 2501.17148). A text
counts as the mean of its states. The first position is left out: many models keep a huge state there that says nothing.
Letters: N texts, B rows, T positions, C hidden size, K classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from adapters.base_model import BaseModel
from adapters.methods import UserError

DEPTH = 0.5  # of the layers lie below the one that is moved


def layer_paths(base: BaseModel) -> tuple[str, ...]:
    """Paths of the decoder layers. Raises UserError where they are not found."""
    count = base.cache_shape.num_layers
    for name, module in base.model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return tuple(f"{name}.{number}" for number in range(count))
    raise UserError(f"{base.id} has no list of {count} layers: a steering vector cannot be added to it.")


def usual_layer(base: BaseModel) -> str:
    """Path of the layer whose output is moved. Raises UserError where it is not found."""
    paths = layer_paths(base)
    return paths[int(DEPTH * len(paths))]


@torch.no_grad()
def residual_means(base: BaseModel, layer: str, rows: Sequence[Sequence[int]]) -> Tensor:
    """Of each row (B, C + 1): the mean state after `layer` over all tokens but the first, and the states' mean norm."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(base.device)  # (B, T), padded behind
    lengths = torch.tensor([len(row) for row in rows], device=base.device)  # (B,)
    columns = torch.arange(ids.shape[1], device=base.device)
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: object, output: Tensor | tuple[Tensor, ...]) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    handle = base.model.get_submodule(layer).register_forward_hook(keep)
    try:
        base.model.base_model(input_ids=ids, attention_mask=(columns < lengths[:, None]).long())
    finally:
        handle.remove()
    states = found[0].float()  # (B, T, C)
    both = torch.cat([states, states.norm(dim=-1, keepdim=True)], -1)
    counted = (columns > 0) & (columns < lengths[:, None])
    return (both.masked_fill(~counted[..., None], 0).sum(1) / (lengths[:, None] - 1).clamp(min=1)).cpu()


def pushes(features: NDArray[np.float32], labels: NDArray[np.int64], num_classes: int) -> NDArray[np.float32]:
    """The vectors (K, C) from `residual_means` (N, C + 1) and class indices (N,), each as long as a typical state."""
    means, norm = features[:, :-1], features[:, -1].mean()
    found = [means[labels == c].mean(0) - means[labels != c].mean(0) for c in range(num_classes)]
    return np.stack([norm * v / np.linalg.norm(v) for v in found])


def ordered(push: NDArray[np.float32], features: NDArray[np.float32], shows: NDArray[np.bool_]) -> float:
    """Share of the pairs of a text that shows the class and one that does not, in which the first lies further along.

    This is the area under the ROC curve. features (N, C + 1), shows (N,).
    """
    from sklearn.metrics import roc_auc_score  # takes a second

    return float(roc_auc_score(shows, features[:, :-1] @ push))
