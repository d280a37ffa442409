"""The values of the controls, from the page or from any client -> methods, sampling and requests, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from adapters.ask.instructions import instruction
from adapters.methods import (
    BEST_OF,
    PPLM,
    Ask,
    Attribute,
    Experts,
    Method,
    Push,
    Request,
    Sampling,
    SteeringVector,
    UserError,
    as_in_paper,
    from_json,
    short_name,
    to_json,
)
from adapters.pplm.word_list import parse_words
from demo.compare import words
from demo.parts.running import PaneErrors
from demo.parts.uploads import read_prompt
from demo.parts.words import NONE, OWN_WORDS
from demo.services import Services

SEED: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, lt=2**32)])
SLOTS = (("attribute", "weight"), ("attribute_2", "weight_2"), ("attribute_3", "weight_3"))
PPLM_FIELDS = tuple(field.name for field in fields(PPLM) if field.name != "attributes")


class Part(NamedTuple):
    """What a pane's method may consist of."""

    choice: str  # the control that says which one; NONE there: the pane does not use the part
    offers: str  # what the choice offers
    setting: str  # where the part stands in Method; "": its fields are Method's own
    fields: Mapping[str, str]  # of the setting, with the control of each
    levers: tuple[str, ...] = ()  # controls that stand in the pane beside the choice


STEERING = {name: name for name in PPLM_FIELDS}
ASK = {"name": "ask", "text": "instruction", "gamma": "guidance", "negative": "negative"}
VECTOR = {"name": "vector", "weight": "vector_weight"}
EXPERTS = {"expert": "expert", "against": "against", "alpha": "alpha"}
# By the kind in a short name. What steers to a topic shares one choice: `by` says which of it the pane uses.
PARTS = {
    "lora": Part("lora", "lora", "", {"lora": "lora", "lora_scale": "lora_scale"}, ("lora_scale",)),
    "prefix": Part("prefix", "prefix", "", {"prefix": "prefix"}),
    "vector": Part("vector", "vector", "vectors", VECTOR, ("vector_weight",)),
    "pplm": Part("attribute", "attribute", "steering", STEERING, ("strength",)),
    "best": Part("attribute", "attribute", "steering", STEERING, ("best_of",)),
    "push": Part("attribute", "attribute", "push", {"nats": "nats", "cooldown": "push_cooldown"}, ("nats",)),
    "ask": Part("ask", "instruction", "ask", ASK, ("guidance", "instruction")),
    "experts": Part("expert", "adapter", "experts", EXPERTS, ("alpha",)),
}
TOPICAL = [kind for kind, part in PARTS.items() if part.choice == "attribute"]
OFFERS = {part.choice: part.offers for part in PARTS.values()}  # what each dropdown offers
OFFERS |= {"against": "adapter", **dict.fromkeys((name for name, _ in SLOTS), "attribute")}
DEFAULTS: dict[str, Any] = {
    **dict.fromkeys(OFFERS, NONE),
    **{name: getattr(PPLM, name) for name in PPLM_FIELDS},
    **{weight: 1.0 for _, weight in SLOTS},
    **{"lora_scale": Method.lora_scale, "words": "", "as_in_paper": False, "best_of": BEST_OF, "by": ("pplm",)},
    **{"nats": Push.nats, "push_cooldown": Push.cooldown, "vector_weight": SteeringVector.weight},
    **{"alpha": Experts.alpha, "instruction": "", "guidance": Ask.gamma, "negative": ""},
}
PaneForm = Mapping[str, Any]  # the value of each control of a pane


class Form(NamedTuple):
    """The values of the whole tab; `panes` holds the shown ones by their place."""

    prompt: Any
    panes: Mapping[int, PaneForm]
    sampling: dict[str, Any]
    seed: Any = 0
    chat: Any = False


class Reading(NamedTuple):
    """A checked form: the requests of the panes that can be read, and the errors of the others."""

    requests: dict[int, Request]
    sampling: Sampling
    errors: dict[int, str]


def pane_form(**values: Any) -> dict[str, Any]:
    """The values of a pane, those that are not given at their default."""
    return DEFAULTS | values


def default_panes(services: Services) -> list[PaneForm]:
    """The first settings of the six panes, as far as there are adapters for them."""

    def pick(name: str, known: Sequence[str]) -> str:
        return name if name in known else [*known, NONE][0]

    poetry, facts = pick("poetry", services.names("lora")), pick("facts", services.names("prefix"))
    science = pick("science", list(services.attributes))
    methods: list[dict[str, Any]] = [{}, {"lora": poetry}, {"prefix": facts}, {"attribute": science}]
    methods += [{"attribute": science, "by": ("push",)}, {"lora": poetry, "attribute": science}]
    return [pane_form(**method) for method in methods]


