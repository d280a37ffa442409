"""Records how one steered token was made, as plain numbers.

Letters: L layers, W pushed columns, V vocabulary, C hidden size, m gradient steps.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from adapters.methods import PPLM
from adapters.pplm.arithmetic import gradient_norms, kl_divergence
from adapters.pplm.bags import WORD_START, Piece, split_words, words_of
from adapters.pplm.past import Reading
from adapters.xray.trace import DIGITS, POSITIONS, Candidate, Step, Word

LIKELIEST = 10  # tokens kept of each distribution
WORDS = 10  # kept of the attributes at a token
COMPONENTS = 3


class NextPiece(NamedTuple):
    """A token that continues a word after the tokens `standing`."""

    word: str
    attribute: str
    standing: tuple[int, ...]
    token_id: int


def bag_pieces(tokenizer: PreTrainedTokenizerBase, steering: PPLM) -> list[NextPiece]:
    """The pieces of the attributes' words that can be pushed, equal ones once."""
    found: dict[tuple[str, Piece], NextPiece] = {}
    for attribute in steering.attributes:
        for split in () if attribute.is_discriminator else split_words(tokenizer, words_of(attribute)):
            for pushed in split.pushed:
                found.setdefault((attribute.name, pushed), NextPiece(split.word, attribute.name, *pushed))
    return list(found.values())


