"""What PPLM steers towards: bags of words -> AttributeLoss.

Knows words, tokens and distributions; knows nothing of the model's layers or of how a loss is used.
Letters: B rows, V vocabulary, C hidden size, K tokens of a bag.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adapters.methods import Attribute, UserError

AttributeLoss = Callable[[Tensor, Tensor], Tensor]  # (logprobs (B, V), hidden (B, C)) -> loss (B,)

WORD_START = " "  # words stand after a space
WORD_LISTS = Path(__file__).parent / "data" / "attributes.json"


class Bag(NamedTuple):
    """The words of a list that are one token of this tokenizer, and those that are not (and are left out)."""

    token_ids: tuple[int, ...]
    used: tuple[str, ...]
    unused: tuple[str, ...]


@lru_cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """The shipped word lists by name, the curated ones first."""
    lists = json.loads(WORD_LISTS.read_text(encoding="utf-8"))
    return {name: tuple(words) for name, words in lists.items()}


def words_of(attribute: Attribute) -> tuple[str, ...]:
    """The words of an attribute: its own, or those of the shipped list it names. UserError for an unknown name."""
    if attribute.words:
        return attribute.words
    lists = word_lists()
    if attribute.name not in lists:
        known = ", ".join(name for name in lists if "/" not in name)
        raise UserError(f"There is no attribute {attribute.name!r}: choose one of {known}, or give your own words.")
    return lists[attribute.name]


def bag_of_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> Bag:
    """The bag of a list of words. As in the paper's code a word is used if it is one token after a space."""
    used: dict[str, int] = {}
    unused = []
    for word in dict.fromkeys(word.strip() for word in words):
        ids = tokenizer.encode(f"{WORD_START}{word}", add_special_tokens=False) if word else []
        if len(ids) == 1:
            used[word] = ids[0]
        elif word:
            unused.append(word)
    return Bag(tuple(dict.fromkeys(used.values())), tuple(used), tuple(unused))


def bag_loss(token_ids: Tensor) -> AttributeLoss:
    """-log sum over the bag of p(w), the bag's tokens being token_ids (K,) (equation 4 of the paper)."""

    def loss(logprobs: Tensor, hidden: Tensor) -> Tensor:
        return -logprobs[:, token_ids].logsumexp(-1)

    return loss


def attribute_loss(
    tokenizer: PreTrainedTokenizerBase, attributes: Sequence[Attribute], device: torch.device
) -> AttributeLoss:
    """The weighted sum of the losses of several attributes; raises UserError for a list without a usable word."""
    terms = []
    for attribute in attributes:
        bag = bag_of_words(tokenizer, words_of(attribute))
        if not bag.token_ids:
            some = ", ".join(bag.unused[:5]) or "none"
            raise UserError(
                f"No word of {attribute.name!r} is one token of this model (tried: {some}): add common words."
            )
        terms.append((attribute.weight, bag_loss(torch.tensor(bag.token_ids, device=device))))

    def loss(logprobs: Tensor, hidden: Tensor) -> Tensor:
        return torch.stack([weight * term(logprobs, hidden) for weight, term in terms]).sum(0)

    return loss
