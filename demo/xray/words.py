"""The words of the X-ray."""

from collections.abc import Sequence

from adapters.xray.trace import Step
from demo.parts.words import quote

XRAY = "X-ray"
XRAY_HELP = (
    "The steered text is written once more with its words forced, and the numbers on the way are kept: they fit the "
    "text in the pane, and writing it pays nothing for them. The darker a token, the more steering cost there. Click "
    "one to see its step."
)
NOTHING_TO_XRAY = "There is nothing to X-ray yet: press Generate, and X-ray when all panes have ended."
XRAY_NOT_STEERED = "No text here is steered, so there is no step to look at: choose an attribute (PPLM) in a pane."
XRAY_NEXT = "What each method would write next: {done} of {all}."
XRAY_SCORES = "Each text under the others: {done} of {all} models."
XRAY_REPLAY = "{title}, written once more: {done} of {all} tokens."
XRAY_STOPPED = "Stopped: press X-ray to look again."
XRAY_DIVERGED = "The numbers of this text went wrong: what can be seen is the {tokens} before. Use less strength."
XRAY_LONG = "Only the first {most} tokens of this text are looked at."
BAD_NAMED = "Words to follow: write at most {most} short words, separated by commas, such as happy, sad."
XRAY_TEXT = "Tokens of the steered text"
SAVE_RECORD = "Save the record"
TOKEN_TAB, GRADIENT_TAB, NUDGE_TAB = "Token", "Gradient", "Nudge"
NEXT_TAB, UNDER_TAB = "Next token", "Each under the others"
TOKEN, TOKEN_NUMBER, PROBABILITY = "token", "token of the text", "probability"
CLEAN, PERTURBED, FUSED = "unsteered", "pushed", "fused"
RESTING = "resting"
LIKELY, ATTRIBUTE_WORDS = "Likely tokens", "Words of the attribute that changed most, and words to follow"
FOLLOWED = "Words to follow, along the text"
ALL_NUMBERS = "The likely tokens in numbers"
LOSS_BY_PUSH, NORM_BY_LAYER = "Attribute loss by push", "Gradient by layer"
HEAT = "Norm of the first push's gradient by layer and position"
PUSHES_MADE, LOSS, LAYER, NORM = "pushes made", "attribute loss, nats", "layer", "norm"
PUSH, AFTER_PUSH, COMPONENT = "push {number}", "after push {number}", "direction {number} ({share})"
EARLIER_PLACES = "all earlier"
PATHS = ("The nudge of the last hidden state, directions 1 and 2", "The same, directions 1 and 3")
COSTS = "What steering cost, token by token: KL(fused ‖ unsteered)"
SHARE_USED, KL_FUSED = "share", "KL, nats"
TOKEN_HELP = (
    "Unsteered is what the model says by itself, pushed what it says after the pushes on its memory of the text, and "
    "fused the mixture of both that the token is drawn from; the share is how much of the pushed one is in it. "
    "What was just said has no more in the fused one than it had unsteered."
)
PATH_HELP = (
    "How far each push moves the last hidden state from where it stood before the first (0), in the three directions "
    "in which the pushes of this text move it most; a direction's share of all movement stands in brackets. Thin lines "
    "are the other tokens."
)
GRADIENT_HELP = (
    "The gradient says which of the model's keys and values to push. The loss falls as the words of the attribute get "
    "likelier; what stands at the right of its line is after the last push."
)
NEXT_HELP = "What each method would write first after this prompt, before the sampler's temperature and top-p."
UNDER_HELP = (
    "The chosen text under every method here without its steering: the darker a token, the less likely it is there. "
    "Click a token for its numbers."
)
UNDER_LINE = "Token {number} {token}: {values} nats."


def nats(logprob: float | None) -> str:
    """A log-probability; a dash for what is no number."""
    return "–" if logprob is None else f"{logprob:.2f}".replace("-", "−")


def mean_line(logprobs: Sequence[float | None]) -> str:
    """The mean log-probability of a text's tokens."""
    known = [value for value in logprobs if value is not None]
    return f"mean {nats(sum(known) / len(known))} nats a token" if known else "no numbers"


def step_line(step: Step, number: int) -> str:
    """What happened at one token, in a line."""
    ranks = f"rank {step.rank_clean:,} {CLEAN}, {step.rank_perturbed:,} {PERTURBED}, {step.rank_fused:,} {FUSED}"
    cost = f"KL {step.kl_perturbed:.3g} nats {PERTURBED}, {step.kl_fused:.3g} {FUSED} with a share of {step.share:.2f}"
    return f"Token {number + 1} {quote(step.chosen.text)}: {ranks} · {cost}"
