"""Compression ratio: how far the texts compress, a measure of repetition (Shaib et al. 2024).

    compression ratio = bytes of the texts / bytes of the texts compressed

The texts of each prompt are compressed together (DEFLATE by zlib, level 9, without header) and the bytes summed over
prompts, so the order of prompts does not matter. The ratio rises with length, so methods are compared at equal length.
"""

import zlib

import numpy as np

from leaderboard.metrics.metric import Figures, Metric, Setting, Texts, measurement, plain, ratio
from leaderboard.metrics.passport import Array, Passport


def rows(texts: Texts) -> Array:
    """(P, 2): bytes, compressed bytes; zeros for a prompt without a word."""
    lines: list[list[str]] = [[] for _ in range(texts.num_prompts)]
    for prompt, words in zip(texts.prompts, texts.words, strict=True):
        if words:
            lines[prompt].append(" ".join(words))
    blocks = ["\n".join(block).encode() for block in lines]
    # negative wbits: without a header, which counts in short texts
    return np.array([[len(block), len(zlib.compress(block, 9, -15)) if block else 0] for block in blocks], dtype=float)


def columns(setting: Setting) -> list[Metric]:
    how = "bytes / bytes compressed by zlib (DEFLATE, level 9), the texts of a prompt together; summed over prompts"
    units = "UTF-8 bytes, words joined by one space"
    passport = Passport("compression ratio", False, how, setting.n, tokenisation=units, length=setting.equal_length)
    return [Metric("compression", passport, rows, ratio)]


FIGURES: Figures = {"compression": (ratio, lambda texts, prompts: rows(plain(texts, prompts)))}
Measurement = measurement(__doc__, FIGURES, predictions="string", prompts="string")
