"""The values of the controls, from the page or from any client -> methods, sampling and requests, checked."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from adapters.methods import PPLM, Attribute, Method, Request, Sampling, UserError, as_in_paper, from_json
from adapters.pplm.word_list import parse_words
from demo.compare import words
from demo.parts.running import PaneErrors
from demo.parts.uploads import read_prompt
from demo.parts.words import NONE, OWN_WORDS
from demo.services import Services

SEED: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, lt=2**32)])
SLOTS = (("attribute", "weight"), ("attribute_2", "weight_2"), ("attribute_3", "weight_3"))
PPLM_FIELDS = tuple(field.name for field in fields(PPLM) if field.name != "attributes")
DEFAULTS: dict[str, Any] = {
    **{"lora": NONE, "lora_scale": Method.lora_scale, "prefix": NONE, "words": "", "as_in_paper": False},
    **{attribute: NONE for attribute, _ in SLOTS},
    **{weight: 1.0 for _, weight in SLOTS},
    **{name: getattr(PPLM, name) for name in PPLM_FIELDS},
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

    poetry, scifi = (pick(name, services.names("lora")) for name in ("poetry", "scifi"))
    facts, science = pick("facts", services.names("prefix")), pick("science", list(services.attributes))
    methods: list[dict[str, str]] = [{}, {"lora": poetry}, {"prefix": facts}, {"attribute": science}]
    methods += [{"lora": poetry, "attribute": science}, {"lora": scifi}]
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


def read_method(form: PaneForm) -> Method:
    """The method of a pane; raises UserError with one line."""
    lora, prefix, attributes = chosen(form["lora"]), chosen(form["prefix"]), read_attributes(form)
    parts = [f"{kind}:{part}" for kind, part in (("lora", lora), ("prefix", prefix)) if part is not None]
    name = "+".join([*parts, *(f"pplm:{attribute.weighted_name}" for attribute in attributes)]) or "base"
    data: dict[str, Any] = {"name": name, "lora": lora, "prefix": prefix}
    if lora is not None:
        data["lora_scale"] = form["lora_scale"]
    if attributes:
        data["steering"] = {field: form[field] for field in PPLM_FIELDS} | {"attributes": attributes}
    method = from_json(Method, data)
    if method.steering is not None and form["as_in_paper"]:
        method = replace(method, steering=as_in_paper(method.steering))
    return method


def form_of(method: Method) -> dict[str, Any]:
    """The values of a pane's controls for a method: `read_method` reads it again, with at most len(SLOTS) attributes.

    Own words become one list: the controls hold one.
    """
    values: dict[str, Any] = {"lora": method.lora or NONE, "lora_scale": method.lora_scale}
    values["prefix"] = method.prefix or NONE
    if method.steering is not None:
        values |= {name: getattr(method.steering, name) for name in PPLM_FIELDS}
        for (name, weight), attribute in zip(SLOTS, method.steering.attributes, strict=False):
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
