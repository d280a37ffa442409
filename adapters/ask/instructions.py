"""Instructions before a prompt, to ask for what other methods steer to."""

import tomllib
from functools import lru_cache

from adapters.methods import Ask, UserError
from adapters.pplm.bags import DATA


@lru_cache
def instructions() -> dict[str, str]:
    """The shipped instructions by the name of their attribute."""
    return tomllib.loads((DATA / "instructions.toml").read_text(encoding="utf-8"))


def instruction(ask: Ask) -> str:
    """The text that stands before the prompt. Raises UserError."""
    text = ask.text or instructions().get(ask.name)
    if text is None:
        known = ", ".join(instructions())
        raise UserError(f"There is no instruction for {ask.name!r}: choose one of {known}, or write your own.")
    if not text.strip():
        raise UserError("The instruction is empty: write what to ask for.")
    return text
