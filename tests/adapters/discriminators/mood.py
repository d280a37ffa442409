"""A random discriminator for the tiny models, and one with steering vectors."""

import torch

from adapters.pplm.discriminator import Discriminator
from adapters.vector.shifts import Vector

GENERATOR = torch.Generator().manual_seed(5)
MOOD = Discriminator(
    ("down", "up", "flat"), torch.randn(3, 32, generator=GENERATOR) * 0.5, torch.randn(3, generator=GENERATOR)
)


def moved(layer: str) -> Discriminator:
    """The same with a vector for each class at one layer."""
    draw = torch.Generator().manual_seed(6)
    return MOOD._replace(vectors=tuple(Vector(layer, torch.randn(32, generator=draw)) for _ in MOOD.classes))
