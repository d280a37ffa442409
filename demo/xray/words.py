"""The words of the X-ray."""

from collections.abc import Sequence

from adapters.xray.trace import Step
from demo.parts.words import PROSE, percent, quote

XRAY = "Why these words?"
XRAY_HELP = PROSE["xray"]["XRAY_HELP"]
NOTHING_TO_XRAY = "Press Run first, and ask when all panes have finished."
XRAY_NOT_STEERED = "No text here is steered: choose a topic (PPLM) in a pane."
XRAY_NEXT = "Next token of each method: {done} of {all}."
XRAY_SCORES = "Scoring each text under the others: {done} of {all} models."
XRAY_REPLAY = "Replaying {title}: {done} of {all} tokens."
XRAY_STOPPED = "Stopped. Press Why these words? to look again."
XRAY_DIVERGED = "The numbers of this text overflowed after {tokens}: lower the strength."
XRAY_LONG = "Only the first {most} tokens of this text are shown."
BAD_NAMED = "Words to follow: write at most {most} short words, separated by commas, such as happy, sad."
XRAY_TEXT = "Tokens of the steered text"
SAVE_RECORD = "Save the record"
TOKEN_TAB, GRADIENT_TAB, NUDGE_TAB = "Token by token", "Gradient", "Direction"
NEXT_TAB, UNDER_TAB, EXPERT_TAB = "First word", "Cross-check", "For researchers"
TOKEN, TOKEN_NUMBER, PROBABILITY = "token", "token of the text", "probability"
CLEAN, PERTURBED, FUSED = "before steering", "after the gradient steps", "final mix"
COOLDOWN = "cooldown"
LIKELY, ATTRIBUTE_WORDS = "Likely tokens", "Words of the attribute that changed most, and words to follow"
FOLLOWED = "Words to follow, along the text"
ALL_NUMBERS = "The likely tokens in numbers"
LOSS_BY_STEP, NORM_BY_LAYER = "Attribute loss by gradient step", "Gradient by layer"
HEAT = "Gradient norm of the first step, by layer and position"
STEPS_MADE, LOSS, LAYER, NORM = "gradient steps", "attribute loss, nats", "layer", "norm"
STEP, AFTER_STEP, COMPONENT = "step {number}", "after step {number}", "direction {number} ({share})"
EARLIER_PLACES = "all earlier"
PATHS = ("Move of the last hidden state, directions 1 and 2", "The same, directions 1 and 3")
COSTS = "Cost of steering by token: KL(final mix ‖ before steering)"
SHARE_USED, KL_FUSED = "share", "KL, nats"
TOKEN_HELP = (
    f"{CLEAN.capitalize()}: the model alone. {PERTURBED.capitalize()}: with its memory nudged. {FUSED.capitalize()}: "
    "both mixed, which the token is drawn from; the share is the nudged part. A word just used gets no likelier in the "
    "mix."
)
PATH_HELP = PROSE["xray"]["PATH_HELP"]
GRADIENT_HELP = PROSE["xray"]["GRADIENT_HELP"]
NEXT_HELP = "The first token of each method after this prompt, before temperature and top-p."
UNDER_HELP = PROSE["xray"]["UNDER_HELP"]
UNDER_LINE = "Token {number} {token}: {values} nats."


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
    return f"Token {index + 1}. Without steering: {without}. With: {gain} ({ranks}; KL {step.kl_fused:.2g} nats)."


def ordinal(rank: int) -> str:
    """1st, 2nd, 3rd, 4th, 11th, 21st."""
    last = "th" if rank % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(rank % 10, "th")
    return f"{rank:,}{last}"
