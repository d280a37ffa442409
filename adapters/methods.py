"""The settings of methods and sampling, as frozen data that goes to JSON and back.

Bounds are checked when an object is made, whether its values come from a slider, the API or a file.
"""

from dataclasses import replace
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

T = TypeVar("T")
STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
MAX_WORDS = 5_000  # of a list; the longest shipped one has fewer
MAX_WORD_WEIGHT = 100.0
MAX_ATTRIBUTES = 8  # of a method; each costs time


class UserError(ValueError):
    """An error that a person can fix; its message is one line that says what to do."""


@dataclass(frozen=True, config=STRICT)
class Attribute:
    """What to steer towards: a bag of words or a class of a discriminator.

    The bag is `words`, each perhaps with a weight ("laser:2"), or else the shipped list called `name`. A name with a
    colon and without words is a discriminator and its class ("sentiment:positive").
    """

    name: str
    weight: Annotated[float, Field(ge=-10, le=10)] = 1.0  # negative: away from it
    words: tuple[str, ...] = ()

    @model_validator(mode="after")
    def not_too_many(self) -> "Attribute":
        if len(self.words) > MAX_WORDS:
            raise ValueError(f"A list has {len(self.words):,} words, at most {MAX_WORDS:,} can be used: shorten it.")
        return self

    @property
    def is_discriminator(self) -> bool:
        return ":" in self.name and not self.words

    @property
    def short_name(self) -> str:
        """The name that `parse_method` reads: `pplm:science`, `pplm:sentiment:negative*-1`."""
        return f"pplm:{self.name}" + ("" if self.weight == 1 else f"*{self.weight:g}")


def weighted_word(text: str) -> tuple[str, float]:
    """A word of a list and its weight.

    >>> weighted_word("laser:2"), weighted_word(" sea "), weighted_word("10:30 pm")
    (('laser', 2.0), ('sea', 1.0), ('10:30 pm', 1.0))

    Raises UserError for a weight that is not above 0 and at most MAX_WORD_WEIGHT.
    """
    word, colon, weight = text.rpartition(":")
    try:
        value = float(weight if colon else "")
    except ValueError:
        return text.strip(), 1.0
    if not 0 < value <= MAX_WORD_WEIGHT:
        raise UserError(
            f"The weight in {text[:40]!r} must be above 0 and at most {MAX_WORD_WEIGHT:g}: to steer away, give the "
            "whole list a negative weight."
        )
    return word.strip(), value


CLASS_NATS = 0.02  # of KL per token that a class may cost, for each nat of strength
NO_LIMIT = 100.0  # nats, more than any fused distribution costs in float32


@dataclass(frozen=True, config=STRICT)
class PPLM:
    """Settings of PPLM (Dathathri et al., ICLR 2020, arXiv 1912.02164), named as in the paper and its code.

    strength, kl_budget, cooldown and carry=False are not in the paper; `as_in_paper` turns them off. best_of is the
    paper's reranking: BR with 0 iterations, BCR with more.
    """

    attributes: Annotated[tuple[Attribute, ...], Field(min_length=1, max_length=MAX_ATTRIBUTES)]
    step_size: Annotated[float, Field(ge=0, le=1)] = 0.3  # length of one gradient step on the past
    num_iterations: Annotated[int, Field(ge=0, le=30)] = 1  # gradient steps for each token
    window_length: Annotated[int, Field(ge=0, le=4096)] = 0  # newest positions that are moved; 0: all
    gamma: Annotated[float, Field(ge=0, le=4)] = 1.5  # exponent of the gradient's norm: 1 normalises, 0 does not
    kl_scale: Annotated[float, Field(ge=0, le=10)] = 0.01  # weight of the KL from the clean distribution
    gm_scale: Annotated[float, Field(ge=0, le=1)] = 0.99  # share of the steered distribution in the fused one
    # Tokens to come that a discriminator judges too, each as the mean embedding of the likely ones, for a pass each.
    horizon_length: Annotated[int, Field(ge=0, le=8)] = 0
    decay: bool = False  # older positions of the window are moved less
    grad_length: Annotated[int, Field(ge=0, le=4096)] = 0  # tokens that are steered, the first ones; 0: all
    strength: Annotated[float, Field(ge=0, le=NO_LIMIT)] = 20.0  # nats of KL that one more word is worth
    kl_budget: Annotated[float, Field(ge=0, le=NO_LIMIT)] = NO_LIMIT  # nats of KL that the fusion may cost at any token
    cooldown: Annotated[int, Field(ge=0, le=256)] = 50  # tokens for which a token just used gets no likelier
    carry: bool = False  # True: the next token starts from the moved past; False: from the clean one
    best_of: Annotated[int, Field(ge=1, le=16)] = 1  # texts written, of which the best is kept

    @property
    def allowance(self) -> float:
        """Nats of KL per token that steering towards a class may cost, beside what words are worth."""
        return CLASS_NATS * self.strength if self.has_discriminator else 0.0

    @property
    def has_discriminator(self) -> bool:
        return any(attribute.is_discriminator for attribute in self.attributes)


