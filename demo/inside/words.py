"""The words of the Inside tab."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import mean

from adapters.learned.explorer import Watched
from adapters.learned.spectrum import Update
from demo.parts.controls import controls, labelled
from demo.parts.words import PROSE, percent, words_of

__getattr__: Callable[[str], str] = words_of("inside")
control = partial(labelled, of=controls("inside"))
ROLES: dict[str, str] = PROSE["inside"]["ROLES"]
WORD_COLUMNS = ["Token", "Before → after", "Attention", "Moved", "Nearest words now (cosine)"]


def lora_line(name: str, updates: list[Update], num_parameters: int) -> str:
    trained = sum(update.trained for update in updates)
    full = sum(update.size[0] * update.size[1] for update in updates)
    return (
        f"{name}: {trained:,} trained parameters in {len(updates)} modules, {percent(trained / full)} of the "
        f"{full:,} of those modules and {percent(trained / num_parameters)} of the model's {num_parameters:,}."
    )


def stands_out(name: str, updates: Sequence[Update]) -> str:
    """What stands out in a LoRA: the matrix that changed most, the kinds that changed most and least."""
    top = max(updates, key=lambda update: update.relative)
    means = {
        module: mean([update.relative for update in updates if update.module == module])
        for module in dict.fromkeys(update.module for update in updates)
    }
    most, least = max(means, key=means.__getitem__), min(means, key=means.__getitem__)
    where = "outside of the layers" if top.layer is None else f"in layer {top.layer + 1}"
    said = f"{name} changed {role(top.module)} {where} most: by {percent(top.relative)} of its size."
    if most == least:
        return said
    return (
        f"{said} On average {role(most)} changed by {percent(means[most])}, {role(least)} by {percent(means[least])}."
    )


def module_line(update: Update) -> str:
    out, inputs = update.size
    return (
        f"{place_of(update)}: {out:,} × {inputs:,}, {update.trained:,} trained instead of {out * inputs:,}. Effective "
        f"rank {update.effective_rank:.1f} of {len(update.singular_values)}."
    )


def prefix_line(name: str, size: int, trained: int, num_parameters: int) -> str:
    return (
        f"{name}: {size} learned tokens before the prompt, {trained:,} numbers, {percent(trained / num_parameters)} "
        f"extra. They take up {size} positions of the context."
    )


def short(module: str) -> str:
    return module.rpartition(".")[2]


def role(module: str) -> str:
    """A matrix with what it computes, such as v_proj (values)."""
    name = short(module)
    return f"{name} ({ROLES[name]})" if name in ROLES else name


def place_of(update: Update) -> str:
    """A matrix in the list; layers count from 1."""
    where = "" if update.layer is None else f"layer {update.layer + 1}, "
    return f"{where}{short(update.module)}: changed by {percent(update.relative)}"


def watched_line(name: str, seen: Watched) -> str:
    """What stands out in a prefix: the attention to it, and to the token that draws most."""
    if seen.attention is None:
        return ""
    total = mean([share for row in seen.attention.tokens for share in row])
    shares = [mean(column) for column in zip(*seen.attention.layers, strict=True)]
    top = max(range(len(shares)), key=shares.__getitem__)
    return (
        f"{name} draws {percent(total)} of the attention while this is written. Token {top + 1} draws most: "
        f"{percent(shares[top])}."
    )
