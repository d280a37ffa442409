"""What PPLM steers towards: bags of words -> AttributeLoss.

Knows words, tokens and distributions; knows nothing of the model's layers or of how a loss is used.

A word of several tokens is pushed piece by piece. Its first piece counts where it holds at least half of the word's
letters and is no word by itself ("astron" of astronomer does, "as" of astronaut does not); a further piece counts once
those before it stand at the end of the text, unless they are a word by themselves ("under" does not begin underdog).
A phrase begins with its first word, if that has four letters, and goes on with the next.

Letters: B rows, V vocabulary, C hidden size, K newest tokens, E pieces of words, U different tokens among them,
M longest beginning.
"""

import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
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
FLOOR = -1e4  # a log-probability that no sum notices, and finite, for the sake of gradients


class Evidence(NamedTuple):
    """What an attribute model may read of B rows."""

    logprobs: Tensor  # (B, V) of the next token after the pushed past
    hidden_sum: Tensor  # (B, C) of the last hidden states of prompt, text, the token being read, and the horizon
    num_hidden: Tensor  # (B,) how many they are
    recent: Tensor  # (B, K) newest tokens of the text, the newest last; NO_TOKEN before its beginning; K >= MAX_PIECES
    cooldown: Tensor  # (B,) tokens for which a word just used rests

    def rows(self, index: Tensor) -> "Evidence":
        return Evidence(*(part.index_select(0, index) for part in self))


AttributeLoss = Callable[[Evidence], Tensor]  # -> loss (B,), -log p(a | x)


class WeightedLoss(NamedTuple):
    """Several attributes at once; itself an AttributeLoss."""

    terms: tuple[tuple[float, AttributeLoss], ...]  # weight and loss of each

    def __call__(self, evidence: Evidence) -> Tensor:
        """The weighted sum of the losses (B,)."""
        return torch.stack([weight * loss(evidence) for weight, loss in self.terms]).sum(0)

    def likelihood(self, evidence: Evidence) -> Tensor:
        """The weighted sum of p(a | x) (B,), by which texts are ranked."""
        return torch.stack([weight * (-loss(evidence)).exp() for weight, loss in self.terms]).sum(0)


class Split(NamedTuple):
    """A word of a list, as the tokenizer splits it."""

    word: str
    weight: float
    token_ids: tuple[int, ...]
    pieces: tuple[str, ...]
    counts: tuple[bool, ...]  # whether each piece is pushed when its turn comes
    problem: str  # why the word is not used, or not from its beginning on; "" for neither

    @property
    def used(self) -> bool:
        return any(self.counts)


class Piece(NamedTuple):
    """A token to push while the tokens of `standing` are the newest ones."""

    standing: tuple[int, ...]
    token_id: int
    weight: float


@lru_cache
def word_lists() -> dict[str, tuple[str, ...]]:
    """The shipped word lists by name, the curated ones first."""
    lists = json.loads(WORD_LISTS.read_text(encoding="utf-8"))
    return {name: tuple(words) for name, words in lists.items()}


@lru_cache
def known_words() -> frozenset[str]:
    """Words that stand by themselves in the shipped prose and verse, in small letters; names are none."""
    words: set[str] = set()
    for name in KNOWN_FROM:
        for line in (DATA / name).read_text(encoding="utf-8").split("\n")[:-1]:
            words.update(re.findall(r"[^\W\d_]+", json.loads(line)["text"]))
    return frozenset(filter(str.islower, words))


def words_of(attribute: Attribute) -> tuple[str, ...]:
    """The words of an attribute: its own, or those of the shipped list it names. UserError for an unknown name."""
    if attribute.words:
        return attribute.words
    lists = word_lists()
    if attribute.name not in lists:
        known = ", ".join(name for name in lists if "/" not in name)
        raise UserError(f"There is no attribute {attribute.name!r}: choose one of {known}, or give your own words.")
    return lists[attribute.name]


