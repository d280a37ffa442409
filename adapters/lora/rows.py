"""The LoRA of each row of a batch, as one batched product per adapted module.

Knows the weights of adapters and the modules of the base model; knows nothing of where either comes from.

    y_b = W x_b + scale_b * scaling_b * B_b A_b x_b        (Hu et al., ICLR 2022, arXiv 2106.09685)

A DoRA (Liu et al., ICML 2024) also scales each output by a constant gain g; at a scale between, W moves that share of
the way to g (W + scaling B A), so that scale 0 is the base model here too.

Letters: R rows with a LoRA, Q positions, r the largest rank among them (smaller ones are filled with zeros). Rows
without a LoRA stand first and are not touched, bit for bit. The shared model is changed only inside `applied`.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)  # compared by identity
class LoraWeights:
    """A LoRA to run: module path in the base model -> (A (r, in), B (out, r)), float32."""

    scaling: float
    modules: dict[str, tuple[Tensor, Tensor]]
    gains: Mapping[str, Tensor] = field(default_factory=dict)  # of a DoRA: module path -> g (out,)


class ScaledLora(NamedTuple):
    """A LoRA at a strength; scale 0 is the base model."""

    weights: LoraWeights
    scale: float


class Stacked(NamedTuple):
    """What is added at one module."""

    module: nn.Module
    a: Tensor  # (R, in, r), A transposed
    b: Tensor  # (R, r, out), B transposed, with its scale
    gain: Tensor | None  # (R, 1, out) where a row scales its outputs

    def twice(self) -> "Stacked":
        """The same for rows that stand twice in a row."""
        gain = None if self.gain is None else self.gain.repeat_interleave(2, 0)
        return Stacked(self.module, self.a.repeat_interleave(2, 0), self.b.repeat_interleave(2, 0), gain)


class LoraRows:
    """The LoRAs of the last rows of a batch, stacked by module."""

    def __init__(self, model: nn.Module, rows: Sequence[ScaledLora | None]) -> None:
        """`rows` has an entry for each row of the batch; those without a LoRA come first."""
        self.loras = [row for row in rows if row is not None]
        self.start = len(rows) - len(self.loras)
        assert all(row is None for row in rows[: self.start]), "rows without a LoRA come first"
        names = sorted({name for lora in self.loras for name in lora.weights.modules})
        self.modules = [self._stack(model, name) for name in names]

    @cached_property
    def twice(self) -> "LoraRows":
        """The same for a batch in which every row stands twice in a row."""
        twin = copy.copy(self)
        twin.start = 2 * self.start
        twin.modules = [stacked.twice() for stacked in self.modules]
        return twin

    def _stack(self, model: nn.Module, name: str) -> Stacked:
        """Everything of one module, rows without an adapter there filled with zeros (and gains of one)."""
        module = model.get_submodule(name)
        weight = next(module.parameters())
        pairs = [lora.weights.modules.get(name) for lora in self.loras]
        shapes = [(a.shape[1], b.shape[0]) for a, b in (pair for pair in pairs if pair is not None)]
        rank = max(pair[0].shape[0] for pair in pairs if pair is not None)
        stacked_a = weight.new_zeros(len(pairs), shapes[0][0], rank)
        stacked_b = weight.new_zeros(len(pairs), rank, shapes[0][1])
        gains = None
        if any(name in lora.weights.gains for lora in self.loras):
            gains = weight.new_ones(len(pairs), 1, shapes[0][1])
        for row, (pair, lora) in enumerate(zip(pairs, self.loras, strict=True)):
            if pair is not None:
                a, b = pair
                stacked_a[row, :, : a.shape[0]] = a.T
                stacked_b[row, : a.shape[0]] = b.T * (lora.scale * lora.weights.scaling)
            if gains is not None and (gain := lora.weights.gains.get(name)) is not None:
                stacked_b[row] *= gain.to(weight)
                gains[row, 0] = 1 + lora.scale * (gain - 1)
        return Stacked(module, stacked_a, stacked_b, gains)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Adds the LoRAs to the model's modules, and takes them away again whatever happens."""
        with ExitStack() as hooks:
            for stacked in self.modules:
                hooks.callback(stacked.module.register_forward_hook(self._hook(stacked)).remove)
            yield

    def _hook(self, stacked: Stacked):  # type: ignore[no-untyped-def]  # the hook's type is torch's own
        start, (layer, a, b, gain) = self.start, stacked
        bias = getattr(layer, "bias", None)
        shift = None if gain is None or bias is None else bias * (1 - gain)  # a bias is not scaled

        def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            own = output[start:]  # (R, Q, out)
            if gain is not None:
                own.mul_(gain)
            if shift is not None:
                own.add_(shift)
            own.baddbmm_(torch.bmm(inputs[0][start:], a), b)
            return output

        return add
