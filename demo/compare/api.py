"""The public endpoints /compare and /methods, for gradio_client and plain HTTP; arguments are checked again."""

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from adapters.methods import BASE, Request, Sampling, UserError, from_json, parse_method
from demo.compare.form import read_seed
from demo.compare.run import compare_as_json
from demo.parts.marked import MAX_PANES
from demo.parts.running import PaneErrors
from demo.parts.uploads import known_methods, read_names, read_prompt
from demo.services import Services

Rows = list[dict[str, Any]]


def compare_endpoint(services: Services) -> Callable[..., Iterator[Rows]]:
    """The function behind /compare for these services."""

    def compare(
        prompt: str,
        methods: list[str],
        temperature: float = Sampling.temperature,
        top_k: int = Sampling.top_k,
        top_p: float = Sampling.top_p,
        repetition_penalty: float = Sampling.repetition_penalty,
        max_new_tokens: int = Sampling.max_new_tokens,
        seed: int = 0,
        chat: bool = False,
    ) -> Iterator[Rows]:
        """Continue a prompt by several methods with the same sampling and seed.

        A method is base, lora:NAME, prefix:NAME, pplm:NAME (several as pplm:NAME*WEIGHT), best:NAME (of 10 texts),
        push:NAME*WEIGHT, vector:NAME:CLASS*STRENGTH, ask:NAME*GAMMA (guidance) or experts:NAME/OTHER*ALPHA, or several
        of them joined by +. Each answer has one row per method: its text so far, finish_reason (null while it runs)
        and figures; the last answer is the result.
        """
        sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "max_new_tokens": max_new_tokens}
        sampling["repetition_penalty"] = repetition_penalty
        try:
            names = read_names(methods, MAX_PANES)
            request = Request(read_prompt(prompt), BASE, read_seed(seed), chat is True)
            chosen = [parse_method(name) for name in names]
            yield from compare_as_json(services, chosen, request, from_json(Sampling, sampling))
        except PaneErrors as error:
            notes = "; ".join(f"{names[place]}: {note}" for place, note in error.notes.items())
            raise gr.Error(notes, print_exception=False) from error
        except UserError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return compare


def methods_endpoint(services: Services) -> Callable[[], list[dict[str, Any]]]:
    """The function behind /methods for these services."""

    def methods() -> list[dict[str, Any]]:
        """The methods that /compare and /score take, each with its kind; join several names by +."""
        return [{"name": name, "kind": name.partition(":")[0]} for name in known_methods(services)]

    return methods