def first_shown(forms: Sequence[PaneForm]) -> tuple[int, ...]:
    """Places of the panes on a fresh page: the first four without repetitions."""
    return tuple(place for place, form in enumerate(forms[:4]) if form not in forms[:place])


def read_form(form: Form) -> Reading:
    """The requests by pane, and their sampling. Raises UserError, or PaneErrors if no pane can be read."""
    prompt, seed, sampling = read_prompt(form.prompt), read_seed(form.seed), from_json(Sampling, form.sampling)
    requests, errors = {}, {}
    for place, pane in form.panes.items():
        try:
            requests[place] = Request(prompt, read_method(pane), seed, bool(form.chat))
        except UserError as error:
            errors[place] = str(error)
    if not requests:
        raise PaneErrors(errors)
    return Reading(requests, sampling, errors)


def read_seed(value: Any) -> int:
    """A seed; raises UserError."""
    try:
        return SEED.validate_python(value)
    except ValidationError as error:
        raise UserError(words.BAD_SEED.format(value=str(value)[:40])) from error


def used(form: PaneForm) -> list[str]:
    """The parts that a pane uses."""
    parts = {kind for kind, part in PARTS.items() if kind not in TOPICAL and chosen(form[part.choice]) is not None}
    parts |= set(form["by"] if chosen_attributes(form) else ())
    return [kind for kind in PARTS if kind in parts]


def read_method(form: PaneForm) -> Method:
    """The method of a pane; raises UserError with one line."""
    parts = used(form)
    data: dict[str, Any] = {"name": ""}
    for part in (PARTS[kind] for kind in parts):
        read = {field: chosen(form[name]) if name in OFFERS else form[name] for field, name in part.fields.items()}
        data |= {part.setting: read} if part.setting else read
    for setting in data.keys() & {"steering", "push"}:
        data[setting]["attributes"] = read_attributes(form)
    if "steering" in data:
        data["steering"] |= {} if "pplm" in parts else {"num_iterations": 0}
        data["steering"] |= {} if "best" in parts else {"best_of": 1}
    if "vectors" in data:
        data["vectors"] = [data["vectors"]]
    if "ask" in data and form["ask"] != OWN_WORDS:
        data["ask"]["text"] = ""
    method = from_json(Method, data)
    if method.ask is not None:
        instruction(method.ask)  # says what is wrong with it
    if method.steering is not None and form["as_in_paper"]:
        method = replace(method, steering=as_in_paper(method.steering))
    return replace(method, name=short_name(replace(method, lora_scale=1.0)))


def form_of(method: Method) -> dict[str, Any]:
    """The values of a pane's controls for a method: `read_method` reads it again, with at most len(SLOTS) attributes.

    Own words become one list: the controls hold one. A push and a gradient have the same attributes there.
    """
    values: dict[str, Any] = {}
    plain, steering, steers = to_json(method), method.steering, method.steering or method.push
    plain["vectors"] = next(iter(plain["vectors"]), None)  # the controls hold one
    for part in PARTS.values():
        found = plain[part.setting] if part.setting else plain
        values |= {name: found[field] for field, name in part.fields.items() if found and found[field] is not None}
    by = {"push": method.push is not None, "best": steering is not None and steering.best_of > 1}
    by["pplm"] = steering is not None and (steering.num_iterations > 0 or not by["best"])
    values |= {"by": tuple(kind for kind in TOPICAL if by[kind])}
    values |= {name: DEFAULTS[name] for kind, name in (("best", "best_of"), ("pplm", "num_iterations")) if not by[kind]}
    for (name, weight), attribute in zip(SLOTS, steers.attributes if steers else (), strict=False):
        values |= {name: attribute.name, weight: attribute.weight}
        values |= {"words": ", ".join(attribute.words)} if attribute.words else {}
    return pane_form(**values)


def read_attributes(form: PaneForm) -> tuple[Attribute, ...]:
    """The attributes of a pane; raises UserError with one line."""
    found: dict[str, Attribute] = {}
    for name, weight in chosen_attributes(form):
        own = parse_words(str(form["words"] or "")) if name == OWN_WORDS else ()
        attribute = from_json(Attribute, {"name": name, "weight": weight, "words": own})
        if attribute.name in found:
            raise UserError(words.CHOSEN_TWICE.format(name=attribute.name))
        found[attribute.name] = attribute
    return tuple(found.values())


def chosen_attributes(form: PaneForm) -> list[tuple[Any, Any]]:
    """The chosen attributes with their weights, unchecked."""
    return [(form[name], form[weight]) for name, weight in SLOTS if chosen(form[name]) is not None]


def has_own_words(form: PaneForm) -> bool:
    return any(name == OWN_WORDS for name, _ in chosen_attributes(form))


def chosen(value: Any) -> Any:
    """The value of a dropdown; None if nothing is chosen."""
    return None if value in (None, "", NONE) else value
