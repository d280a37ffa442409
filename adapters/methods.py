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
MAX_INSTRUCTION = 2_000  # characters
BEST_OF = 10  # texts of the preset without a gradient, as in the paper
SEVERAL = ("pplm", "best", "push", "vector")  # kinds of a short name's parts that may stand several times
KINDS = ("base", "lora", "prefix", "ask", "experts", *SEVERAL)
MAX_VECTORS = 8  # of a method


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
    def weighted_name(self) -> str:
        """As `parse_method` reads it: `science`, `sentiment:negative*-1`."""
        return scaled(self.name, self.weight)


def scaled(name: str, factor: float, usual: float = 1.0) -> str:
    """A name and its factor: `poetry*0.5`; the usual factor is left out."""
    return name if factor == usual else f"{name}*{factor:g}"


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
class Push:
    """Logit push: nats added to the tokens of word lists, times the weights of word and list.

    The paper's baseline "weighted decoding", also known as exponential tilting. Of all distributions with the same
    probability of the list it has the least KL from the model's.
    """

    attributes: Annotated[tuple[Attribute, ...], Field(min_length=1, max_length=MAX_ATTRIBUTES)]
    nats: Annotated[float, Field(ge=0, le=20)] = 3.0
    cooldown: Annotated[int, Field(ge=0, le=256)] = 50  # tokens for which a word just used is not pushed again

    @model_validator(mode="after")
    def has_words(self) -> "Push":
        if classes := [attribute.name for attribute in self.attributes if attribute.is_discriminator]:
            raise ValueError(f"A push needs words, and {classes[0]!r} is a classifier: choose a list, or use PPLM.")
        return self


@dataclass(frozen=True, config=STRICT)
class Ask:
    """An instruction before the prompt; with a gamma other than 1 also guidance (arXiv 2306.17806).

    Guidance draws from z_u + gamma (z_c - z_u): z_c are the logits after the instruction, z_u those after `negative`
    or, without one, after the prompt alone.
    """

    name: str  # of the attribute whose shipped instruction is used, unless there is a text
    text: Annotated[str, Field(max_length=MAX_INSTRUCTION)] = ""
    gamma: Annotated[float, Field(ge=0, le=5)] = 1.0
    negative: Annotated[str, Field(max_length=MAX_INSTRUCTION)] = ""


@dataclass(frozen=True, config=STRICT)
class Experts:
    """DExperts (arXiv 2105.03023): alpha (log p of an adapter - log p of another, or of the base) is added."""

    expert: str  # names in the AdapterStore
    against: str | None = None  # None: the base model
    alpha: Annotated[float, Field(ge=-4, le=4)] = 0.5


@dataclass(frozen=True, config=STRICT)
class SteeringVector:
    """A direction that is added to the residual stream: a class of a steering vector, such as `sentiment:positive`."""

    name: str
    weight: Annotated[float, Field(ge=-4, le=4)] = 0.2  # in lengths of a typical state of its layer; negative: away


@dataclass(frozen=True, config=STRICT)
class Method:
    """One way of continuing a prompt. The parts compose: PPLM over a LoRA over a prefix sets all of them."""

    name: str
    lora: str | None = None  # names in the AdapterStore
    lora_scale: Annotated[float, Field(ge=0, le=4)] = 1.0
    prefix: str | None = None
    steering: PPLM | None = None
    push: Push | None = None
    ask: Ask | None = None
    experts: Experts | None = None
    vectors: Annotated[tuple[SteeringVector, ...], Field(max_length=MAX_VECTORS)] = ()
    seed_offset: Annotated[int, Field(ge=0)] = 0  # added to the seed of a run: the same once more, as a control
    texts: str | None = None  # sha256 of finished texts from elsewhere, which a run scores and never writes

    @property
    def horizon(self) -> int:
        """Tokens to come that its steering reads beyond the newest one."""
        return self.steering.horizon_length if self.steering else 0

    @property
    def reads_as_base(self) -> bool:
        """Whether the model itself is the base and reads the prompt alone, but for steering."""
        return self.lora is None and self.prefix is None and self.ask is None and not self.vectors

    @property
    def rows(self) -> int:
        """Rows of a batch that a text takes, at most."""
        mixed = 1 + (self.ask is not None and self.ask.gamma != 1) + 2 * (self.experts is not None)
        return mixed * (self.steering.best_of if self.steering else 1)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """What it steers to, by a gradient or by a push."""
        return tuple(attribute for part in (self.steering, self.push) if part for attribute in part.attributes)

    @property
    def aims(self) -> tuple[tuple[str, float], ...]:
        """Names and weights of the attributes and vectors that a judge may know: those without words of one's own."""
        named = tuple((attribute.name, attribute.weight) for attribute in self.attributes if not attribute.words)
        return (*named, *((vector.name, vector.weight) for vector in self.vectors))


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
    """The method of a short name: `base`, or one or several of these, joined by `+`.

    `lora:NAME`, `prefix:NAME`, `pplm:NAME`, `best:NAME` (the best of several texts, without a gradient), `push:NAME`,
    `vector:NAME:CLASS`, `ask:NAME`, `experts:NAME` or `experts:NAME/OTHER`. `pplm`, `best` and `push` take a word list
    or (not `push`) a class NAME:CLASS and may stand several times, as `vector` may. A factor may follow: the weight of
    an attribute, the strength of a vector, the gamma of guidance, the alpha of experts.

    >>> parse_method("lora:poetry+pplm:science").lora
    'poetry'
    >>> steering = parse_method("pplm:science*2+pplm:sentiment:negative*-1").steering
    >>> [(attribute.name, attribute.weight) for attribute in steering.attributes]
    [('science', 2.0), ('sentiment:negative', -1.0)]
    >>> parse_method("ask:science*1.5").ask.gamma, parse_method("experts:poetry/austen").experts.against
    (1.5, 'austen')
    >>> parse_method("vector:sentiment:positive*0.4").vectors
    (SteeringVector(name='sentiment:positive', weight=0.4),)

    Raises UserError for anything else.
    """
    parts: dict[str, list[dict[str, str]]] = {}
    for part in text.strip().split("+"):
        kind, _, rest = part.strip().partition(":")
        name, star, factor = (rest, "", "") if kind in ("lora", "prefix") else rest.rpartition("*")
        named = {"name": name if star else rest} | ({"weight": factor} if star else {})
        new = kind not in parts or kind in SEVERAL and named["name"] not in [known["name"] for known in parts[kind]]
        if kind not in KINDS or not new or (kind == "base") == bool(named["name"]):
            raise UserError(
                f"Cannot read the method {text[:200]!r}: write base, lora:NAME, prefix:NAME, pplm:NAME, push:NAME, "
                "vector:NAME:CLASS, ask:NAME, experts:NAME or best:NAME, each once, joined by +; several "
                "pplm:NAME*WEIGHT may stand together."
            )
        parts.setdefault(kind, []).append(named)
    return method_of(text.strip(), parts)


