"""What may be drawn, and how often: against transformers' own warpers, and by hand."""

import pytest
import torch
from torch import Generator, Tensor
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from adapters.decoding.sampling import NUCLEUS, Sampler, candidates, draw
from adapters.methods import Sampling

VOCABULARY = 3000  # more than NUCLEUS


def logits(spread: float, rows: int = 4) -> Tensor:
    return torch.randn(rows, VOCABULARY, generator=Generator().manual_seed(0)) * spread


def distribution(scores: Tensor, top_k: int, top_p: float) -> Tensor:
    """The probability (B, V) of being drawn of every token."""
    weights, tokens = candidates(scores, top_k, top_p)
    weights = weights / weights.sum(-1, keepdim=True)
    return weights if tokens is None else torch.zeros_like(scores).scatter(-1, tokens, weights)


def generators(count: int) -> list[Generator]:
    return [Generator().manual_seed(seed) for seed in range(count)]


@pytest.mark.parametrize("top_p", [1.0, 0.9, 0.3, 1e-6])
@pytest.mark.parametrize("top_k", [0, 1, 50, 10_000])
@pytest.mark.parametrize("spread", [0.1, 3.0], ids=["flat: the nucleus is most of the vocabulary", "peaked"])
def test_tokens_are_drawn_as_often_as_generate_draws_them(spread: float, top_k: int, top_p: float) -> None:
    theirs = logits(spread)
    if top_k:
        theirs = TopKLogitsWarper(top_k)(None, theirs)
    if top_p < 1:
        theirs = TopPLogitsWarper(top_p)(None, theirs)
    mine = distribution(logits(spread), top_k, top_p)
    # In float32 a sum of thousands of probabilities may leave out or let in the last, least likely token of a nucleus.
    assert (mine - theirs.softmax(-1)).abs().max() < 1e-3 / (1 if spread < 1 else 10)
    assert (mine > 0).sum(-1).tolist() == pytest.approx((theirs > -torch.inf).sum(-1).tolist(), abs=2)


def test_a_nucleus_that_is_larger_than_usual_is_whole() -> None:
    kept = (distribution(torch.zeros(1, VOCABULARY), 0, 0.9) > 0).sum().item()
    assert NUCLEUS < kept == pytest.approx(0.9 * VOCABULARY, abs=1)


def test_a_draw_by_hand() -> None:
    """Weights 1 : 0 : 3 : 0; a share below a quarter takes the first, else the third, and never one of weight zero."""
    weights = torch.tensor([[1.0, 0.0, 3.0, 0.0]]).repeat(400, 1)
    shares = [torch.rand(1, 1, generator=g, dtype=torch.float64).item() for g in generators(400)]
    assert draw(weights, generators(400)).tolist() == [0 if share < 0.25 else 2 for share in shares]


def test_draws_follow_the_weights() -> None:
    count = 4000
    places = draw(torch.tensor([[0.1, 0.2, 0.7]]).repeat(count, 1), generators(count))
    shares = (torch.bincount(places, minlength=3) / count).tolist()
    assert shares == pytest.approx([0.1, 0.2, 0.7], abs=4 * (0.25 / count) ** 0.5)


def test_temperature_comes_before_the_nucleus() -> None:
    sampler = Sampler(Sampling(temperature=0.5, top_p=0.8))
    scores = logits(1.0, rows=1).repeat(500, 1)
    warped = TopPLogitsWarper(0.8)(None, TemperatureLogitsWarper(0.5)(None, scores[:1]))
    allowed = set((warped[0] > -torch.inf).nonzero()[:, 0].tolist())
    drawn = sampler(scores, [[]] * 500, generators(500)).tolist()
    assert set(drawn) <= allowed
    assert len(set(drawn)) > 20


def test_greedy_takes_the_likeliest_and_draws_nothing() -> None:
    generator = Generator().manual_seed(3)
    state = generator.get_state()
    scores = logits(1.0, rows=1)
    assert Sampler(Sampling(temperature=0))(scores, [[]], [generator]).item() == scores.argmax().item()
    assert torch.equal(generator.get_state(), state)


def test_a_penalty_falls_on_the_tokens_of_the_row() -> None:
    scores = torch.tensor([[2.0, 1.9, -1.0], [2.0, 1.9, -1.0]])
    sampler = Sampler(Sampling(temperature=0, repetition_penalty=1.2))
    assert sampler(scores, [[0], [2]], generators(2)).tolist() == [1, 0]


@pytest.mark.parametrize("temperature", [1e-38, 1e-30, 1e-7, 1e-6])
@pytest.mark.parametrize(("top_k", "top_p"), [(0, 1.0), (0, 0.9), (40, 1.0)])
def test_a_tiny_temperature_is_greedy(temperature: float, top_k: int, top_p: float) -> None:
    scores = logits(30.0)
    sampling = Sampling(temperature, top_k, top_p)
    assert torch.equal(Sampler(sampling)(scores, [[]] * 4, generators(4)), scores.argmax(-1))
