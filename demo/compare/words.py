"""The words on the Compare tab."""

from collections.abc import Callable

from adapters.methods import PPLM, Method
from demo.parts.words import duration, words_of

__getattr__: Callable[[str], str] = words_of("compare")


def finished(reason: str, tokens: int) -> str:
    return {"eos": "finished", "length": f"{tokens}-token limit", "diverged": "diverged"}[reason]


def stop_label(seconds_left: float | None) -> str:
    return "Stop" if seconds_left is None else f"Stop · {duration(seconds_left)} left"


def same_as_base(method: Method) -> str:
    """What to do when a method wrote the base's text."""
    if method.steering is not None:
        return "Same text as Base. Raise the strength, or pick a topic nearer to the prompt."
    if method.lora is not None:
        return "Same text as Base. Raise the scale, or pick another adapter."
    return "Same text as Base. Try a prompt like the texts it was trained on."


def describe(method: Method) -> str:
    """What a pane does, shown until it has a text."""
    sentences = []
    if method.steering is not None:
        nudges = " and ".join(aims(method.steering))
        sentences.append(f"PPLM: no training. Before each token, a gradient nudges the model's memory {nudges}.")
    if method.lora is not None:
        sentences.append(f"LoRA: small matrices, trained on {method.lora}, are added to the weights.")
    if method.prefix is not None:
        sentences.append(f"Prefix tuning: tokens learned on {method.prefix} stand before the prompt.")
    return "\n\n".join(sentences) or "The base model as it is, to compare the others with."


def aims(steering: PPLM) -> list[str]:
    """The directions of steering, once for each kind of attribute."""
    kinds = dict.fromkeys((attribute.weight < 0, attribute.is_discriminator) for attribute in steering.attributes)
    what = {True: "what its discriminator recognises", False: "the words of its list"}
    return [f"{'away from' if away else 'towards'} {what[is_discriminator]}" for away, is_discriminator in kinds]
