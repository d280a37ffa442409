"""What the controls say -> methods, sampling and requests, checked.

Knows the values of controls as they arrive, from the page or from anybody's client, where nothing about them is
certain; knows nothing of Gradio.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from adapters.methods import PPLM, Attribute, Method, Request, Sampling, UserError, as_in_paper, from_json
from adapters.pplm.word_list import parse_words
from demo.parts import words as text
from demo.parts.board import PaneErrors
from demo.services import Services

MAX_PROMPT = 20_000  # characters; longer than any context here, short enough to tokenise at once
PPLM_FIELDS = tuple(field.name for field in fields(PPLM) if field.name != "attributes")
SLOTS = (("attribute", "weight"), ("attribute_2", "weight_2"), ("attribute_3", "weight_3"))  # fields of PaneForm
SEED: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, lt=2**32)])


class PaneForm(NamedTuple):
    """What the controls of one pane say."""

    lora: Any = text.NONE
    lora_scale: Any = Method.lora_scale
    prefix: Any = text.NONE
    attribute: Any = text.NONE
    weight: Any = 1.0
    attribute_2: Any = text.NONE
    weight_2: Any = 1.0
    attribute_3: Any = text.NONE
    weight_3: Any = 1.0
    words: Any = ""
    strength: Any = PPLM.strength
    step_size: Any = PPLM.step_size
    num_iterations: Any = PPLM.num_iterations
    window_length: Any = PPLM.window_length
    gamma: Any = PPLM.gamma
    kl_scale: Any = PPLM.kl_scale
    gm_scale: Any = PPLM.gm_scale
    horizon_length: Any = PPLM.horizon_length
    decay: Any = PPLM.decay
    grad_length: Any = PPLM.grad_length
    cooldown: Any = PPLM.cooldown
    carry: Any = PPLM.carry
    kl_budget: Any = PPLM.kl_budget
    best_of: Any = PPLM.best_of
    as_in_paper: Any = False

    @property
    def chosen_attributes(self) -> list[tuple[Any, Any]]:
        """What is to be steered by, and the weight of each."""
        slots = [(getattr(self, name), getattr(self, weight)) for name, weight in SLOTS]
        return [(name, weight) for name, weight in slots if chosen(name) is not None]

    @property
    def has_own_words(self) -> bool:
        return any(name == text.OWN_WORDS for name, _ in self.chosen_attributes)


class Form(NamedTuple):
    """What the whole tab says; `panes` holds the shown ones by their place."""

    prompt: Any
    panes: dict[int, PaneForm]
    sampling: dict[str, Any]
    seed: Any = 0
    chat: Any = False


def default_panes(services: Services) -> list[PaneForm]:
    """What the six panes are set to, as far as there are adapters for it; the first four are the card's methods."""

    def pick(name: str, known: Sequence[str]) -> str:
        return name if name in known else [*known, text.NONE][0]

    poetry, scifi = (pick(name, services.names("lora")) for name in ("poetry", "scifi"))
    facts, science = pick("facts", services.names("prefix")), pick("science", list(services.attributes))
    return [
        PaneForm(),
        PaneForm(lora=poetry),
        PaneForm(prefix=facts),
        PaneForm(attribute=science),
        PaneForm(lora=poetry, attribute=science),
        PaneForm(lora=scifi),
    ]


def first_shown(forms: Sequence[PaneForm]) -> tuple[int, ...]:
    """Places of the panes on a fresh page: the first four, but for those that would repeat another."""
    return tuple(place for place, form in enumerate(forms[:4]) if form not in forms[:place])


def read_method(form: PaneForm) -> Method:
    """The method that a pane's controls describe; raises UserError with one line."""
    lora, prefix, attributes = chosen(form.lora), chosen(form.prefix), read_attributes(form)
    parts = [f"{kind}:{part}" for kind, part in (("lora", lora), ("prefix", prefix)) if part is not None]
    name = "+".join([*parts, *(attribute.short_name for attribute in attributes)]) or "base"
    data: dict[str, Any] = {"name": name, "lora": lora, "prefix": prefix}
    if lora is not None:
        data["lora_scale"] = form.lora_scale
    if attributes:
        data["steering"] = {field: getattr(form, field) for field in PPLM_FIELDS} | {"attributes": attributes}
    method = from_json(Method, data)
    if method.steering is not None and form.as_in_paper:
        method = replace(method, steering=as_in_paper(method.steering))
    return method


def read_attributes(form: PaneForm) -> tuple[Attribute, ...]:
    """What a pane steers by; raises UserError with one line."""
    found: dict[str, Attribute] = {}
    for name, weight in form.chosen_attributes:
        words = parse_words(str(form.words or "")) if name == text.OWN_WORDS else ()
        attribute = from_json(Attribute, {"name": name, "weight": weight, "words": words})
        if attribute.name in found:
            raise UserError(text.CHOSEN_TWICE.format(name=attribute.name))
        found[attribute.name] = attribute
    return tuple(found.values())


def chosen(value: Any) -> Any:
    """The value of a dropdown, None where nothing is chosen."""
    return None if value in (None, "", text.NONE) else value


def read_prompt(value: Any) -> str:
    """A prompt that can be continued; raises UserError."""
    if not isinstance(value, str) or not value.strip():
        raise UserError(text.NO_PROMPT)
    if len(value) > MAX_PROMPT:
        raise UserError(text.PROMPT_TOO_LONG.format(length=len(value), most=MAX_PROMPT))
    return value


def read_seed(value: Any) -> int:
    """A seed; raises UserError."""
    try:
        return SEED.validate_python(value)
    except ValidationError as error:
        raise UserError(text.BAD_SEED.format(value=str(value)[:40])) from error


class Reading(NamedTuple):
    """What a form says: the requests of the panes that can be read, and what is wrong with the others."""

    requests: dict[int, Request]
    sampling: Sampling
    errors: dict[int, str]


def read_form(form: Form) -> Reading:
    """The requests by pane, and the sampling they share. Raises UserError, or PaneErrors where no pane can be read."""
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