def method_of(name: str, parts: dict[str, list[dict[str, str]]]) -> Method:
    """The method of the parts of a short name. Raises UserError for a bad factor, or pplm beside best."""

    def one(kind: str, factor: str) -> dict[str, str]:
        part = parts[kind][0]
        return {"name": part["name"]} | ({factor: part["weight"]} if "weight" in part else {})

    data: dict[str, Any] = {kind: parts[kind][0]["name"] for kind in ("lora", "prefix") if kind in parts}
    kinds = {"vector": SteeringVector}
    attributes = {k: [from_json(kinds.get(k, Attribute), part) for part in parts.get(k, ())] for k in SEVERAL}
    if attributes["pplm"] and attributes["best"]:
        raise UserError("Write either pplm:NAME or best:NAME: the second is the first without its gradient.")
    if attributes["pplm"]:
        data["steering"] = {"attributes": attributes["pplm"]}
    if attributes["best"]:
        data["steering"] = {"attributes": attributes["best"], "num_iterations": 0, "best_of": BEST_OF}
    if attributes["push"]:
        data["push"] = {"attributes": attributes["push"]}
    data["vectors"] = attributes["vector"]
    if "ask" in parts:
        data["ask"] = one("ask", "gamma")
    if "experts" in parts:
        found = one("experts", "alpha")
        expert, _, against = found.pop("name").partition("/")
        data["experts"] = found | {"expert": expert, "against": against or None}
    return from_json(Method, {"name": name} | data)


def parse_attribute(text: str) -> Attribute:
    """An attribute of a short name, such as `science*2`. Raises UserError for a bad weight."""
    name, star, weight = text.rpartition("*")
    return from_json(Attribute, {"name": name, "weight": weight}) if star else Attribute(text)


def as_in_paper(steering: PPLM) -> PPLM:
    return replace(steering, strength=NO_LIMIT, kl_budget=NO_LIMIT, cooldown=0, carry=True)


def effect_off(method: Method) -> Method:
    """The method with every effect at zero (scale, strength, step size, nats, gamma or alpha 0; no prefix).

    It must write the base's text.
    """
    return replace(
        method,
        lora_scale=0.0,
        prefix=None,
        vectors=tuple(replace(vector, weight=0.0) for vector in method.vectors),
        steering=None if method.steering is None else replace(method.steering, step_size=0.0, best_of=1),
        push=None if method.push is None else replace(method.push, nats=0.0),
        ask=None if method.ask is None else replace(method.ask, gamma=0.0, negative=""),
        experts=None if method.experts is None else replace(method.experts, alpha=0.0),
    )


def unsteered(method: Method) -> Method:
    """How the method reads a text, without what it does to the logits: adapters, vectors and instruction.

    It is named after them: `base`, `lora:poetry`, `lora:poetry*0.5+prefix:facts`, `ask:science`.
    """
    scale = method.lora_scale if method.lora is not None else 1.0
    ask = None if method.ask is None else Ask(method.ask.name, method.ask.text)
    reads = Method("", lora=method.lora, lora_scale=scale, prefix=method.prefix, ask=ask, vectors=method.vectors)
    return replace(reads, name=short_name(reads))


def short_name(method: Method) -> str:
    """The name of a composition, which `parse_method` reads if all else is as by default and a list has no own words.

    >>> short_name(parse_method("push:science*2+lora:poetry"))
    'lora:poetry+push:science*2'
    """
    parts = [] if method.lora is None else [f"lora:{scaled(method.lora, method.lora_scale)}"]
    parts += [] if method.prefix is None else [f"prefix:{method.prefix}"]
    parts += [f"vector:{scaled(vector.name, vector.weight, SteeringVector.weight)}" for vector in method.vectors]
    if (steering := method.steering) is not None:
        kind = "pplm" if steering.num_iterations else "best"
        parts += [f"{kind}:{attribute.weighted_name}" for attribute in steering.attributes]
    parts += [f"push:{attribute.weighted_name}" for attribute in method.push.attributes] if method.push else []
    parts += [f"ask:{scaled(method.ask.name, method.ask.gamma)}"] if method.ask else []
    if (experts := method.experts) is not None:
        pair = experts.expert if experts.against is None else f"{experts.expert}/{experts.against}"
        parts.append(f"experts:{scaled(pair, experts.alpha, Experts.alpha)}")
    return "+".join(parts) or BASE.name


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
