"""The LoRAs of a batch, as few batched products per adapted module.

    y = W x + scale * scaling * B A x        (Hu et al., ICLR 2022, arXiv 2106.09685)

A DoRA (Liu et al., ICML 2024) also multiplies each output by a constant gain g; at a scale between 0 and 1, W moves
that share of the way to g (W + scaling B A), so that scale 0 is the base model here too.

Each different LoRA is kept once, however many rows use it. Rows without a LoRA stand first and are not touched, bit for
bit; rows with the same LoRA should be neighbours, since each run of them costs a product. The shared model is changed
only inside `applied`, where the steering vectors of the rows are added too.

Letters: B rows, D different LoRAs, Q positions, r the largest rank (smaller ones are filled with zeros).
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor, nn

from adapters.vector.shifts import Shift, Shifts


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


class Stack(NamedTuple):
    """All LoRAs of a batch at one module; zeros, and gains of one, for those that leave it alone."""

    module: nn.Module
    a: Tensor  # (D, in, r), A transposed
    b: Tensor  # (D, r, out), B transposed, times scaling and gain
    gain: Tensor | None  # (D, 1, out) if any of them is a DoRA


class Use(NamedTuple):
    number: int  # among the D different ones
    scale: float


class Part(NamedTuple):
    """Neighbouring rows that one product serves: the same number for each of some LoRAs that follow each other."""

    rows: slice  # of the batch
    loras: slice  # of D
    scales: Tensor | None  # (rows, 1, 1); None if all are 1


class LoraRows:
    def __init__(
        self,
        stacks: Sequence[Stack],
        uses: Sequence[Use | None],
        different: Sequence[LoraWeights] = (),
        shifts: Shifts | None = None,
    ) -> None:
        """`different`: the D LoRAs of the stacks."""
        self.stacks, self.uses, self.different, self.shifts = stacks, uses, different, shifts or Shifts({})
        assert not any(before and not after for before, after in zip(uses, uses[1:], strict=False)), "base rows first"

    @classmethod
    def of(
        cls,
        model: nn.Module,
        rows: Sequence[ScaledLora | None],
        known: "LoraRows | None" = None,
        shifts: Sequence[Sequence[Shift]] = (),
    ) -> "LoraRows":
        """`rows` has an entry for each row of the batch, and so has `shifts` if any has a vector.

        Rows without a LoRA come first.

        Where `known` has the same LoRAs, its weights are taken instead of copying them again.
        """
        different = [*dict.fromkeys(row.weights for row in rows if row is not None)]
        if known is not None and {*different} == {*known.different}:
            stacks, different = [*known.stacks], [*known.different]
        else:
            names = sorted({name for lora in different for name in lora.modules})
            stacks = [stack(model, name, different) for name in names]
        numbers = {lora: number for number, lora in enumerate(different)}
        uses = [None if row is None else Use(numbers[row.weights], row.scale) for row in rows]
        return cls(stacks, uses, different, Shifts.of(model, shifts))

    def rows(self, index: Sequence[int]) -> "LoraRows":
        """The rows at `index`; a row may be named more than once. No weights are copied."""
        return LoraRows(self.stacks, [self.uses[row] for row in index], self.different, self.shifts.rows(index))

    @cached_property
    def twice(self) -> "LoraRows":
        """The same for a batch in which every row stands twice in a row."""
        return self.rows([row for row in range(len(self.uses)) for _ in range(2)])

    @cached_property
    def parts(self) -> list[Part]:
        """The products that a module needs."""
        uses = [use for use in self.uses if use is not None]
        runs = [(number, len(list(same))) for number, same in groupby(use.number for use in uses)]
        parts, row = [], 0  # among the rows with a LoRA
        # Runs of one size, of LoRAs that follow each other: their numbers grow like their places.
        for (_, size), following in groupby(enumerate(runs), lambda run: (run[1][0] - run[0], run[1][1])):
            numbers = [number for _, (number, _) in following]
            scales = [use.scale for use in uses[row : row + size * len(numbers)]]
            first, row = len(self.uses) - len(uses) + row, row + len(scales)
            factors = None if set(scales) == {1} else self.stacks[0].a.new_tensor(scales)[:, None, None]
            parts.append(Part(slice(first, first + len(scales)), slice(numbers[0], numbers[-1] + 1), factors))
        return parts

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Adds the LoRAs to the model's modules, and takes them away again whatever happens."""
        with self.shifts.applied(), ExitStack() as hooks:
            for stacked in self.stacks if self.parts else ():
                hooks.callback(stacked.module.register_forward_hook(hook(stacked, self.parts)).remove)
            yield


def stack(model: nn.Module, name: str, loras: Sequence[LoraWeights]) -> Stack:
    module = model.get_submodule(name)
    weight = next(module.parameters())
    pairs = [lora.modules.get(name) for lora in loras]
    shapes = [(a.shape[1], a.shape[0], b.shape[0]) for a, b in (pair for pair in pairs if pair is not None)]
    rank = max(shape[1] for shape in shapes)
    stacked_a = weight.new_zeros(len(loras), shapes[0][0], rank)
    stacked_b = weight.new_zeros(len(loras), rank, shapes[0][2])
    gains = None
    if any(name in lora.gains for lora in loras):
        gains = weight.new_ones(len(loras), 1, shapes[0][2])
    for number, (pair, lora) in enumerate(zip(pairs, loras, strict=True)):
        if pair is not None:
            a, b = pair
            stacked_a[number, :, : a.shape[0]] = a.T
            stacked_b[number, : a.shape[0]] = b.T * lora.scaling
        if gains is not None and (gain := lora.gains.get(name)) is not None:
            stacked_b[number] *= gain.to(weight)
            gains[number, 0] = gain
    return Stack(module, stacked_a, stacked_b, gains)


def hook(stacked: Stack, parts: Sequence[Part]):  # type: ignore[no-untyped-def]  # the hook's type is torch's own
    """A forward hook that adds the LoRAs to the rows of a module's output."""
    module, a, b, gain = stacked
    bias = getattr(module, "bias", None)
    products = [(part, a[part.loras], b[part.loras], None if gain is None else gain[part.loras]) for part in parts]

    def add(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        for (rows, _, scales), a, b, gain in products:
            x, own = inputs[0][rows], output[rows]  # (rows, Q, in), (rows, Q, out)
            inner = torch.bmm(x.reshape(len(a), -1, x.shape[-1]), a)  # (loras, rows * Q / loras, r)
            if scales is not None:
                inner = (inner.view(*x.shape[:2], -1) * scales).view(inner.shape)
            if gain is not None:
                scale_outputs(own, gain, scales, bias)
            own.view(len(b), -1, own.shape[-1]).baddbmm_(inner, b)
        return output

    return add


def scale_outputs(own: Tensor, gain: Tensor, scales: Tensor | None, bias: Tensor | None) -> None:
    """Multiplies outputs (rows, Q, out), without their bias, by the gains (loras, 1, out) of their DoRA at a scale."""
    each = gain.repeat_interleave(len(own) // len(gain), 0)  # (rows, 1, out)
    if scales is not None:
        each = 1 + scales * (each - 1)
    own.mul_(each)
    if bias is not None:
        own.add_(bias * (1 - each))
