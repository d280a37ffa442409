"""sha256 of strings and tensors; equal weights have equal digests, whatever files they came from."""

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

from adapters.lora.rows import LoraWeights


def weights_digest(weights: LoraWeights | Tensor) -> str:
    """Digest of a LoRA's matrices, scaling and gains, or of a prefix's keys and values."""
    if not isinstance(weights, LoraWeights):
        return sha256(*pieces([("prefix", weights)]))
    named = ((f"{module}.{part}", t) for module, pair in weights.modules.items() for part, t in enumerate(pair))
    gains = ((f"{module}.gain", gain) for module, gain in weights.gains.items())
    return sha256(str(weights.scaling), *pieces(named), *pieces(gains))


def pieces(named: Iterable[tuple[str, Tensor]]) -> Iterable[str | bytes]:
    """Name, dtype, shape and bytes of each tensor."""
    for name, tensor in named:
        yield f"{name} {tensor.dtype} {tuple(tensor.shape)}"
        yield tensor.detach().contiguous().view(torch.uint8).cpu().numpy().tobytes()


def sha256(*parts: str | bytes) -> str:
    """Hex digest of the parts and their lengths."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8))
        digest.update(data)
    return digest.hexdigest()
