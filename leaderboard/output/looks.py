"""Names and colours of methods, the same on the page, in every plot and in reports."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from adapters.methods import Attribute, Method, to_json
from leaderboard.records import GIVEN

Settings = list[tuple[str, str]]


class Look(NamedTuple):
    name: str  # its short name, a key of the results
    title: str
    kinds: list[str]  # of its parts: `base`, GIVEN, or some of `lora`, `prefix` and `pplm`
    settings: Settings

    @property
    def classes(self) -> str:
        """Classes of the style sheets; the first says the colour, the second the other colour of a composition."""
        return " ".join([self.kinds[0], *(f"and-{kind}" for kind in self.kinds[1:2])])


def look(method: Method) -> Look:
    unset = {"lora_scale": method.lora and method.lora_scale, "seed_offset": method.seed_offset or None}
    settings = to_json(method) | {"name": None} | unset
    return Look(method.name, title(method), kinds(method), flat(settings))


def title(method: Method) -> str:
    """The name of a composition, such as "PPLM science over LoRA poetry"; that of finished texts is a person's."""
    if method.texts is not None:
        return method.name
    parts = []
    if method.steering is not None:
        parts.append("PPLM " + " and ".join(map(aim, method.steering.attributes)))
    if method.lora is not None:
        parts.append(f"LoRA {method.lora}")
    if method.prefix is not None:
        parts.append(f"{'prefix' if parts else 'Prefix'} {method.prefix}")
    return " over ".join(parts) or ("Base again" if method.seed_offset else "Base")


def aim(attribute: Attribute) -> str:
    """What an attribute steers to, such as "science ×2" or "away from politics"."""
    times = "" if abs(attribute.weight) == 1 else f" ×{abs(attribute.weight):g}"
    return ("away from " if attribute.weight < 0 else "") + attribute.name + times


def kinds(method: Method) -> list[str]:
    """The parts of a method, for its colours."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering, GIVEN: method.texts}
    return [kind for kind, part in parts.items() if part is not None] or ["base"]


def flat(settings: Any, name: str = "") -> Settings:
    """Nested settings as dotted names and values; None is left out."""
    if isinstance(settings, Mapping):
        return [pair for key, value in settings.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list | tuple):
        if all(isinstance(value, str) for value in settings):
            return [(name, ", ".join(settings))] if settings else []
        return [pair for number, value in enumerate(settings, start=1) for pair in flat(value, f"{name}.{number}")]
    return [] if settings is None else [(name, f"{settings:g}" if isinstance(settings, float) else str(settings))]
