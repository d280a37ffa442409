"""What the X-ray of a text holds, as frozen data that goes to JSON and back.

Knows numbers and pieces of text; knows nothing of tensors, models or figures. Probabilities are those of the next
token: `clean` as the model has it, `perturbed` after the pushed past, `fused` as it is drawn from. KL is in nats.
Numbers are rounded to DIGITS significant digits, those of the heat map to two.
"""

import zlib
from collections.abc import Sequence
from dataclasses import replace

from pydantic import TypeAdapter
from pydantic.dataclasses import dataclass

from adapters.methods import STRICT, Method

VERSION = 1
DIGITS = 5
POSITIONS = 48  # newest columns of the past that a heat map tells apart; all before them are one more
MAX_STEPS = 256  # tokens of a text that are looked at


@dataclass(frozen=True, config=STRICT)
class Candidate:
    """A token that could come next."""

    token_id: int
    text: str
    clean: float
    perturbed: float
    fused: float


@dataclass(frozen=True, config=STRICT)
class Word:
    """A word, by the piece of it whose turn it is: of an attribute, or one that a person has named."""

    word: str
    token: Candidate
    attribute: str = ""
    resting: bool = False  # it was just used, so that it is not pushed


@dataclass(frozen=True, config=STRICT)
class Step:
    """How one token came about. L layers, m pushes, P places of the heat map."""

    chosen: Candidate
    rank_clean: int  # of the chosen token, from 1
    rank_perturbed: int
    rank_fused: int
    candidates: tuple[Candidate, ...]  # the likeliest tokens of each of the three distributions
    kl_perturbed: float  # KL(perturbed || clean)
    kl_fused: float  # KL(fused || clean): what steering cost at this token
    share: float  # exponent of the perturbed distribution in the fused one
    losses: tuple[float, ...]  # (m + 1,) attribute loss before the first push and after each
    norms: tuple[tuple[float, ...], ...]  # (m, L) norm of the gradient that was pushed against
    width: int  # columns of the past that were pushed
    heat: tuple[tuple[float, ...], ...]  # (L, P) of the first push, by column; the first is all earlier ones, if any
    bag: tuple[Word, ...]  # words of the attributes whose probability changed most
    named: tuple[Word, ...]
    path: tuple[tuple[float, float, float], ...] = ()  # (m + 1,) the last hidden state, see XRay


@dataclass(frozen=True, config=STRICT)
class XRay:
    """How the tokens of a text came about.

    A step's path is how far its pushes have moved the last hidden state, in the three directions in which the pushes of
    this text move it most (its principal components, without centring: every path begins at 0). `variance` is the part
    of all movement that each of them holds.
    """

    method: Method
    context: tuple[str, ...]  # the newest of the prompt's tokens, virtual ones before them
    tokens: tuple[str, ...]  # of the text
    steps: tuple[Step, ...] = ()
    variance: tuple[float, float, float] = (0.0, 0.0, 0.0)
    diverged: bool = False  # the numbers went wrong after the last step

    def places(self, number: int) -> list[str]:
        """What stands at the places of the heat map of one step, the newest last; "" for all that is earlier."""
        step = self.steps[number]
        past = (*self.context, *self.tokens)[: len(self.context) + number - 1]
        kept = min(step.width, POSITIONS)
        return [""] * (step.width > kept) + list(past[len(past) - kept :])


@dataclass(frozen=True, config=STRICT)
class NextTokens:
    """What a method would write next: the likeliest tokens with their probabilities, the likeliest first."""

    method: Method
    tokens: tuple[tuple[str, float], ...]  # none where its numbers went wrong


@dataclass(frozen=True, config=STRICT)
class Scored:
    """A text and the log-probabilities of its tokens, in nats, under several models; None for what is no number."""

    method: Method  # that wrote it
    tokens: tuple[str, ...]
    logprobs: tuple[tuple[float | None, ...], ...]  # by model, by token


@dataclass(frozen=True, config=STRICT)
class Record:
    """Everything that has been looked at: of one steered text, and of all methods beside each other."""

    prompt: str
    seed: int
    chat: bool
    next_tokens: tuple[NextTokens, ...] = ()
    models: tuple[Method, ...] = ()  # the different methods without their steering
    scores: tuple[Scored, ...] = ()
    xray: XRay | None = None
    version: int = VERSION


def unsteered(methods: Sequence[Method]) -> list[Method]:
    """The different methods among these once their steering is left out, each under what remains of its name."""
    plain = []
    for method in methods:
        parts = [f"{kind}:{part}" for kind, part in (("lora", method.lora), ("prefix", method.prefix)) if part]
        scale = method.lora_scale if method.lora else 1.0
        plain.append(replace(method, name="+".join(parts) or "base", lora_scale=scale, steering=None))
    return list(dict.fromkeys(plain))


def as_json(record: Record) -> bytes:
    """The JSON of a record, as it is saved."""
    return TypeAdapter(Record).dump_json(record)


def from_json(data: bytes) -> Record:
    """The record that `as_json` has written."""
    return TypeAdapter(Record).validate_json(data)


def pack(record: Record) -> bytes:
    """A record in little room: its JSON, deflated."""
    return zlib.compress(as_json(record))


def unpack(data: bytes) -> Record:
    return from_json(zlib.decompress(data))
