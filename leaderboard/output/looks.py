"""Names, colours and signs of methods, the same on the page, in every plot and in reports."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from adapters.methods import Attribute, Method, scaled, to_json
from leaderboard.records import GIVEN

Settings = list[tuple[str, str]]


class Kind(NamedTuple):
    """How a part of a method looks; kinds.toml says more."""

    title: str
    colors: tuple[str, str]  # on white, on black
    symbol: str
    outline: str
    glyph: str


KINDS = {
    name: Kind(**row) for name, row in tomllib.loads(Path(__file__).with_name("kinds.toml").read_text("utf-8")).items()
}


class Look(NamedTuple):
    name: str  # its short name, a key of the results
    title: str
    kinds: list[str]  # of its parts
    settings: Settings

    @property
    def classes(self) -> str:
        """Classes of the style sheets; the first says the colour, the second the other colour of a composition."""
        return " ".join([f"kind-{self.kinds[0]}", *(f"and-{kind}" for kind in self.kinds[1:2])])


def look(method: Method) -> Look:
    unset = {"lora_scale": method.lora and method.lora_scale, "seed_offset": method.seed_offset or None}
    settings = to_json(method) | {"name": None} | unset
    return Look(method.name, title(method), kinds(method), flat(settings))


def title(method: Method) -> str:
    """The name of a composition, such as "PPLM science over LoRA poetry"; that of finished texts is a person's."""
    if method.texts is not None:
        return method.name
    parts = []
    if (steering := method.steering) is not None:
        how = "PPLM" if steering.num_iterations else f"Best of {steering.best_of}"
        parts.append(f"{how} {' and '.join(map(aim, steering.attributes))}")
    if method.push is not None:
        parts.append(f"Push {' and '.join(map(aim, method.push.attributes))}")
    if method.ask is not None:
        parts.append(f"Ask {scaled(method.ask.name, method.ask.gamma)}".replace("*", " ×"))
    if method.vectors:
        parts.append(f"Vector {' and '.join(scaled(v.name, v.weight, 0).replace('*', ' ×') for v in method.vectors)}")
    if (experts := method.experts) is not None:
        away = experts.alpha < 0
        parts.append(f"{'Away from' if away else 'Experts'} {experts.expert}")
        parts[-1] += f" against {experts.against}" if experts.against is not None else ""
    parts[1:] = [part[0].lower() + part[1:] if part[:4] != "PPLM" else part for part in parts[1:]]
    found = [" + ".join(parts)] if parts else []
    found += [f"LoRA {method.lora}"] if method.lora is not None else []
    found += [f"{'prefix' if found else 'Prefix'} {method.prefix}"] if method.prefix is not None else []
    return " over ".join(found) or ("Base again" if method.seed_offset else "Base")


def aim(attribute: Attribute) -> str:
    """What an attribute steers to, such as "science ×2" or "away from politics"."""
    times = "" if abs(attribute.weight) == 1 else f" ×{abs(attribute.weight):g}"
    return ("away from " if attribute.weight < 0 else "") + attribute.name + times


def kinds(method: Method) -> list[str]:
    """The parts of a method as keys of KINDS; the last gives it its colour where there is room for one."""
    steering = method.steering
    parts = {
        **{name: getattr(method, name) for name in KINDS if hasattr(method, name)},
        GIVEN: method.texts,
        "vector": method.vectors or None,
        **{"pplm" if steering and steering.num_iterations else "best": steering},
    }
    return [kind for kind in KINDS if parts.get(kind) is not None] or ["base"]


def style(dark: str = ".dark{%s}") -> str:
    """CSS of all kinds; `dark` is the rule for dark themes.

    `--lora` is a colour. The class `kind-lora` sets `--method` to it, `and-lora` sets `--second`.
    """
    colors = ["".join(f"--{name}:{kind.colors[theme]};" for name, kind in KINDS.items()) for theme in (0, 1)]
    names = [f".kind-{name}{{--method:var(--{name})}}.and-{name}{{--second:var(--{name})}}" for name in KINDS]
    return f":root{{{colors[0]}}}{dark % colors[1]}{''.join(names)}"


def flat(settings: Any, name: str = "") -> Settings:
    """Nested settings as dotted names and values; None is left out."""
    if isinstance(settings, Mapping):
        return [pair for key, value in settings.items() for pair in flat(value, f"{name}.{key}" if name else str(key))]
    if isinstance(settings, list | tuple):
        if all(isinstance(value, str) for value in settings):
            return [(name, ", ".join(settings))] if settings else []
        return [pair for number, value in enumerate(settings, start=1) for pair in flat(value, f"{name}.{number}")]
    return [] if settings is None else [(name, f"{settings:g}" if isinstance(settings, float) else str(settings))]