class Recorder:
    """Observes one steered row, at a place of its batch, and makes a Step once the token is chosen."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, steering: PPLM, words: Sequence[str], place: int) -> None:
        self.tokenizer, self.cooldown, self.place = tokenizer, steering.cooldown, place
        self.bag = bag_pieces(tokenizer, steering)
        begun = {word: tokenizer.encode(f"{WORD_START}{word}", add_special_tokens=False) for word in words}
        self.named = [NextPiece(word, "", (), ids[0]) for word, ids in begun.items() if ids]
        self.states: list[Tensor] = []  # of each token (m + 1, C): hidden states around its steps
        self.losses: list[Tensor] = []  # (1,) each
        self.hidden: list[Tensor] = []  # (C,) each
        self.norms: list[Tensor] = []  # (L,) each
        self.heat: Tensor | None = None  # (L, W) of the first gradient step, if any

    def on_gradient(self, reading: Reading, loss: Tensor, gradient: Tensor) -> None:
        own = slice(self.place, self.place + 1)
        self.losses.append(loss[own].detach())
        self.hidden.append(reading.hidden[self.place, -1].detach())
        self.norms.append(gradient_norms(gradient)[:, self.place])
        if self.heat is None:
            self.heat = torch.linalg.vector_norm(gradient[:, :, self.place], dim=(1, 2, 4))

    def on_fused(self, clean: Tensor, steered: Reading, loss: Tensor, share: Tensor, fused: Tensor) -> None:
        row = self.place
        self.losses.append(loss[row : row + 1])
        self.hidden.append(steered.hidden[row, -1])
        self.logits = torch.stack([clean[row], steered.logits[row], fused[row]])  # (3, V)
        self.share = share[row]

    def on_mixed(self, logits: Tensor) -> None:
        """The logits (1, V) that are drawn from, where a push or other rows change the fused ones."""
        self.logits = torch.cat([self.logits[:2], logits])

    def step(self, ids: Sequence[int], token: int) -> Step | None:
        """How `token` was made after the tokens `ids`; None if the row diverged."""
        losses = torch.cat(self.losses)
        norms = torch.stack(self.norms) if self.norms else losses.new_empty(0, 0)
        heat = losses.new_empty(0, 0) if self.heat is None else self.heat
        if not all(bool(part.isfinite().all()) for part in (losses, norms, self.logits)):
            return None
        probabilities = self.logits.softmax(-1)  # (3, V)
        likeliest = probabilities.topk(min(LIKELIEST, probabilities.shape[-1])).indices.flatten().tolist()
        before = list(ids[-1:])
        ranks = (1 + (self.logits > self.logits[:, token, None]).sum(-1)).tolist()  # (3,)
        _, kl_perturbed, kl_fused = kl_divergence(self.logits, self.logits[:1]).tolist()
        step = Step(
            chosen=self._candidate(before, token, probabilities),
            rank_clean=ranks[0],
            rank_perturbed=ranks[1],
            rank_fused=ranks[2],
            candidates=tuple(self._candidate(before, other, probabilities) for other in dict.fromkeys(likeliest)),
            kl_perturbed=short(kl_perturbed),
            kl_fused=short(kl_fused),
            share=short(self.share),
            losses=tuple(map(short, losses.tolist())),
            norms=tuple(tuple(map(short, row)) for row in norms.tolist()),
            width=heat.shape[1],
            heat=tuple(tuple(short(value, 2) for value in row) for row in newest(heat).tolist()),
            bag=self._bag(ids, probabilities),
            mass=self._mass(ids, probabilities),
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
        due = self._due(ids)
        if not due:
            return ()
        index = torch.tensor([p.token_id for p in due], device=probabilities.device)
        change = (probabilities[2] - probabilities[0])[index]
        most = [due[i] for i in change.abs().topk(min(WORDS, len(due))).indices.tolist()]
        rested = self._rested(ids)
        words = []
        for p in most:
            candidate = self._candidate(list(ids[-1:]), p.token_id, probabilities)
            words.append(Word(p.word, candidate, p.attribute, not p.standing and p.token_id in rested))
        return tuple(sorted(words, key=lambda word: word.token.clean - word.token.fused))

    def _mass(self, ids: Sequence[int], probabilities: Tensor) -> tuple[float, float] | None:
        """Clean and fused probability of the tokens that are pushed now, for `probabilities` (3, V)."""
        rested = self._rested(ids)
        tokens = {p.token_id for p in self._due(ids) if p.standing or p.token_id not in rested}
        if not tokens:
            return None
        before, _, after = probabilities[:, sorted(tokens)].sum(-1).tolist()
        return short(before), short(after)

    def _due(self, ids: Sequence[int]) -> list[NextPiece]:
        """The pieces whose turn it is after the tokens `ids`."""
        return [p for p in self.bag if not p.standing or tuple(ids[-len(p.standing) :]) == p.standing]

    def _rested(self, ids: Sequence[int]) -> set[int]:
        """The tokens in their cooldown."""
        return set(ids[-self.cooldown :]) if self.cooldown else set()


def newest(heat: Tensor) -> Tensor:
    """A heat map (L, W) of norms with all but the newest POSITIONS columns merged into one: (L, P)."""
    if heat.shape[1] <= POSITIONS:
        return heat
    earlier = torch.linalg.vector_norm(heat[:, :-POSITIONS], dim=1, keepdim=True)
    return torch.cat([earlier, heat[:, -POSITIONS:]], dim=1)


def paths(states: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """How far each gradient step moved the hidden state, in three directions.

    `states` (m + 1, C) of each of T tokens -> paths (T, m + 1, 3) from each first state along the first three principal
    components of all movement in the text, and the share (3,) of that movement that each explains.
    """
    moved = torch.stack([state - state[0] for state in states]).float()  # (T, m + 1, C)
    _, sizes, directions = torch.linalg.svd(moved.flatten(0, 1), full_matrices=False)
    count = min(COMPONENTS, len(sizes))
    along = moved.new_zeros(*moved.shape[:2], COMPONENTS)
    along[..., :count] = moved @ directions[:count].T
    variance = moved.new_zeros(COMPONENTS)
    variance[:count] = sizes[:count] ** 2 / (sizes**2).sum().clamp(min=torch.finfo(sizes.dtype).tiny)
    return along, variance


def piece(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], token: int) -> str:
    """The text of a token after those `before`: some tokenizers leave out the first token's blank."""
    head, whole = (
        str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False)) for ids in (before, [*before, token])
    )
    return whole[len(head) :] if whole.startswith(head) else str(tokenizer.decode([token]))


def pieces(tokenizer: PreTrainedTokenizerBase, before: Sequence[int], ids: Sequence[int]) -> tuple[str, ...]:
    """The text of each token after those `before`; a character of several tokens belongs to the last of them."""
    texts = [
        str(tokenizer.decode([*before, *ids[:end]], clean_up_tokenization_spaces=False)).rstrip("\ufffd")
        for end in range(len(ids) + 1)
    ]
    return tuple(text[len(head) :] for head, text in zip(texts, texts[1:], strict=False))


def short(value: float | Tensor, digits: int = DIGITS) -> float:
    """A number rounded to so many significant digits."""
    return float(f"{float(value):.{digits}g}")