@dataclass(frozen=True, config=STRICT)
class Method:
    """One way of continuing a prompt. The parts compose: PPLM over a LoRA over a prefix sets all of them."""

    name: str
    lora: str | None = None  # names in the AdapterStore
    lora_scale: Annotated[float, Field(ge=0, le=4)] = 1.0
    prefix: str | None = None
    steering: PPLM | None = None
    seed_offset: Annotated[int, Field(ge=0)] = 0  # added to the seed of a run: the same once more, as a control
    texts: str | None = None  # sha256 of finished texts from elsewhere, which a run scores and never writes

    @property
    def horizon(self) -> int:
        """Tokens to come that its steering reads beyond the newest one."""
        return self.steering.horizon_length if self.steering else 0

    @property
    def reads_as_base(self) -> bool:
        """Whether the model itself is the base, but for steering."""
        return self.lora is None and self.prefix is None


@dataclass(frozen=True, config=STRICT)
class Sampling:
    """How the next token is drawn, for every row of a batch."""

    temperature: Annotated[float, Field(ge=0, le=5)] = 0.7  # 0: greedy
    top_k: Annotated[int, Field(ge=0, le=1000)] = 0  # 0: off
    top_p: Annotated[float, Field(gt=0, le=1)] = 0.9  # 1: off
    repetition_penalty: Annotated[float, Field(ge=1, le=3)] = 1.0  # 1: off
    max_new_tokens: Annotated[int, Field(ge=1, le=1024)] = 60


class Request(NamedTuple):
    """A prompt to continue by a method; `chat` wraps the prompt in the model's chat template."""

    prompt: str
    method: Method
    seed: int = 0
    chat: bool = False


BASE = Method("base")


def parse_method(text: str) -> Method:
    """The method of a short name: `base`, `lora:NAME`, `prefix:NAME`, `pplm:NAME`, or several joined by `+`.

    `pplm:` may appear several times, each with a word list or a discriminator's class and perhaps a weight.

    >>> parse_method("lora:poetry+pplm:science").lora
    'poetry'
    >>> steering = parse_method("pplm:science*2+pplm:sentiment:negative*-1").steering
    >>> [(attribute.name, attribute.weight) for attribute in steering.attributes]
    [('science', 2.0), ('sentiment:negative', -1.0)]

    Raises UserError for anything else.
    """
    parts: dict[str, str] = {}
    attributes: dict[str, Attribute] = {}
    for part in text.strip().split("+"):
        kind, _, name = part.strip().partition(":")
        known, new = kind in ("base", "lora", "prefix", "pplm"), kind not in parts
        if kind == "pplm" and name:
            attribute = parse_attribute(name)
            new = attribute.name not in ("", *attributes)
            attributes[attribute.name] = attribute
        if not known or not new or (kind == "base") == bool(name):
            raise UserError(
                f"Cannot read the method {text[:200]!r}: write base, lora:NAME, prefix:NAME or pplm:NAME, each once, "
                "joined by +; several pplm:NAME*WEIGHT may stand together."
            )
        parts[kind] = name
    steering = from_json(PPLM, {"attributes": tuple(attributes.values())}) if attributes else None
    return Method(text.strip(), lora=parts.get("lora"), prefix=parts.get("prefix"), steering=steering)


def parse_attribute(text: str) -> Attribute:
    """An attribute of a short name, such as `science*2`. Raises UserError for a bad weight."""
    name, star, weight = text.rpartition("*")
    if not star:
        return Attribute(text)
    return from_json(Attribute, {"name": name, "weight": weight})


def as_in_paper(steering: PPLM) -> PPLM:
    return replace(steering, strength=NO_LIMIT, kl_budget=NO_LIMIT, cooldown=0, carry=True)


def effect_off(method: Method) -> Method:
    """The method with every effect at zero (scale 0, step size 0, no prefix): it must write the base's text."""
    steering = None if method.steering is None else replace(method.steering, step_size=0.0, best_of=1)
    return replace(method, lora_scale=0.0, prefix=None, steering=steering)


def unsteered(method: Method) -> Method:
    """The method without its steering, named after the rest: `base`, `lora:poetry`, `lora:poetry*0.5+prefix:facts`."""
    parts, scale = [], method.lora_scale if method.lora is not None else 1.0
    if method.lora is not None:
        parts.append(f"lora:{method.lora}" + (f"*{scale:g}" if scale != 1 else ""))
    if method.prefix is not None:
        parts.append(f"prefix:{method.prefix}")
    return Method("+".join(parts) or BASE.name, method.lora, scale, method.prefix)


def to_json(value: Any) -> dict[str, Any]:
    """Plain JSON data of a settings object."""
    return TypeAdapter(type(value)).dump_python(value, mode="json")


def from_json(kind: type[T], data: dict[str, Any]) -> T:
    """The settings object of `kind` from plain data. Raises UserError."""
    try:
        return TypeAdapter(kind).validate_python(data)
    except ValidationError as error:
        raise UserError(explain(error)) from error


def explain(error: ValidationError) -> str:
    """One line for the first failed check: `step_size: Input should be less than or equal to 1 (got 7)`."""
    first = error.errors(include_url=False)[0]
    if first["type"] == "value_error":  # a whole sentence from a check of our own
        return str(first["ctx"]["error"])
    where = ".".join(str(part) for part in first["loc"]) or "settings"
    return f"{where}: {first['msg']} (got {first['input']!r:.60})"
