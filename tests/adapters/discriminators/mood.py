"""A random discriminator for the tiny models."""

import torch

from adapters.pplm.discriminator import Discriminator

GENERATOR = torch.Generator().manual_seed(5)
MOOD = Discriminator(
    ("down", "up", "flat"), torch.randn(3, 32, generator=GENERATOR) * 0.5, torch.randn(3, generator=GENERATOR)
)
