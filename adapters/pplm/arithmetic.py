"""PPLM's arithmetic: move the past, fuse the distributions (Dathathri et al., ICLR 2020, arXiv 1912.02164).

    g  = grad_dH [ attribute loss + kl_scale * KL(p~ || p) ]
    dH <- dH - step_size * g / ||g||^gamma                                num_iterations times
    next token ~ p~^s * p^(1 - s), renormalised

In the paper the share s is gm_scale. Here it is the share up to gm_scale, within a budget of nats, that maximises

    strength * p_s(a | x) - KL(p_s || p)

so that a token is steered if that makes words of the attribute likelier, and left alone if it would only cost fluency
(`worthwhile`). A class of a discriminator has no words: it may cost a fixed number of nats per token.
Pure functions of tensors; each row has its own settings and norms, and no row sees another.

Letters: L layers, B rows, H key/value heads, W pushed columns, D head size, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

SHARES = 9  # candidates, each 1/sqrt(2) of the one before: their costs in nats differ by a factor of about 2
HALVINGS = 8  # of the interval of the affordable share
TINY = 1e-15  # smallest norm: a gradient of zero moves nothing


def kl_divergence(steered: Tensor, clean: Tensor) -> Tensor:
    """KL(p~ || p) in nats (B,), from the logits (B, V) of p~ and p."""
    return divergence(steered.log_softmax(-1), clean.log_softmax(-1))


def divergence(log_steered: Tensor, log_clean: Tensor) -> Tensor:
    """KL(p~ || p) in nats (B,), from the log-probabilities (B, V) of p~ and p.

    The terms p - p~ sum to zero, and make the gradient exactly zero where p~ is p. Else `push` would normalise what
    rounding leaves, and go far in a random direction.
    """
    return (log_steered.exp() * (log_steered - log_clean - 1) + log_clean.exp()).sum(-1)


def window_weights(window_length: Tensor, decay: Tensor, mask: Tensor) -> Tensor:
    """Weight of the gradient at each of the newest W columns (B, W), by each row's settings (B,); mask (B, W).

    A window is the newest window_length columns, or all if that is 0. With `decay` the weight falls linearly from 1 at
    the newest column to 1 / window at the oldest, as in the published code.
    """
    age = mask.flip(-1).cumsum(-1).flip(-1) - 1  # columns of the row that are newer
    window = torch.where(window_length == 0, mask.sum(-1), window_length)[:, None]
    inside = ((age < window) & mask).float()
    return torch.where(decay[:, None], (1 - age / window.clamp(min=1)) * inside, inside)


def gradient_norms(gradient: Tensor) -> Tensor:
    """Norm of a gradient (L, 2, B, H, W, D) over the keys and values of a layer together: (L, B)."""
    norms: Tensor = torch.linalg.vector_norm(gradient, dim=(1, 3, 4, 5))
    return norms


def push(
    state: Tensor, gradient: Tensor, norms: Tensor, step_size: Tensor, gamma: Tensor, out: Tensor | None = None
) -> Tensor:
    """The state (L, 2, B, H, W, D) after a step, in `out` if given; norms (L, B), step_size and gamma (B,)."""
    length = step_size / norms.clamp(min=TINY) ** gamma  # (L, B)
    return torch.addcmul(state, length[:, None, :, None, None, None], gradient, value=-1, out=out)


def affordable(steered: Tensor, clean: Tensor, gm_scale: Tensor, kl_budget: Tensor) -> Tensor:
    """The largest share (B,) up to gm_scale whose fused distribution is within kl_budget nats of the clean one.

    Along the fusion d/ds KL(p_s || p_0) = s * Var_{p_s}(log p~ - log p) >= 0, so halving the interval finds it.
    """
    low, high = torch.zeros_like(gm_scale), gm_scale
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        within = kl_divergence(fuse(steered, clean, middle), clean) <= kl_budget
        low, high = torch.where(within, middle, low), torch.where(within, high, middle)
    affords_all = kl_divergence(fuse(steered, clean, gm_scale), clean) <= kl_budget
    return torch.where(affords_all, gm_scale, low)


def worthwhile(
    steered: Tensor,
    clean: Tensor,
    most: Tensor,
    strength: Tensor,
    allowance: Tensor,
    likelihood: Callable[[Tensor], Tensor],
) -> Tensor:
    """The share (B,) up to `most` that maximises strength * p_s(a | x) - cost; the largest of equally good ones.

    The cost is KL(p_s || p) beyond the allowance. `likelihood` gives p_s(a | x) (B,) from log p_s (B, V). With
    d = log p~ - log p and Z the sum of p e^(s d): log p_s = log p + s d - log Z, KL(p_s || p) = s E_{p_s}[d] - log Z.
    """
    log_clean = clean.log_softmax(-1)
    difference = steered.log_softmax(-1) - log_clean
    share = torch.zeros_like(most)
    best = strength * likelihood(log_clean)
    for number in reversed(range(SHARES)):
        tried = most * 0.5 ** (number / 2)
        log_weights = torch.addcmul(log_clean, tried[:, None], difference)
        log_total = log_weights.logsumexp(-1, keepdim=True)
        log_fused = log_weights - log_total
        divergence = tried * (log_fused.exp() * difference).sum(-1) - log_total[:, 0]
        value = strength * likelihood(log_fused) - (divergence - allowance).clamp(min=0)
        better = value >= best
        share, best = torch.where(better, tried, share), torch.where(better, value, best)
    return share


def without_echoes(steered: Tensor, clean: Tensor, used: Tensor) -> Tensor:
    """The logits (B, V) of p~ with the tokens of `used` (B, V) lowered to at most their p, not renormalised."""
    gain = (steered.log_softmax(-1) - clean.log_softmax(-1)).clamp(min=0)
    return torch.where(used, steered - gain, steered)


def fuse(steered: Tensor, clean: Tensor, gm_scale: Tensor) -> Tensor:
    """Logits (B, V) of p~^gm_scale * p^(1 - gm_scale), so written that gm_scale 0 gives the clean ones bit for bit."""
    return clean + gm_scale[:, None] * (steered - clean)
