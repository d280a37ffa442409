"""The LoRAs of a batch against each row's product alone, and what they cost in memory."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from adapters.lora.rows import LoraRows, LoraWeights, ScaledLora

IN, OUT = 24, 10


class Pair(nn.Module):
    """Two linear layers beside each other."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.one, self.two = nn.Linear(IN, OUT), nn.Linear(IN, OUT, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.one(x), self.two(x)])


def lora(rank: int, seed: int, dora: bool = False, names: tuple[str, ...] = ("one", "two")) -> LoraWeights:
    draw = torch.Generator().manual_seed(seed)
    pairs = {n: (torch.randn(rank, IN, generator=draw), torch.randn(OUT, rank, generator=draw)) for n in names}
    gains = {name: 0.5 + torch.rand(OUT, generator=draw) for name in names} if dora else {}
    return LoraWeights(1 / rank, pairs, gains)


def slow(model: Pair, row: ScaledLora | None, x: Tensor) -> Tensor:
    """One row (Q, in) under its LoRA, with the whole weight made."""
    outputs = []
    for name, layer in (("one", model.one), ("two", model.two)):
        weight = layer.weight
        if row is not None and name in row.weights.modules:
            a, b = row.weights.modules[name]
            full = weight + row.weights.scaling * (b @ a)
            if name in row.weights.gains:
                full = row.weights.gains[name][:, None] * full
            weight = weight + row.scale * (full - weight)
        outputs.append(nn.functional.linear(x, weight, layer.bias))
    return torch.stack(outputs)


def bytes_of(rows: LoraRows) -> int:
    return sum(part.untyped_storage().nbytes() for s in rows.stacks for part in (s.a, s.b, s.gain) if part is not None)


VERSE, SPACE, DORA, HALF = lora(3, 1), lora(2, 2), lora(4, 3, dora=True), lora(2, 4, names=("two",))
BATCHES: dict[str, list[ScaledLora | None]] = {
    "one each": [None, ScaledLora(VERSE, 1.0), ScaledLora(SPACE, 1.0)],
    "same": [ScaledLora(VERSE, 1.0)] * 4,
    "scales": [None, None, *(ScaledLora(VERSE, scale) for scale in (0.0, 0.4, 1.0, 2.0))],
    "uneven": [None, *[ScaledLora(VERSE, 1.0)] * 2, *[ScaledLora(DORA, 1.0)] * 3, ScaledLora(HALF, 0.3)],
    "even": [*[ScaledLora(SPACE, 0.5)] * 2, *[ScaledLora(DORA, 0.7)] * 2, *[ScaledLora(HALF, 1.0)] * 2],
    "apart": [ScaledLora(DORA, 1.0), ScaledLora(VERSE, 1.0), ScaledLora(DORA, 0.2)],
    "none": [None, None],
}


def kept(count: int) -> Iterator[list[int]]:
    """All rows, and then some of them, also twice."""
    yield [*range(count)]
    yield [*range(0, count, 2)]
    yield [row for row in range(1, count) for _ in range(2)]


@pytest.mark.parametrize("name", BATCHES)
def test_each_row_has_its_own_lora(name: str) -> None:
    batch, model = BATCHES[name], Pair().requires_grad_(False)
    whole = LoraRows.of(model, batch)
    for index in kept(len(batch)):
        x = torch.randn(len(index), 5, IN)
        for lora_rows, inputs, rows in (
            (whole.rows(index), x, index),
            (whole.rows(index).twice, x.repeat_interleave(2, 0), [row for row in index for _ in range(2)]),
        ):
            with lora_rows.applied():
                found = model(inputs)
            expected = torch.stack([slow(model, batch[row], x) for row, x in zip(rows, inputs, strict=True)], 1)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
            base = [place for place, row in enumerate(rows) if batch[row] is None]
            assert torch.equal(found[:, base], model(inputs)[:, base]), "rows without a LoRA are untouched, bit for bit"


def test_a_lora_costs_its_memory_once_and_rows_that_end_cost_nothing() -> None:
    one = LoraRows.of(Pair(), [ScaledLora(VERSE, 1.0)])
    many = LoraRows.of(Pair(), [None, *[ScaledLora(VERSE, 0.5 + n / 64) for n in range(64)]])
    assert bytes_of(many) == bytes_of(one) == sum(a.nbytes + b.nbytes for a, b in VERSE.modules.values())
    fewer = many.rows([0, 5, 9])
    assert [s.a.data_ptr() for s in fewer.stacks] == [s.a.data_ptr() for s in many.stacks]
    assert [s.b.data_ptr() for s in fewer.twice.stacks] == [s.b.data_ptr() for s in many.stacks]


@pytest.mark.parametrize(
    ("name", "products"), [("same", 1), ("one each", 1), ("scales", 1), ("even", 1), ("uneven", 3)]
)
def test_rows_share_products(name: str, products: int) -> None:
    assert len(LoraRows.of(Pair(), BATCHES[name]).parts) == products


def test_gradients_reach_the_inputs() -> None:
    model, x = Pair().requires_grad_(False), torch.randn(3, 2, IN, requires_grad=True)
    with LoraRows.of(model, BATCHES["one each"]).applied():
        (found,) = torch.autograd.grad(model(x).square().sum(), x)
    expected = torch.stack([slow(model, row, x) for row, x in zip(BATCHES["one each"], x, strict=True)])
    torch.testing.assert_close(found, torch.autograd.grad(expected.square().sum(), x)[0], atol=1e-4, rtol=1e-4)


def test_rows_without_a_lora_come_first() -> None:
    with pytest.raises(AssertionError, match="base rows first"):
        LoraRows.of(Pair(), [ScaledLora(VERSE, 1.0), None])


def test_weights_are_taken_over_from_the_same_loras_only() -> None:
    """Rows that join a batch may have as many LoRAs as were there before, but other ones."""
    model, one, other = Pair(), lora(2, 1), lora(2, 2)
    before = LoraRows.of(model, [ScaledLora(one, 1.0)])
    again = LoraRows.of(model, [None, ScaledLora(one, 0.5)], before)
    assert again.stacks[0].a is before.stacks[0].a
    new = LoraRows.of(model, [ScaledLora(other, 1.0)], before)
    assert new.different == [other]
    assert torch.equal(new.stacks[0].a, LoraRows.of(model, [ScaledLora(other, 1.0)]).stacks[0].a)
