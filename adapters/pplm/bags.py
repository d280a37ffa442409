"""Bags of words -> AttributeLoss.

A word of several tokens is pushed piece by piece. The first piece counts if it has at least half of the word's letters
and is not a word itself ("astron" of astronomer counts, "as" of astronaut does not). A further piece counts once the
text ends with those before it, unless they are a word themselves ("under" does not begin underdog). A phrase begins
with its first word, if that has four letters, and goes on with the next.

Letters: B rows, V vocabulary, C hidden size, K newest tokens, E pieces of words, U different tokens among them,
M longest beginning.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, NoReturn

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adapters.methods import Attribute, UserError, weighted_word

WORD_START = " "  # words stand after a space
DATA = Path(__file__).parents[1] / "data"
WORD_LISTS = DATA / "attributes.json"
KNOWN_FROM = ("general.jsonl", "poetry.jsonl", "scifi.jsonl")
MAX_PIECES = 16  # of a word or phrase
FIRST_WORD = 4  # letters of a word that can begin a phrase
NO_TOKEN = -1  # before the beginning of a text
FLOOR = -1e4  # a log-probability too low to change a sum, and finite, for the sake of gradients


class Evidence(NamedTuple):
    """What an attribute is computed from, for B rows."""

    logprobs: Tensor  # (B, V) of the next token
    hidden_sum: Tensor  # (B, C) of the last hidden states of prompt, text, newest token and horizon
    num_hidden: Tensor  # (B,) their number
    recent: Tensor  # (B, K) newest tokens, the newest last; NO_TOKEN before the first; K >= MAX_PIECES
    cooldown: Tensor  # (B,) tokens for which a word just used is not pushed again


AttributeLoss = Callable[[Evidence], Tensor]  # -> loss (B,), -log p(a | x)
Piece = tuple[tuple[int, ...], int]  # the tokens that must be the newest ones, and the token to push after them


class WeightedLoss(NamedTuple):
    """Several attributes at once, itself an AttributeLoss."""

    terms: tuple[tuple[float, AttributeLoss], ...]  # weight and loss of each

    def __call__(self, evidence: Evidence) -> Tensor:
        return torch.stack([weight * loss(evidence) for weight, loss in self.terms]).sum(0)

    def likelihood(self, evidence: Evidence) -> Tensor:
        """The weighted sum of p(a | x) (B,), by which texts are ranked."""
        return torch.stack([weight * (-loss(evidence)).exp() for weight, loss in self.terms]).sum(0)


class WordSplit(NamedTuple):
    word: str
    weight: float
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]
    counts: tuple[bool, ...]  # whether each piece is pushed when its turn comes
    problem: str  # why the word is not used, or not from its beginning; "" if it is

    @property
    def pushed(self) -> list[Piece]:
        return [(self.token_ids[:at], token) for at, token in enumerate(self.token_ids) if self.counts[at]]


@lru_cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """The shipped word lists by name, the curated ones first."""
    lists = json.loads(WORD_LISTS.read_text(encoding="utf-8"))
    return {name: tuple(words) for name, words in lists.items()}


@lru_cache
def known_words() -> frozenset[str]:
    """Words in lower case in the shipped prose and verse, without names."""
    words: set[str] = set()
    for name in KNOWN_FROM:
        for line in (DATA / name).read_text(encoding="utf-8").split("\n")[:-1]:
            words.update(re.findall(r"[^\W\d_]+", json.loads(line)["text"]))
    return frozenset(filter(str.islower, words))


def words_of(attribute: Attribute) -> tuple[str, ...]:
    """The words of an attribute: its own, or those of the shipped list. Raises UserError for an unknown name."""
    if attribute.words:
        return attribute.words
    lists = word_lists()
    if attribute.name not in lists:
        known = ", ".join(name for name in lists if "/" not in name)
        raise UserError(f"There is no attribute {attribute.name!r}: choose one of {known}, or give your own words.")
    return lists[attribute.name]


def split_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> list[WordSplit]:
    weights: dict[str, float] = {}
    for text in words:
        word, weight = weighted_word(text)
        if word:
            weights.setdefault(word, weight)
    return [split_word(tokenizer, word, weight) for word, weight in weights.items()]


def split_word(tokenizer: PreTrainedTokenizerBase, word: str, weight: float) -> WordSplit:
    ids = tokenizer.encode(f"{WORD_START}{word}", add_special_tokens=False)
    # Decoded together, since some tokenizers leave out the blank before the first token.
    begun = [str(tokenizer.decode(ids[: end + 1], clean_up_tokenization_spaces=False)) for end in range(len(ids))]
    pieces = [text[len(before) :] for before, text in zip(["", *begun], begun, strict=False)]
    counts = [begins(word, pieces[0]) if end == 0 else goes_on(begun[end - 1], pieces[end]) for end in range(len(ids))]
    if len(ids) > MAX_PIECES:
        counts = [False] * len(ids)
    return WordSplit(word, weight, tuple(ids), tuple(pieces), tuple(counts), problem(pieces, counts))


def begins(word: str, piece: str) -> bool:
    """Whether the first piece of a word counts.

    >>> begins("nebula", " neb"), begins("android", " and"), begins("underdog", " under")
    (True, False, False)
    >>> begins("black hole", " black")
    True
    """
    beginning, first = piece.strip(), word.split()[0]
    if beginning == word:
        return True
    if beginning == first:
        return len(first) >= FIRST_WORD
    return 2 * len(beginning) >= len(first) and beginning.lower() not in known_words()


def goes_on(standing: str, piece: str) -> bool:
    """Whether `piece` counts after `standing`: it is a new word, or `standing` does not end in a whole one.

    >>> goes_on(" neb", "ula"), goes_on(" under", "dog"), goes_on(" black", " hole")
    (True, False, True)
    """
    return piece.startswith(" ") or standing.rpartition(" ")[2].lower() not in known_words()


def problem(pieces: Sequence[str], counts: Sequence[bool]) -> str:
    """Why a word is not used, or not from its beginning."""
    if not counts or counts[0]:
        return "" if counts else "the tokenizer makes nothing of it"
    if len(pieces) > MAX_PIECES:
        return f"it has {len(pieces)} tokens, at most {MAX_PIECES} can be followed"
    first = pieces[0].strip()
    reason = f"its first token {first!r} " + (
        "is a word by itself" if first.lower() in known_words() else "is too short"
    )
    return f"only finished once the text has begun it: {reason}" if any(counts) else reason


def bag_of_words(splits: Iterable[WordSplit]) -> dict[Piece, float]:
    """The pieces that count, with their largest weight."""
    heaviest: dict[Piece, float] = {}
    for split in splits:
        for piece in split.pushed:
            heaviest[piece] = max(split.weight, heaviest.get(piece, 0.0))
    return heaviest


class Bag:
    """-log of the weighted sum over the bag of p(w) (equation 4 of the paper), piece by piece: an AttributeLoss.

    Tokens that do not count now get no gradient, so a bag with all words in their cooldown moves nothing.
    """

    def __init__(self, bag: Mapping[Piece, float], device: torch.device) -> None:
        unique = {token: place for place, token in enumerate(dict.fromkeys(token for _, token in bag))}
        self.longest = max(len(before) for before, _ in bag)
        padded = [[NO_TOKEN] * (self.longest - len(before)) + [*before] for before, _ in bag]
        self.tokens = torch.tensor(list(unique), device=device)  # (U,)
        self.places = torch.tensor([unique[token] for _, token in bag], device=device)  # (E,)
        self.standing = torch.tensor(padded, device=device, dtype=torch.long)  # (E, M)
        self.first = torch.tensor([not before for before, _ in bag], device=device)  # (E,)
        self.weights = torch.tensor([math.log(weight) for weight in bag.values()], device=device)  # (E,)
        # The steps of a token ask about twelve times with the same tensors.
        self.log_weights = lru_cache(maxsize=1)(self._log_weights)

    def __call__(self, evidence: Evidence) -> Tensor:
        log_weights = self.log_weights(evidence.recent, evidence.cooldown)
        scores = evidence.logprobs.index_select(1, self.tokens) + log_weights  # (B, U)
        return -torch.where(log_weights > FLOOR, scores, FLOOR).logsumexp(-1)

    def weights_now(self, recent: Tensor, cooldown: Tensor) -> Tensor:
        """Weights (B, U) of the tokens whose turn it is; 0 for the others."""
        return self.log_weights(recent, cooldown).exp()

    def _log_weights(self, recent: Tensor, cooldown: Tensor) -> Tensor:
        """Log-weights (B, U) of the tokens whose turn it is; FLOOR for the others."""
        newest = recent[:, None, recent.shape[1] - self.longest :]  # (B, 1, M)
        counts = ((self.standing == newest) | (self.standing == NO_TOKEN)).all(-1)  # (B, E)
        used = (self.tokens[:, None] == just_used(recent, cooldown)[:, None]).any(-1)  # (B, U)
        now = torch.where(counts & ~(self.first & used[:, self.places]), self.weights, FLOOR)
        size = len(now), len(self.tokens)
        return now.new_full(size, FLOOR).scatter_reduce(1, self.places.expand_as(now), now, "amax")


def just_used(recent: Tensor, cooldown: Tensor) -> Tensor:
    """The last `cooldown` (B,) tokens of each row; the older ones of `recent` (B, K) become NO_TOKEN."""
    age = torch.arange(recent.shape[1] - 1, -1, -1, device=recent.device)
    return recent.masked_fill(age >= cooldown[:, None], NO_TOKEN)


def attribute_bag(tokenizer: PreTrainedTokenizerBase, attribute: Attribute) -> dict[Piece, float]:
    """The bag of an attribute. Raises UserError if none of its words can begin."""
    splits = split_words(tokenizer, words_of(attribute))
    if not any(split.counts[:1] == (True,) for split in splits):
        some = ", ".join(split.word for split in splits[:5]) or "none"
        raise UserError(
            f"No word of {attribute.name!r} can be begun with this model's tokens (tried: {some}): add common words."
        )
    return bag_of_words(splits)


def unknown_class(name: str) -> NoReturn:
    """Raises UserError: there are no discriminators."""
    raise UserError(f"There is no discriminator {name!r} here: steer by words.")


def attribute_loss(
    tokenizer: PreTrainedTokenizerBase,
    attributes: Sequence[Attribute],
    device: torch.device,
    class_loss: Callable[[str], AttributeLoss] = unknown_class,
) -> WeightedLoss:
    """The weighted losses of attributes; `class_loss` gives that of a discriminator's NAME:CLASS. Raises UserError."""
    return WeightedLoss(
        tuple(
            (a.weight, class_loss(a.name) if a.is_discriminator else Bag(attribute_bag(tokenizer, a), device))
            for a in attributes
        )
    )
