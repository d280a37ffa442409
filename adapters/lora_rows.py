"""The LoRA of each row of a batch, as one batched product per adapted module.

Knows the weights of adapters and the modules of the base model; knows nothing of where either comes from.

    y_b = W x_b + scale_b * scaling_b * B_b A_b x_b        (Hu et al., ICLR 2022, arXiv 2106.09685)

Letters: R rows with a LoRA, Q positions, r the largest rank among them (smaller ones are filled with zeros). Rows
without a LoRA stand first and are not touched, bit for bit. The shared model is changed only inside `applied`.
"""

import copy
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn


class LoraWeights(NamedTuple):
    """A LoRA to run: module path in the base model -> (A (r, in), B (out, r)), float32."""

    scaling: float
    modules: dict[str, tuple[Tensor, Tensor]]


class ScaledLora(NamedTuple):
    """A LoRA at a strength; scale 0 is the base model."""

    weights: LoraWeights
    scale: float


class LoraRows:
    """The LoRAs of the last rows of a batch, stacked by module."""

    def __init__(self, model: nn.Module, rows: Sequence[ScaledLora | None]) -> None:
        """`rows` has an entry for each row of the batch; those without a LoRA come first."""
        self.loras = [row for row in rows if row is not None]
        self.start = len(rows) - len(self.loras)
        assert all(row is None for row in rows[: self.start]), "rows without a LoRA come first"
        names = sorted({name for lora in self.loras for name in lora.weights.modules})
        self.modules = [(model.get_submodule(name), *self._stack(model, name)) for name in names]

    @cached_property
    def twice(self) -> "LoraRows":
        """The same for a batch in which every row stands twice in a row."""
        twin = copy.copy(self)
        twin.start = 2 * self.start
        twin.modules = [(m, a.repeat_interleave(2, 0), b.repeat_interleave(2, 0)) for m, a, b in self.modules]
        return twin

    def _stack(self, model: nn.Module, name: str) -> tuple[Tensor, Tensor]:
        """A transposed (R, in, r) and B transposed, with its scale (R, r, out), of one module."""
        weight = next(model.get_submodule(name).parameters())
        pairs = [lora.weights.modules.get(name) for lora in self.loras]
        shapes = [(a.shape[1], b.shape[0]) for a, b in (pair for pair in pairs if pair is not None)]
        rank = max(pair[0].shape[0] for pair in pairs if pair is not None)
        stacked_a = weight.new_zeros(len(pairs), shapes[0][0], rank)
        stacked_b = weight.new_zeros(len(pairs), rank, shapes[0][1])
        for row, (pair, lora) in enumerate(zip(pairs, self.loras, strict=True)):
            if pair is not None:
                a, b = pair
                stacked_a[row, :, : a.shape[0]] = a.T
                stacked_b[row, : a.shape[0]] = b.T * (lora.scale * lora.weights.scaling)
        return stacked_a, stacked_b

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Adds the LoRAs to the model's modules, and takes them away again whatever happens."""
        with ExitStack() as hooks:
            for module, a, b in self.modules:
                hooks.callback(module.register_forward_hook(self._hook(a, b)).remove)
            yield

    def _hook(self, a: Tensor, b: Tensor):  # type: ignore[no-untyped-def]  # the hook's type is torch's own
        start = self.start

        def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            output[start:].baddbmm_(torch.bmm(inputs[0][start:], a), b)  # (R, Q, out)
            return output

        return add
