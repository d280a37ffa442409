"""Turns what happens at one steered token into numbers that can be kept.

Knows the tensors that Steering shows to its observer, words and tokens; knows nothing of engines, files or figures.
Letters: L layers, H key/value heads, W pushed columns, D head size, V vocabulary, C hidden size, m pushes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adapters.methods import PPLM
from adapters.pplm.arithmetic import gradient_norms, kl_divergence
from adapters.pplm.bags import WORD_START, split_words, words_of
from adapters.pplm.steering import Reading
from adapters.xray.trace import DIGITS, POSITIONS, Candidate, Step, Word

LIKELIEST = 10  # tokens of each distribution that are kept
WORDS = 10  # of the attributes, that are kept at a token
COMPONENTS = 3


class Place(NamedTuple):
    """A token that a word needs next, once `standing` are the newest tokens."""

    word: str
    attribute: str
    standing: tuple[int, ...]
    token_id: int


def places(tokenizer: PreTrainedTokenizerBase, steering: PPLM) -> list[Place]:
    """Every piece of an attribute's words that is pushed when its turn comes; of equal ones the first."""
    found: dict[tuple[str, tuple[int, ...], int], Place] = {}
    for attribute in steering.attributes:
        if attribute.is_discriminator:
            continue
        for split in split_words(tokenizer, words_of(attribute)):
            for at, (token, counts) in enumerate(zip(split.token_ids, split.counts, strict=True)):
                if counts:
                    place = Place(split.word, attribute.name, split.token_ids[:at], token)
                    found.setdefault((attribute.name, place.standing, token), place)
    return list(found.values())


def named_places(tokenizer: PreTrainedTokenizerBase, words: Iterable[str]) -> list[Place]:
    """The first pieces of words that a person names."""
    ids = {word: tokenizer.encode(f"{WORD_START}{word}", add_special_tokens=False) for word in words}
    return [Place(word, "", (), tokens[0]) for word, tokens in ids.items() if tokens]


