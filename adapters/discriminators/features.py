"""Features of a discriminator: the mean of the base model's last hidden states over each text, cached on disk.

The mean is over all tokens, the bos token included, as in steering. Letters: N texts, B rows, T positions, C hidden
size.
"""

import hashlib
import json
import os
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from adapters.base_model import BaseModel
from adapters.training.batches import chunks

MAX_TOKENS = 256  # of a text, bos included; the rest is not read
TEXTS_A_FILE = 256  # cached together: an interrupted reading loses at most so many
TOKENS_A_PASS = 256  # padded tokens in one pass: a text that is being written waits for one pass at each token
MAX_CACHE_BYTES = 500_000_000  # of features on disk, 115 MB for 50,000 texts of the embedded model
Turn = AbstractContextManager[object]  # entered for each use of the model, where others use it too
ALONE: Turn = nullcontext()


def read_features(
    base: BaseModel, texts: Sequence[str], folder: Path, turn: Turn = ALONE
) -> Generator[int, None, Tensor]:
    """Means (N, C) in float32, from the cache in `folder` where they are there; yield how many texts are done."""
    parts: list[Tensor] = []
    folder.mkdir(parents=True, exist_ok=True)
    with turn:
        base_hash = base.weights_hash
    done = 0
    for part in chunks(texts, TEXTS_A_FILE):
        key = json.dumps([base_hash, MAX_TOKENS, part])
        file = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
        try:
            means = load_file(file)["means"]
            file.touch()
        except (OSError, SafetensorError, KeyError):  # missing or damaged
            means = yield from read_means(base, part, done, turn)
            scratch = file.with_suffix(f".{os.getpid()}")
            save_file({"means": means}, scratch)
            scratch.replace(file)
        parts.append(means)
        done += len(part)
        yield done
    trim(folder)
    return torch.cat(parts)


def trim(folder: Path) -> None:
    """Delete the cached features that have not been used for longest, beyond MAX_CACHE_BYTES."""
    left = MAX_CACHE_BYTES
    for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime, reverse=True):
        left -= file.stat().st_size
        if left < 0:
            file.unlink(missing_ok=True)


def read_means(base: BaseModel, texts: Sequence[str], done: int, turn: Turn) -> Generator[int, None, Tensor]:
    """Means of some texts, read in batches of similar length."""
    encoded = [base.encode(text)[:MAX_TOKENS] for text in texts]
    order = sorted(range(len(texts)), key=lambda i: len(encoded[i]))
    means: dict[int, Tensor] = {}
    while order:
        count = sum(len(encoded[i]) * (n + 1) <= TOKENS_A_PASS for n, i in enumerate(order)) or 1
        batch, order = order[:count], order[count:]
        with turn:
            means |= zip(batch, mean_hidden(base, [encoded[i] for i in batch]), strict=True)
        yield done + len(means)
    return torch.stack([means[i] for i in range(len(texts))])


@torch.no_grad()
def mean_hidden(base: BaseModel, rows: Sequence[Sequence[int]]) -> Tensor:
    """Means (B, C) over the tokens of each row."""
    ids = pad_sequence([torch.tensor(row) for row in rows], batch_first=True).to(base.device)  # (B, T), padded behind
    lengths = torch.tensor([len(row) for row in rows], device=base.device)  # (B,)
    mask = torch.arange(ids.shape[1], device=base.device) < lengths[:, None]
    hidden = base.model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()  # (B, T, C)
    return (hidden.masked_fill(~mask[..., None], 0).sum(1) / lengths[:, None]).cpu()
