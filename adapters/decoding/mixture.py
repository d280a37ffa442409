"""How the logits of several rows, and pushes on words, become those of one text.

    z = sum over its rows of share * z_row + nats * weight of each token whose turn it is

With guidance (arXiv 2306.17806) a text has a row after the instruction and one without it; with experts (DExperts,
arXiv 2105.03023) one for each adapter. The shares of a text sum to 1, so logits serve as well as log-probabilities.

Letters: B rows, T texts among them, K newest tokens, R texts with the same push, U tokens of its lists, V vocabulary.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from adapters.decoding.text import Row
from adapters.methods import Ask, Method, unsteered
from adapters.pplm.bags import MAX_PIECES, NO_TOKEN, Bag, WeightedLoss


class Pushed(NamedTuple):
    """Texts with the same push."""

    lists: tuple[tuple[float, Bag], ...]  # with the weight of each
    texts: Tensor  # (R,)
    nats: Tensor  # (R, 1)
    cooldown: Tensor  # (R,)


def reads(method: Method, kind: Callable[[str], str]) -> dict[Method, float]:
    """The ways of reading a text with the share of their logits, the method's own first; `kind` is an adapter's."""
    own = unsteered(method)
    shares = {own: 1.0}
    if (ask := method.ask) is not None and ask.gamma != 1:
        shares[own] = ask.gamma
        other = unsteered(replace(method, ask=Ask(ask.negative, ask.negative) if ask.negative else None))
        shares[other] = shares.get(other, 0.0) + 1 - ask.gamma
    if (experts := method.experts) is not None:
        for name, share in ((experts.expert, experts.alpha), (experts.against, -experts.alpha)):
            lora, prefix = (name if name is not None and kind(name) == part else None for part in ("lora", "prefix"))
            expert = unsteered(replace(method, lora=lora, lora_scale=1.0, prefix=prefix))
            shares[expert] = shares.get(expert, 0.0) + share
    return shares


class Mixture:
    """What makes T texts of the logits of B rows."""

    def __init__(self, rows: Sequence[Row], device: torch.device) -> None:
        self.texts = [place for place, row in enumerate(rows) if row.leader is None]
        numbers = {id(rows[place]): number for number, place in enumerate(self.texts)}
        self.text_of = torch.tensor([numbers[id(row.leader or row)] for row in rows], device=device)  # (B,)
        self.shares = torch.tensor([[row.share] for row in rows], device=device)  # (B, 1)
        texts = [rows[place] for place in self.texts]
        pushes = [row.request.method.push for row in texts]
        longest = max(MAX_PIECES, *(push.cooldown for push in pushes if push), 0)
        recent = [[*[NO_TOKEN] * longest, *row.ids][-longest:] for row in texts]
        self.recent = torch.tensor(recent, device=device)  # (T, K), the newest last
        members: dict[WeightedLoss, list[int]] = {}
        for number, row in enumerate(texts):
            if row.pushed is not None:
                members.setdefault(row.pushed, []).append(number)
        self.pushes = []
        for lists, numbers_of in members.items():
            own = [push for push in (pushes[number] for number in numbers_of) if push is not None]
            nats = torch.tensor([[push.nats] for push in own], device=device)
            cooldown = torch.tensor([push.cooldown for push in own], device=device)
            bags = tuple((weight, bag) for weight, bag in lists.terms if isinstance(bag, Bag))
            self.pushes.append(Pushed(bags, torch.tensor(numbers_of, device=device), nats, cooldown))

    @classmethod
    def of(cls, rows: Sequence[Row], device: torch.device) -> "Mixture | None":
        """None where every row is a text of its own and none is pushed."""
        plain = all(row.leader is None and row.share == 1 and row.pushed is None for row in rows)
        return None if plain else cls(rows, device)

    def mixed(self, logits: Tensor) -> Tensor:
        """Logits (T, V) of the texts from those of the rows (B, V)."""
        found = logits
        if len(self.texts) < len(logits):
            found = logits.new_zeros(len(self.texts), logits.shape[1])
            found = found.index_add(0, self.text_of, self.shares * logits)
        for push in self.pushes:
            recent = self.recent.index_select(0, push.texts)
            for weight, bag in push.lists:
                nats = push.nats * weight * bag.weights_now(recent, push.cooldown)  # (R, U)
                places = push.texts[:, None].expand_as(nats), bag.tokens.expand_as(nats)
                found = found.index_put(places, nats, accumulate=True)
        return found

    def take(self, tokens: Tensor) -> Tensor:
        """Note the tokens (T, 1) of the texts; returns those of the rows (B, 1)."""
        self.recent = torch.cat([self.recent, tokens], dim=1)[:, 1:]
        return tokens.index_select(0, self.text_of)