class Recorder:
    """Watches one steered row (an Observer), and makes a Step of what it saw when the token is chosen."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, steering: PPLM, words: Sequence[str]) -> None:
        self.tokenizer, self.cooldown = tokenizer, steering.cooldown
        self.bag, self.named = places(tokenizer, steering), named_places(tokenizer, words)
        self.states: list[Tensor] = []  # of each step (m + 1, C): the last hidden state before and after each push
        self.losses: list[Tensor] = []  # (1,) each
        self.hidden: list[Tensor] = []  # (C,) each
        self.norms: list[Tensor] = []  # (L,) each
        self.heat: Tensor | None = None  # (L, W) of the first push, if there is one

    def on_gradient(self, reading: Reading, loss: Tensor, gradient: Tensor) -> None:
        self.losses.append(loss.detach())
        self.hidden.append(reading.hidden[0, -1].detach())
        self.norms.append(gradient_norms(gradient)[:, 0])
        if self.heat is None:
            self.heat = torch.linalg.vector_norm(gradient[:, :, 0], dim=(1, 2, 4))

    def on_fused(self, clean: Tensor, steered: Reading, loss: Tensor, share: Tensor, fused: Tensor) -> None:
        self.losses.append(loss)
        self.hidden.append(steered.hidden[0, -1])
        self.logits = torch.stack([clean[0], steered.logits[0], fused[0]])  # (3, V)
        self.share = share[0]

    def step(self, ids: Sequence[int], token: int) -> Step | None:
        """How `token` came about after the tokens `ids`; None where the numbers went wrong."""
        losses = torch.cat(self.losses)
        norms = torch.stack(self.norms) if self.norms else losses.new_empty(0, 0)
        heat = losses.new_empty(0, 0) if self.heat is None else self.heat
        if not all(bool(part.isfinite().all()) for part in (losses, norms, self.logits)):
            return None
        probabilities = self.logits.softmax(-1)  # (3, V)
        likeliest = probabilities.topk(min(LIKELIEST, probabilities.shape[-1])).indices.flatten().tolist()
        before = list(ids[-1:])
        ranks = (1 + (self.logits > self.logits[:, token, None]).sum(-1)).tolist()  # (3,)
        clean = self.logits[:1]
        kl = torch.cat([kl_divergence(self.logits[row : row + 1], clean) for row in (1, 2)])
        step = Step(
            chosen=self._candidate(before, token, probabilities),
            rank_clean=ranks[0],
            rank_perturbed=ranks[1],
            rank_fused=ranks[2],
            candidates=tuple(self._candidate(before, other, probabilities) for other in dict.fromkeys(likeliest)),
            kl_perturbed=short(kl[0]),
            kl_fused=short(kl[1]),
            share=short(self.share),
            losses=tuple(map(short, losses.tolist())),
            norms=tuple(tuple(map(short, row)) for row in norms.tolist()),
            width=heat.shape[1],
            heat=tuple(tuple(short(value, 2) for value in row) for row in newest(heat).tolist()),
            bag=self._bag(ids, probabilities),
            named=tuple(Word(p.word, self._candidate(before, p.token_id, probabilities)) for p in self.named),
        )
        self.states.append(torch.stack(self.hidden))
        self.losses, self.hidden, self.norms, self.heat = [], [], [], None
        return step

    def _candidate(self, before: list[int], token: int, probabilities: Tensor) -> Candidate:
        clean, perturbed, fused = (short(value) for value in probabilities[:, token].tolist())
        return Candidate(token, piece(self.tokenizer, before, token), clean, perturbed, fused)

    def _bag(self, ids: Sequence[int], probabilities: Tensor) -> tuple[Word, ...]:
        """The words whose turn it is and whose probability changed most, those that gained first."""
        due = [p for p in self.bag if not p.standing or tuple(ids[-len(p.standing) :]) == p.standing]
        if not due:
            return ()
        index = torch.tensor([p.token_id for p in due], device=probabilities.device)
        change = (probabilities[2] - probabilities[0])[index]
        most = [due[i] for i in change.abs().topk(min(WORDS, len(due))).indices.tolist()]
        rested = set(ids[-self.cooldown :]) if self.cooldown else set()
        words = [
            Word(
                p.word,
                self._candidate(list(ids[-1:]), p.token_id, probabilities),
                p.attribute,
                not p.standing and p.token_id in rested,
            )
            for p in most
        ]
        return tuple(sorted(words, key=lambda word: word.token.clean - word.token.fused))


def newest(heat: Tensor) -> Tensor:
    """A heat map (L, W) of norms, all but the newest POSITIONS columns put together in one: (L, P)."""
    if heat.shape[1] <= POSITIONS:
        return heat
    earlier = torch.linalg.vector_norm(heat[:, :-POSITIONS], dim=1, keepdim=True)
    return torch.cat([earlier, heat[:, -POSITIONS:]], dim=1)


def paths(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """How far each push has moved the hidden state, in three directions.

    `states` (m + 1, C) of each of T steps -> the paths (T, m + 1, 3) from each step's first state, along the first
    three principal components of all movement of the text, and the part (3,) of that movement that each holds.
    """
    moved = torch.stack([state - state[0] for state in states]).float()  # (T, m + 1, C)
    _, sizes, directions = torch.linalg.svd(moved.flatten(0, 1), full_matrices=False)
    count = min(COMPONENTS, len(sizes))
    along = moved.new_zeros(*moved.shape[:2], COMPONENTS)
    along[..., :count] = moved @ directions[:count].T
    variance = moved.new_zeros(COMPONENTS)
    variance[:count] = sizes[:count] ** 2 / (sizes**2).sum().clamp(min=torch.finfo(sizes.dtype).tiny)
    return along, variance


def with_paths(steps: Sequence[Step], along: Tensor) -> tuple[Step, ...]:
    """The steps with their paths (T, m + 1, 3)."""
    rounded = [tuple((short(x), short(y), short(z)) for x, y, z in path) for path in along.tolist()]
    return tuple(replace(step, path=path) for step, path in zip(steps, rounded, strict=True))


def piece(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], token: int) -> str:
    """The text of a token after those `before`: some tokenizers leave out the blank of the first that they decode."""
    head, whole = (
        str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)) for ids in (before, [*before, token])
    )
    return whole[len(head) :] if whole.startswith(head) else str(tokenizer.decode([token]))


def pieces(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token after those `before`; one that only begins a character is empty, its last holds it."""
    texts = [
        str(tokenizer.decode([*before, *ids[:end]], clean_up_tokenization_spaces=False)).rstrip("\ufffd")
        for end in range(len(ids) + 1)
    ]
    return tuple(text[len(head) :] for head, text in zip(texts, texts[1:], strict=False))


def short(value: float | Tensor, digits: int = DIGITS) -> float:
    """A number rounded to so many significant digits."""
    return float(f"{float(value):.{digits}g}")
