"""The X-ray of a text, as frozen data that goes to JSON and back.

Probabilities are those of the next token: `clean` from the model, `perturbed` after the pushed past, `fused` as drawn
from. KL is in nats. Numbers have DIGITS significant digits, those of the heat map two.
"""

import math
import zlib

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from adapters.methods import STRICT, Method

VERSION = 1
LEAST_COST = 1e-3  # nats below which rounding decides what share of them was needed
DIGITS = 5
POSITIONS = 48  # newest columns in a heat map; all earlier ones are one more
MAX_STEPS = 256  # tokens of a text with an X-ray


def least_cost(before: float, after: float) -> float:
    """The nats of KL that it takes at least to change the probability of some tokens: KL of two Bernoulli variables.

    >>> round(least_cost(0.1, 0.5), 4)
    0.5108
    """
    pairs = ((after, before), (1 - after, 1 - before))
    return sum(p * math.log(p / q) for p, q in pairs if p > 0 and q > 0)


@dataclass(frozen=True, config=STRICT)
class Candidate:
    token_id: int
    text: str
    clean: float
    perturbed: float
    fused: float


@dataclass(frozen=True, config=STRICT)
class Word:
    """A word of an attribute or a person's own, by its next piece."""

    word: str
    token: Candidate
    attribute: str = ""
    resting: bool = False  # in its cooldown: just used, so not pushed


@dataclass(frozen=True, config=STRICT)
class Step:
    """How one token was made. L layers, m gradient steps, P columns of the heat map."""

    chosen: Candidate
    rank_clean: int  # of the chosen token, from 1
    rank_perturbed: int
    rank_fused: int
    candidates: tuple[Candidate, ...]  # the likeliest tokens of each of the three distributions
    kl_perturbed: float  # KL(perturbed || clean)
    kl_fused: float  # KL(fused || clean): what steering cost at this token
    share: float  # exponent of the perturbed distribution in the fused one
    losses: tuple[float, ...]  # (m + 1,) attribute loss before the first gradient step and after each
    norms: tuple[tuple[float, ...], ...]  # (m, L) norm of the gradient
    width: int  # columns of the past that were pushed
    heat: tuple[tuple[float, ...], ...]  # (L, P) of the first gradient step; its first column may merge earlier ones
    bag: tuple[Word, ...]  # words of the attributes with the largest changes
    named: tuple[Word, ...]
    path: tuple[tuple[float, float, float], ...] = ()  # (m + 1,) the last hidden state, see XRay
    # Probability of all words whose turn it is, before steering and as drawn; none in records of earlier releases.
    mass: tuple[float, float] | None = None

    @property
    def efficiency(self) -> float | None:
        """The share of the nats that the cheapest way to the same mass costs, at most 1: that of a logit push.

        None without words, or if steering cost next to nothing.
        """
        if self.mass is None or self.kl_fused < LEAST_COST:
            return None
        before, after = self.mass
        return least_cost(before, after) / self.kl_fused


@dataclass(frozen=True, config=STRICT)
class XRay:
    """How the tokens of a text were made.

    A step's path is how far its gradient steps moved the last hidden state, along the first three principal components
    of all such movement in the text (not centred: every path begins at 0). `variance` is the share that each explains.
    """

    method: Method
    context: tuple[str, ...]  # the newest tokens of the prompt, virtual ones first
    tokens: tuple[str, ...]  # of the text
    steps: tuple[Step, ...] = ()
    variance: tuple[float, float, float] = (0.0, 0.0, 0.0)
    diverged: bool = False  # the text diverged after the last step

    def places(self, number: int) -> list[str]:
        """The tokens at the columns of a step's heat map, the newest last; "" for the merged one."""
        step = self.steps[number]
        past = (*self.context, *self.tokens)[: len(self.context) + number - 1]
        kept = min(step.width, POSITIONS)
        return [""] * (step.width > kept) + list(past[len(past) - kept :])


@dataclass(frozen=True, config=STRICT)
class NextTokens:
    """The likeliest next tokens of a method with their probabilities, in falling order."""

    method: Method
    tokens: tuple[tuple[str, float], ...]  # none if it diverged


@dataclass(frozen=True, config=STRICT)
class Scored:
    """A text and the log-probabilities of its tokens, in nats, under several models; None for NaN."""

    method: Method  # that wrote it
    tokens: tuple[str, ...]
    logprobs: tuple[tuple[float | None, ...], ...]  # by model, by token


@dataclass(frozen=True, config=STRICT)
class TextRecord:
    """All that was recorded of one steered text, and of all methods side by side."""

    prompt: str
    seed: int
    chat: bool
    next_tokens: tuple[NextTokens, ...] = ()
    models: tuple[Method, ...] = ()  # the different methods without their steering
    scores: tuple[Scored, ...] = ()
    xray: XRay | None = None
    version: int = VERSION


RECORD = TypeAdapter(TextRecord)  # reads and writes its JSON


def pack(record: TextRecord) -> bytes:
    return zlib.compress(RECORD.dump_json(record))


def unpack(data: bytes) -> TextRecord:
    return RECORD.validate_json(zlib.decompress(data))
