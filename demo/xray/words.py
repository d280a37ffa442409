"""The words of the X-ray."""

from collections.abc import Callable, Sequence

from adapters.xray.trace import Step
from demo.parts.words import percent, quote, words_of

__getattr__: Callable[[str], str] = words_of("xray")
CLEAN, PERTURBED, FUSED = "before steering", "after the gradient steps", "final mix"
PATHS = ("Move of the last hidden state, directions 1 and 2", "The same, directions 1 and 3")
TOKEN_HELP = (
    f"{CLEAN.capitalize()}: the model alone. {PERTURBED.capitalize()}: with its memory nudged. {FUSED.capitalize()}: "
    "both mixed, which the token is drawn from; the share is the nudged part. A word just used gets no likelier in the "
    "mix."
)


def nats(logprob: float | None) -> str:
    return "–" if logprob is None else f"{logprob:.2f}".replace("-", "−")


def mean_line(logprobs: Sequence[float | None]) -> str:
    known = [value for value in logprobs if value is not None]
    return f"mean {nats(sum(known) / len(known))} nats per token" if known else "no numbers"


def step_line(step: Step, index: int) -> str:
    """What would have come without steering, and how likely steering made what came."""
    likeliest = sorted(step.candidates, key=lambda token: -token.clean)[:2]
    without = ", ".join(f"{quote(token.text)} {percent(token.clean)}" for token in likeliest)
    chosen = step.chosen
    gain = f"{quote(chosen.text)} {percent(chosen.clean)} → {percent(chosen.fused)}"
    ranks = f"{ordinal(step.rank_clean)} → {ordinal(step.rank_fused)} most likely"
    cost = f"KL {step.kl_fused:.2g} nats"
    if step.efficiency is not None:
        cost += f", {percent(min(1.0, step.efficiency))} of it needed for the list words"
    return f"Token {index + 1}. Without steering: {without}. With: {gain} ({ranks}; {cost})."


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    last = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank:,}{last}"
