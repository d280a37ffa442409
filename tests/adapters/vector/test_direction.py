"""Directions against means computed the slow way."""

import copy
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from adapters.base_model import BaseModel
from adapters.vector.direction import layer_paths, ordered, pushes, residual_means, usual_layer

TEXTS = ("The quick brown fox", "a", "Once upon a time", "zzz")


def test_the_states_are_those_that_transformers_gives(tiny_base: BaseModel) -> None:
    own = replace(tiny_base, model=copy.deepcopy(tiny_base.model))  # transformers leaves hooks on it
    rows = [tiny_base.encode(text) for text in TEXTS]
    found = residual_means(tiny_base, layer_paths(tiny_base)[1], rows)
    for row, features in zip(rows, found, strict=True):
        ids = torch.tensor([row], device=tiny_base.device)
        states = own.model(input_ids=ids, output_hidden_states=True).hidden_states[2][0, 1:].cpu()
        torch.testing.assert_close(features[:-1], states.mean(0), atol=1e-5, rtol=1e-4)
        assert features[-1].item() == pytest.approx(np.mean([state.norm().item() for state in states]), rel=1e-4)
    assert not any(module._forward_hooks for module in tiny_base.model.modules())


def test_a_vector_points_from_the_other_classes_to_its_own_and_is_as_long_as_a_state() -> None:
    #                     two states of a, b, c                          and the norms
    features = np.array([[1, 0, 4], [3, 0, 4], [0, 1, 6], [0, 3, 6], [0, 0, 8], [0, 0, 8]], dtype=np.float32)
    labels = np.array([0, 0, 1, 1, 2, 2])
    first, second, third = pushes(features, labels, 3)  # differences (2, -1), (-1, 2), (-1, -1); mean norm 6
    np.testing.assert_allclose(first, 6 / np.sqrt(5) * np.array([2, -1]), rtol=1e-6)
    np.testing.assert_allclose(second, 6 / np.sqrt(5) * np.array([-1, 2]), rtol=1e-6)
    np.testing.assert_allclose(third, 6 / np.sqrt(2) * np.array([-1, -1]), rtol=1e-6)


def test_order_is_the_share_of_pairs() -> None:
    draw = np.random.default_rng(0)
    features, shows = draw.normal(size=(30, 5)).astype(np.float32), np.arange(30) % 3 == 0
    push = draw.normal(size=4).astype(np.float32)
    along = features[:, :4] @ push
    pairs = [along[i] > along[j] for i, j in product(range(30), range(30)) if shows[i] and not shows[j]]
    assert ordered(push, features, shows) == pytest.approx(np.mean(pairs))


def test_the_usual_layer_is_one_of_the_model(tiny_base: BaseModel) -> None:
    assert usual_layer(tiny_base) in layer_paths(tiny_base)
