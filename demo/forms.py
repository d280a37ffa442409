"""What the controls say -> methods, sampling and requests, checked.

Knows the values of controls as they arrive, from the page or from anybody's client, where nothing about them is
certain; knows nothing of Gradio.
"""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Annotated, Any, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from adapters.methods import PPLM, Method, Request, Sampling, UserError, as_in_paper, from_json
from demo import text
from demo.services import Services

MAX_PROMPT = 20_000  # characters; longer than any context here, short enough to tokenise at once
MAX_WORDS = 2_000  # characters of a person's own word list
MAX_PANES = 6
PPLM_FIELDS = tuple(field.name for field in fields(PPLM) if field.name != "attributes")
SEED: TypeAdapter[int] = TypeAdapter(Annotated[int, Field(ge=0, lt=2**32)])


class PaneForm(NamedTuple):
    """What the controls of one pane say."""

    lora: Any = text.NONE
    lora_scale: Any = Method.lora_scale
    prefix: Any = text.NONE
    attribute: Any = text.NONE
    words: Any = ""
    kl_budget: Any = PPLM.kl_budget
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
    best_of: Any = PPLM.best_of
    as_in_paper: Any = False


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


class PaneErrors(UserError):
    """What is wrong with single panes, one line each by their place."""

    def __init__(self, notes: dict[int, str]) -> None:
        super().__init__(text.MEND_PANES)
        self.notes = notes


def read_method(form: PaneForm) -> Method:
    """The method that a pane's controls describe; raises UserError with one line."""
    parts = {"lora": chosen(form.lora), "prefix": chosen(form.prefix), "pplm": chosen(form.attribute)}
    name = "+".join(f"{kind}:{part}" for kind, part in parts.items() if part is not None) or "base"
    data: dict[str, Any] = {"name": name, "lora": parts["lora"], "prefix": parts["prefix"]}
    if parts["lora"] is not None:
        data["lora_scale"] = form.lora_scale
    if parts["pplm"] is not None:
        attribute: dict[str, Any] = {"name": parts["pplm"]}
        if parts["pplm"] == text.OWN_WORDS:
            attribute["words"] = split_words(form.words)
        data["steering"] = {field: getattr(form, field) for field in PPLM_FIELDS} | {"attributes": [attribute]}
    method = from_json(Method, data)
    if method.steering is not None and form.as_in_paper:
        method = replace(method, steering=as_in_paper(method.steering))
    return method


def chosen(value: Any) -> Any:
    """The value of a dropdown, None where nothing is chosen."""
    return None if value in (None, "", text.NONE) else value


def split_words(value: Any) -> tuple[str, ...]:
    """The words of a list separated by commas, blanks or lines; raises UserError if there are none."""
    words = str(value or "")[: MAX_WORDS + 1]
    if len(words) > MAX_WORDS:
        raise UserError(text.WORDS_TOO_LONG.format(most=MAX_WORDS))
    if "\0" in words or any("\ud800" <= character <= "\udfff" for character in words):
        raise UserError(text.BAD_WORDS)
    found = tuple(dict.fromkeys(words.replace(",", " ").replace(";", " ").split()))
    if not found:
        raise UserError(text.NO_WORDS)
    return found


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


def read_form(form: Form) -> tuple[dict[int, Request], Sampling]:
    """The requests by pane, and the sampling they share. Raises UserError, or PaneErrors where panes are at fault."""
    prompt, seed, sampling = read_prompt(form.prompt), read_seed(form.seed), from_json(Sampling, form.sampling)
    requests, notes = {}, {}
    for place, pane in form.panes.items():
        try:
            requests[place] = Request(prompt, read_method(pane), seed, bool(form.chat))
        except UserError as error:
            notes[place] = str(error)
    if notes:
        raise PaneErrors(notes)
    return requests, sampling
