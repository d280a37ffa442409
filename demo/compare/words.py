"""The words on the Compare tab."""

from collections.abc import Callable, Sequence

from adapters.methods import Attribute, Method
from demo.parts.words import PROSE, duration, kinds, words_of

__getattr__: Callable[[str], str] = words_of("compare")
DESCRIBED: dict[str, str] = PROSE["compare"]["DESCRIBED"]  # by kind
SAME: dict[str, str] = PROSE["compare"]["SAME"]


def finished(reason: str, tokens: int) -> str:
    return {"eos": "finished", "length": f"{tokens}-token limit", "diverged": "diverged"}[reason]


def stop_label(seconds_left: float | None) -> str:
    return "Stop" if seconds_left is None else f"Stop · {duration(seconds_left)} left"


def same_as_base(method: Method) -> str:
    """What to do when a method wrote the base's text."""
    return f"Same text as Base. {SAME[kinds(method)[-1]]}"


def describe(method: Method) -> str:
    """What a pane does, shown until it has a text."""
    names = {"lora": method.lora, "prefix": method.prefix, "nudges": " and ".join(aims(method.attributes))}
    return "\n\n".join(DESCRIBED[kind].format(**names) for kind in reversed(kinds(method)))


def aims(attributes: Sequence[Attribute]) -> list[str]:
    """The directions of steering, once for each kind of attribute."""
    kinds = dict.fromkeys((attribute.weight < 0, attribute.is_discriminator) for attribute in attributes)
    what = {True: "what its discriminator recognises", False: "the words of its list"}
    return [f"{'away from' if away else 'towards'} {what[is_discriminator]}" for away, is_discriminator in kinds]
