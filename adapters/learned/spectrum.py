"""The update of each module of a LoRA: singular values, norms, and a crop to look at.

    update = scaling * B A,   effective rank = exp(-sum_i p_i ln p_i) with p_i = s_i / sum_j s_j

(Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007; s: the singular values).
It is between 1 and r: the number of directions if all were equally strong.

B A is never made whole: with B = Q R and A' = P S, its singular values are those of the small R S'. A DoRA's gains are
in `Crop`; singular values and norms are of its low-rank part. Letters: r rank, b blocks of rows, c blocks of columns.
"""

import math
import re
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.base_model import BaseModel
from adapters.lora.lora import matrix
from adapters.lora.rows import LoraWeights
from adapters.methods import UserError

BLOCK = 32  # rows and columns of a crop
LAYER = re.compile(r"\.(\d+)\.")
Matrix = tuple[tuple[float, ...], ...]


class Update(NamedTuple):
    path: str  # in the base model
    size: tuple[int, int]  # (out, in) of W
    trained: int  # parameters
    singular_values: tuple[float, ...]  # (r,) of the update, the largest first
    base_norm: float  # Frobenius norm of W

    @property
    def layer(self) -> int | None:
        """From 0; None for a module outside of the layers."""
        found = LAYER.search(self.path)
        return int(found[1]) if found else None

    @property
    def module(self) -> str:
        """The path within the layer, such as `self_attn.q_proj`."""
        return LAYER.split(self.path, 1)[-1]

    @property
    def norm(self) -> float:
        return math.hypot(*self.singular_values)

    @property
    def relative(self) -> float:
        """Norm of the update as a share of that of W."""
        return self.norm / self.base_norm if self.base_norm else math.inf

    @property
    def effective_rank(self) -> float:
        """exp of the entropy of the normalised singular values; 0 where all of them are 0."""
        total = sum(self.singular_values)
        shares = [value / total for value in self.singular_values if value > 0]
        return round(math.exp(-sum(share * math.log(share) for share in shares)), 12) if shares else 0.0


class Crop(NamedTuple):
    """A square of W, its change, and their sum: the block that changes most."""

    path: str
    first_row: int
    first_column: int
    weight: Matrix
    change: Matrix
    adapted: Matrix


@torch.no_grad()
def updates(base: BaseModel, lora: LoraWeights) -> tuple[Update, ...]:
    """The update of each module of a LoRA, in the model's order."""
    values = [singular_values(a, b) * lora.scaling for a, b in lora.modules.values()]
    norms = torch.stack([matrix(base.model.get_submodule(path)).norm(dtype=torch.float32) for path in lora.modules])
    found = []
    for (path, (a, b)), each, norm in zip(lora.modules.items(), values, norms.tolist(), strict=True):
        gains = lora.gains[path].numel() if path in lora.gains else 0
        size, trained = (b.shape[0], a.shape[1]), a.numel() + b.numel() + gains
        found.append(Update(path, size, trained, tuple(each.tolist()), norm))
    return tuple(found)


def singular_values(a: Tensor, b: Tensor) -> Tensor:
    """Singular values of B A, falling, from matrices of r x r. a (r, in), b (out, r)"""
    left, right = torch.linalg.qr(b.float()).R, torch.linalg.qr(a.float().T).R
    return torch.linalg.svdvals(left @ right.T)


@torch.no_grad()
def crop(base: BaseModel, lora: LoraWeights, path: str) -> Crop:
    """The block of a module that a LoRA changes most. Raises UserError for a module it does not adapt."""
    if path not in lora.modules:
        raise UserError(f"This LoRA does not adapt {path[:100]!r}: choose one of its modules.")
    a, b = lora.modules[path]
    strongest = int(block_norms(a, b).argmax())
    across = -(-a.shape[1] // BLOCK)
    row, column = strongest // across * BLOCK, strongest % across * BLOCK
    rows, columns = slice(row, row + BLOCK), slice(column, column + BLOCK)
    weight = matrix(base.model.get_submodule(path))[rows, columns].float().cpu()
    adapted = weight + lora.scaling * (b[rows] @ a[:, columns])
    if path in lora.gains:
        adapted = lora.gains[path].cpu()[rows, None] * adapted
    return Crop(path, row, column, plain(weight), plain(adapted - weight), plain(adapted))


def block_norms(a: Tensor, b: Tensor) -> Tensor:
    """Squared Frobenius norm of each block of B A (b, c), without making it: <B_i' B_i, A_j A_j'> for block i, j."""
    rows = torch.stack([part.T @ part for part in b.split(BLOCK)])  # (b, r, r)
    columns = torch.stack([part @ part.T for part in a.split(BLOCK, dim=1)])  # (c, r, r)
    return torch.einsum("bij,cij->bc", rows, columns)


def plain(block: Tensor) -> Matrix:
    return tuple(map(tuple, block.tolist()))