def split_words(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> list[Split]:
    """Each different word of a list once, with how it is split and whether it is used."""
    weights: dict[str, float] = {}
    for text in words:
        word, weight = weighted_word(text)
        if word:
            weights.setdefault(word, weight)
    return [split_word(tokenizer, word, weight) for word, weight in weights.items()]


def split_word(tokenizer: PreTrainedTokenizerBase, word: str, weight: float) -> Split:
    """How one word is split, and which of its pieces count."""
    ids = tokenizer.encode(f"{WORD_START}{word}", add_special_tokens=False)
    # Decoded together, since some tokenizers leave out the blank before the first token that they decode.
    begun = [str(tokenizer.decode(ids[: end + 1], clean_up_tokenization_spaces=False)) for end in range(len(ids))]
    pieces = [text[len(before) :] for before, text in zip(["", *begun], begun, strict=False)]
    counts = [begins(word, pieces[0]) if end == 0 else goes_on(begun[end - 1], pieces[end]) for end in range(len(ids))]
    if len(ids) > MAX_PIECES:
        counts = [False] * len(ids)
    return Split(word, weight, tuple(ids), tuple(pieces), tuple(counts), problem(pieces, counts))


def begins(word: str, piece: str) -> bool:
    """Whether the first piece of a word says enough to be pushed.

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
    """Whether `piece` is pushed once `standing` is there: it is a new word, or what stands is none by itself.

    >>> goes_on(" neb", "ula"), goes_on(" under", "dog"), goes_on(" black", " hole")
    (True, False, True)
    """
    return piece.startswith(" ") or standing.rpartition(" ")[2].lower() not in known_words()


def problem(pieces: Sequence[str], counts: Sequence[bool]) -> str:
    """Why a word is not used, or not from its beginning on."""
    if not counts or counts[0]:
        return "" if counts else "the tokenizer makes nothing of it"
    if len(pieces) > MAX_PIECES:
        return f"it has {len(pieces)} tokens, at most {MAX_PIECES} can be followed"
    first = pieces[0].strip()
    reason = f"its first token {first!r} " + (
        "is a word by itself" if first.lower() in known_words() else "is too short"
    )
    return f"only finished once the text has begun it: {reason}" if any(counts) else reason


def bag_of_words(splits: Iterable[Split]) -> tuple[Piece, ...]:
    """The pieces that count; of equal ones the heaviest."""
    heaviest: dict[tuple[tuple[int, ...], int], float] = {}
    for split in splits:
        for place, token in enumerate(split.token_ids):
            if split.counts[place]:
                key = split.token_ids[:place], token
                heaviest[key] = max(split.weight, heaviest.get(key, 0.0))
    return tuple(Piece(*key, weight) for key, weight in heaviest.items())


def bag_loss(bag: Sequence[Piece], device: torch.device) -> AttributeLoss:
    """-log of the weighted sum over the bag of p(w) (equation 4 of the paper), piece by piece.

    No gradient reaches a token that does not count now, so a bag whose words were all just used pushes nowhere.
    """
    unique = {token: place for place, token in enumerate(dict.fromkeys(piece.token_id for piece in bag))}
    longest = max(len(piece.standing) for piece in bag)
    padded = [[NO_TOKEN] * (longest - len(piece.standing)) + list(piece.standing) for piece in bag]
    tokens = torch.tensor(list(unique), device=device)  # (U,)
    places = torch.tensor([unique[piece.token_id] for piece in bag], device=device)  # (E,)
    standing = torch.tensor(padded, device=device, dtype=torch.long)  # (E, M)
    first = torch.tensor([not piece.standing for piece in bag], device=device)  # (E,)
    weights = torch.tensor([math.log(piece.weight) for piece in bag], device=device)  # (E,)

    def loss(evidence: Evidence) -> Tensor:
        newest = evidence.recent[:, None, evidence.recent.shape[1] - longest :]  # (B, 1, M)
        counts = ((standing == newest) | (standing == NO_TOKEN)).all(-1)  # (B, E)
        counts &= ~(first & resting(tokens, evidence)[:, places])
        now = torch.where(counts, weights, FLOOR)
        log_weights = now.new_full((len(now), len(unique)), FLOOR).scatter_reduce(1, places.expand_as(now), now, "amax")
        scores = evidence.logprobs[:, tokens] + log_weights  # (B, U)
        return -torch.where(log_weights > FLOOR, scores, FLOOR).logsumexp(-1)

    return loss


def resting(tokens: Tensor, evidence: Evidence) -> Tensor:
    """Which of `tokens` (U,) stand among the last `cooldown` tokens of each row (B, U)."""
    return (tokens[:, None] == just_used(evidence.recent, evidence.cooldown)[:, None]).any(-1)


def just_used(recent: Tensor, cooldown: Tensor) -> Tensor:
    """The last `cooldown` (B,) tokens of each row; NO_TOKEN in the place of the older ones of `recent` (B, K)."""
    age = torch.arange(recent.shape[1] - 1, -1, -1, device=recent.device)
    return recent.masked_fill(age >= cooldown[:, None], NO_TOKEN)


def attribute_bag(tokenizer: PreTrainedTokenizerBase, attribute: Attribute) -> tuple[Piece, ...]:
    """The bag of an attribute; raises UserError for a list of which no word can be begun."""
    splits = split_words(tokenizer, words_of(attribute))
    if not any(split.counts[:1] == (True,) for split in splits):
        some = ", ".join(split.word for split in splits[:5]) or "none"
        raise UserError(
            f"No word of {attribute.name!r} can be begun with this model's tokens (tried: {some}): add common words."
        )
    return bag_of_words(splits)


def unknown_class(name: str) -> NoReturn:
    """Where there are no discriminators at all."""
    raise UserError(f"There is no discriminator here that {name!r} could name: steer by words.")


def attribute_loss(
    tokenizer: PreTrainedTokenizerBase,
    attributes: Sequence[Attribute],
    device: torch.device,
    class_loss: Callable[[str], AttributeLoss] = unknown_class,
) -> WeightedLoss:
    """The losses of several attributes, each with its weight; `class_loss` gives that of a discriminator's NAME:CLASS.

    Raises UserError for a list without a usable word and for a name that nothing has.
    """
    return WeightedLoss(
        tuple(
            (a.weight, class_loss(a.name) if a.is_discriminator else bag_loss(attribute_bag(tokenizer, a), device))
            for a in attributes
        )
    )
