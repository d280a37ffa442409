"""Texts -> what a discriminator reads of them: the mean of the base model's last hidden states, computed once and kept.

Knows texts, batches and a folder of cached tensors; knows nothing of labels. The mean goes over all tokens of a text as
steering reads it, the bos token included. Letters: N texts, B rows, T positions, C hidden size.
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

from adapters.base_model import BaseModel
from adapters.training.batches import chunks

MAX_TOKENS = 256  # of a text that are read, bos included
TEXTS_A_FILE = 256  # that are kept together: what an interrupted reading loses at most
TOKENS_A_PASS = 256  # padded tokens that are read at once: whoever writes meanwhile waits for one pass at each token
Turn = AbstractContextManager[object]  # entered for each pass, where others use the model too
ALONE: Turn = nullcontext()


def read_features(
    base: BaseModel, texts: Sequence[str], folder: Path, turn: Turn = ALONE
) -> Generator[int, None, Tensor]:
    """The means (N, C) in float32; yields how many texts are done. What was read before lies in `folder`."""
    parts: list[Tensor] = []
    folder.mkdir(parents=True, exist_ok=True)
    for part in chunks(texts, TEXTS_A_FILE):
        key = json.dumps([base.weights_hash, MAX_TOKENS, part])
        file = folder / f"{hashlib.sha256(key.encode()).hexdigest()}.safetensors"
        means = yield from kept(base, part, file, sum(len(part) for part in parts), turn)
        parts.append(means)
    return torch.cat(parts)


def kept(base: BaseModel, texts: Sequence[str], file: Path, done: int, turn: Turn) -> Generator[int, None, Tensor]:
    """The means of some texts out of `file`, which is written if it is not there or damaged."""
    try:
        means = load_file(file)["means"]
    except (OSError, SafetensorError, KeyError):
        means = yield from read_means(base, texts, done, turn)
        scratch = file.with_suffix(f".{os.getpid()}")
        save_file({"means": means}, scratch)
        scratch.replace(file)
    yield done + len(texts)
    return means


def read_means(base: BaseModel, texts: Sequence[str], done: int, turn: Turn) -> Generator[int, None, Tensor]:
    """The means of some texts, read in batches of similar length."""
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
    lengths = torch.tensor([len(row) for row in rows], device=base.device)  # (B,)
    ids = torch.zeros(len(rows), int(lengths.max()), dtype=torch.long, device=base.device)  # (B, T), padded behind
    for index, row in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
    mask = torch.arange(ids.shape[1], device=base.device) < lengths[:, None]
    hidden = base.model.base_model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()  # (B, T, C)
    return (hidden.masked_fill(~mask[..., None], 0).sum(1) / lengths[:, None]).cpu()
