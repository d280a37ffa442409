"""Every word on the page that is not a model's."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from html import escape
from typing import NamedTuple

from adapters.methods import NO_LIMIT, PPLM, Attribute, Method, Sampling
from adapters.xray import Step
from demo.services import Estimate, Measured, Progress, RunLine, Services
from leaderboard.records import PromptSet, Run, RunSpec

TITLE = "Steerboard"
PURPOSE = "One prompt, one base model, and several ways to steer what it writes, side by side."

NONE = "none"
OWN_WORDS = "own words"
AND = " and "
PLAIN, CHAT = "plain continuation", "chat template"
SAME = ", the same in every pane"
PHASES = {"generating": "Writing", "scoring": "Scoring", "done": "Done"}

# Errors a person can mend
NO_PROMPT = "The prompt is empty: write a few words for the model to continue, or click one of the examples."
PROMPT_TOO_LONG = "The prompt has {length:,} characters, at most {most:,} can be read: shorten it."
BAD_SEED = "The seed {value!r} is not a whole number from 0 to 4,294,967,295: change it or press New seed."
CHOSEN_TWICE = "{name} is chosen twice: choose each attribute once and give it a weight."
MEND_PANES = "Nothing was started: see the note in the pane."
MEND_SOME = "Not every pane was started: see the note in the others."
LAST_PANE = "One pane has to stay."
SERVER_ERROR = "Something went wrong on the server, and its log says what. Try again, or with other settings."
BAD_METHODS = (
    "methods: give a list of 1 to {most} short names, such as base, lora:poetry or "
    "pplm:science*2+pplm:sentiment:negative*-1."
)

# States of a pane
READY = "ready"
WAITING = "reading the prompt"
WRITING = "writing"
STOPPED = "stopped"
CHANGED = "from before the change of settings"
FINISHED = {
    "eos": "ended by itself",
    "length": "limit reached",
    "diverged": "diverged",
}
DIVERGED = "The numbers of this text went wrong, so it was stopped: use less strength or a smaller scale."

# Settings of a pane
SEVERAL = "Several attributes, weights"
MORE_SETTINGS = "More PPLM settings"
UPLOAD_LIST = "Upload a list"

# Parity
CHECKING = "Checking parity: every method with its effect off, {done} of {most} tokens."
CHECKED = (
    "Parity checked: with LoRA scale 0, no prefix and PPLM step size 0, {equal} of {all} panes write the base's text."
)
PARITY_BASE = "Parity: this is the base."
PARITY_EQUAL = "Parity: with its effect off this pane writes the base's text, token for token ({tokens})."
PARITY_DIFFERS = "Parity: with its effect off, token {number} differs: {mine} where the base has {base}."
THE_END = "the end"

# X-ray
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
    "fused the mixture of both that the token is drawn from; the share is how much of the pushed one is in it."
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

# Links: sharing, replaying, deleting
SHARE = "Share"
NOTHING_TO_SHARE = "There is nothing to share yet: press Generate, and share when all panes have ended."
NO_OWNER = "This browser keeps nothing for this page, so that it could not know its own things again: allow it, reload."
NOT_YOURS = "Only the browser that made this can do that."
NOTHING_HERE = "It may be mistyped, or what it led to has been deleted by the one who made it."
NEWER = "What it leads to was made by a newer release of Steerboard: update to open it."
LINK_TITLE = "This link leads nowhere here"
SHARED_COMPARISON = "A shared comparison"
OWN_COMPARISON = "make your own"
OWN_RUN = "make your own"
MADE_WITH = "What it was made with"
FACT, VALUE = "What", "Value"
BASE_MODEL = "base model"
SHA256 = "sha256 of {name}"
REPORT = "Save a report"
STOP = "Stop"
REPLAY = "Replay"
REPLAYING = "Writing every text again: {done} of at most {most} tokens."
REPLAY_EQUAL = "Replay: identical, token for token ({tokens})."
REPLAY_DIFFERS = "Replay: token {number} differs: {now} now, {then} then."
REPLAY_STOPPED = "Stopped: what was shared stays as it was."
CANNOT_REPLAY = "This cannot be written again here: {reason}"
CHANGED_SINCE = "Changed since: {what}."
DELETE = "Delete"
DELETE_QUESTION = "Delete this for good? Its link will lead nowhere."
DELETE_YES = "Delete for good"
DELETE_NO = "Keep it"
DELETED_HTML = "<h2>Deleted</h2><p>Its link leads nowhere now. <a href='?'>Back to Steerboard</a></p>"

# Leaderboard: the form
UPLOAD = "Upload a set"
DOWNLOAD_SET = "Save this set"
YOUR_FILE = "your file: {name}"
ONLY_SHIPPED = "This set is your own file: only those that come with the app are saved from here."
NO_FILE = "No file has arrived: upload one."
NO_SUCH_SET = "There is no such prompt set: choose one of {known}, or upload a file."
BAD_RUN_METHODS = "Methods: choose 1 to {most}, such as base, lora:poetry or lora:poetry+pplm:science."
BASE_JUDGE = "the base model, unadapted"
BAD_JUDGE = "This judge is not offered here: choose one of {known}."
ABOUT_PROMPTS = "About the prompts"
PREVIEW = "The first prompts"
ESTIMATE = "What the run would take"
RUN = "Run"
RESUME = "Resume"
STARTING = "Starting."
PROGRESS = "Progress of the run"
RUN_DONE = "Done: {texts} were written or found, and scored."
RUN_STOPPED = "Stopped: every text that was finished is kept, and Resume goes on from there."
NEWEST = "The newest texts"
METHOD, NUMBER_OF_TEXT, WRITTEN, TOKENS = "method", "no.", "text", "tokens"
PROMPT, REFERENCE = "prompt", "Reference"

# Leaderboard: the results
TABLE_TAB, PLOTS_TAB, TEXTS_TAB = "Table", "Plots", "Texts"
BESIDE_TAB, FACTS_TAB, FILES_TAB = "Beside another run", "Settings and replay", "Save"
ALL_PROMPTS = "all prompts"
NO_SUCH_SLICE = "No prompt of this run has that tag: choose a slice from the list."
TABLE = "Leaderboard"
TABLE_HELP = (
    "Each figure stands over its 95 % interval, a bootstrap over prompts. ↑ higher is better, ↓ lower is better. "
    "★ is the best of a column, or cannot be told apart from it. ≈ cannot be told apart from the base: the interval of "
    "their difference, prompt by prompt, covers zero. – is no value. The menu ⋮ of a column sorts and filters."
)
PASSPORTS = "What each column is"
PASSPORT_FIELDS = {
    "direction": "better",
    "aggregation": "computed as",
    "n": "over",
    "judge": "judge",
    "bos": "BOS",
    "masking": "counted",
    "tokenisation": "tokens",
    "length": "length",
    "interval": "interval",
}
CROSS = "Cross-scores: every method's texts under every unsteered model"
CROSS_HELP = (
    "Perplexity of the texts of each row under the model of each column. It tells what is unlikely for the base from "
    "what is bad: a text that even the model which wrote it finds unlikely is bad."
)
UNDER = "under {scorer}"
PROMPTS_THEMSELVES, REFERENCES_THEMSELVES = "(the prompts)", "(the references)"
HIGHER, LOWER = "higher is better", "lower is better"
TRADE_OFF, BARS = "Fluency against diversity", "One metric"
PLOTS_HELP = (
    "Lines are 95 % bootstrap intervals over prompts. Repetition lowers perplexity too, so read it together with "
    "diversity: a method that is better in both stands apart from the others in both directions."
)
NO_FIGURES = "There are no figures yet: no prompt has a text by every method."
NO_SUCH_METRIC = "This run has no such metric: choose one from the list."
PROMPTS, METHODS, SETTINGS = "Prompts", "Methods", "Settings"
MADE_AT, STATUS, MADE_BY, RUN_ID = "Made (UTC)", "Status", "Where", "Id"
STATUSES = {"running": "running", "stopped": "stopped", "failed": "failed", "done": "done"}
COMMAND_LINE, HERE = "on the command line", "in this browser"
EARLIER = "Earlier runs"
AS_IN_FILE = "as in the file"
LOWEST_FIRST = "{method}: lowest perplexity first (best)"
HIGHEST_FIRST = "{method}: highest perplexity first (worst)"
TAG = "tag {name}"
PROMPT_NUMBER = "Prompt {number}"
PROMPT_AND_REFERENCE = "The chosen prompt"
TEXTS_OF = "Texts of method {place}"
NO_TEXT = "No text for this prompt yet."
NO_SUCH_PROMPT = "This run has no such prompt: choose a row of the table."
SAMPLE_LINE = "Text {draw} · perplexity {perplexity} · distinct-2 {distinct} · repetition {repetition} · {tokens}"
BESIDE = "Two runs beside each other"
BESIDE_HELP = "≠ marks figures whose 95 % intervals lie apart. The runs may have other prompts: see their settings."
THIS_RUN, OTHER_RUN, APART = "this run", "the other", "≠"
VERDICT = "What the replay says"
REPLAYING_RUN = "Writing every text again: {done} of {total}."
RUN_DIFFERS = "{method}, prompt {prompt}, text {draw}: token {token} differs."
AND_MORE = "And {number} more."
FILES = {
    "report.html": "Report (HTML)",
    "table.csv": "Table (CSV)",
    "table.parquet": "Table (Parquet)",
    "texts.csv": "Texts (CSV)",
    "texts.jsonl": "Texts (JSONL)",
    "texts.parquet": "Texts (Parquet)",
}
FILES_HELP = (
    "The report is one file that opens without this app. In CSV a cell that a spreadsheet would run begins with an "
    "apostrophe; JSONL and Parquet hold every text exactly. The table carries what each column is."
)
PUBLISH = "Send to the Hub"
PUBLISHED = "Sent to {address}"
CANNOT_PUBLISH = "Whoever runs this app has not set up a place on the Hub."

# Strength
STRENGTH = "Strength"
STRENGTH_HELP = (
    "The strength of PPLM is a number of nats: how far a token may drift from what the model would have drawn it from "
    "if that brings one more word of the attribute; where it brings none, nothing is steered. More of it puts more "
    "texts on topic and makes them less like the model's own, so it is worth knowing what it buys before turning it up."
)
STRENGTH_PLOT_HELP = (
    "Each point is an algorithm at one strength, the number beside it: nats a word for ours, the step size for the "
    "paper's. Lines are 95 % bootstrap intervals over prompts, dashes are what was aimed at. Further up is better; so "
    "is less perplexity and repetition, and more distinct word pairs."
)
STRENGTH_TABLE_HELP = (
    "Success is the share of texts in which a judge that never saw a word list sees what was wanted. What is relative "
    "compares with the unsteered texts for the same prompts and seeds. ✓ what was aimed at is reached, ✗ it is not."
)
NOT_MEASURED = (
    "Nothing is shown, because nothing has been measured yet: run "
    "python -m leaderboard frontier --out leaderboard/data/frontier.json and start the app again."
)
OTHER_BASE = "These figures are of another base model: {measured} was measured, {running} is running."
NO_SUCH_STRENGTH = "That was not measured: choose from the lists."
ALGORITHMS = {
    "unsteered": "unsteered",
    "ours": "ours, by nats a word",
    "paper": "the paper's algorithm, by step size",
}
ALGORITHMS_SHORT = {"unsteered": "unsteered", "ours": "ours", "paper": "the paper's"}
VERDICTS = {True: "✓", False: "✗"}

# Attributes: lists of words
LISTS_HTML = (
    "<h2>Lists of words</h2><p>PPLM pushes towards the words of a list. A word of several tokens is pushed piece by "
    "piece: from its first token on if that says enough of it, otherwise only once the text has begun it.</p>"
)
WORD, WEIGHT, PIECES, IS_USED, WHY = "Word", "Weight", "Tokens", "Used", "Why not"
USED, USED_LATER, NOT_USED = "yes", "once begun", "no"
SPLITS = "How each word is split"
NO_SUCH_LIST = "There is no such list: choose one, or own words."
NO_USABLE_WORD = "No word of this list can be begun with this model's tokens, so it steers nothing: add common words."
SEND_WORDS = "Use in the panes"
WORDS_SENT = "Every pane of the Compare tab that has an attribute now steers by these words."

# Attributes: discriminators
HEADS_HTML = (
    "<h2>Discriminators</h2><p>A discriminator tells classes of texts apart by what the base model makes of them, and "
    "PPLM steers towards a class of it. It is a linear head on the mean of the last hidden states.</p>"
)
TRAIN_HTML = (
    "<h2>Train your own</h2><p>Upload rows with a text and its label, as CSV (first line text,label) or JSONL, two "
    "classes or more with at least 10 texts each. It takes about a minute for 500 short texts; the panes go on "
    "meanwhile, more slowly. Whoever uses this app can then steer by it.</p>"
)
UPLOAD_ROWS = "Upload labelled rows"
TRAIN = "Train"
NO_ROWS = "There are no rows yet: upload a CSV or JSONL file with text and label."
ROWS_TOO_LONG = "The file has more than {most:,} bytes, which is what this app reads: shorten it."
NO_SUCH_HEAD = "There is no such discriminator: choose one from the list."
NO_FIGURES_OF_HEAD = "Its folder does not say how well it does."
TRAINED = "Done: choose {names} as an attribute in any pane, or as a method in the leaderboard."
TRAINING_STOPPED = "Stopped: nothing was stored; texts that were read will not be read again."
CONFUSION = "Held-out texts"
IS_TOLD_AS = "is \\ told as"
CURVE = "How much data was enough"
TRAINING_TEXTS, HELD_OUT_ACCURACY = "training texts", "held-out accuracy, %"
LARGEST_CLASS = "always the most frequent class"

HELP = (
    "Check parity runs every method with its effect off and says whether it then writes what the base writes. "
    "Perplexity is how unexpected a text is to the base model, whatever wrote it: lower is more expected, and "
    "repetition lowers it too, so read it beside distinct-2, the share of word pairs that are not repeated. "
    "Attribute words counts the words of every list that a pane here steers by, in every text: the base's rate beside "
    "the steered one. A discriminator has no words, so it marks nothing."
)


class Control(NamedTuple):
    """A control's label and the line that says what it does."""

    label: str
    info: str


CONTROLS = {
    "prompt": Control("Prompt", "Text that every pane continues; Shift+Enter starts."),
    "mode": Control("Mode", "Continue the text as it stands, or put it as a question to the chat model."),
    "link": Control("Link", "Whoever has it can see this; only this browser can delete it."),
    "set": Control("Prompt set", "One that comes with the app, or your own CSV, TSV, JSONL, TXT or Parquet file."),
    "methods": Control("Methods", "Choose, or type, such as lora:poetry+pplm:science+pplm:legal*-1, and press Enter."),
    "samples": Control("Texts for each prompt", "By each method; more give narrower intervals."),
    "judge": Control("Judge", "The language model under which perplexity is measured."),
    "xray_pane": Control("Steered text", "The pane whose steps are looked at."),
    "xray_words": Control("Words to follow", "Their probability at every token, each by its first piece."),
    "xray_token": Control("Token", "Click one in the text, or move here."),
    "xray_text": Control("Text", "Of the pane whose tokens are judged."),
    "slice": Control("Slice", "Count all prompts, or only those with one tag."),
    "up": Control("Diversity", "What stands against perplexity."),
    "metric": Control("Metric", "What the bars show."),
    "order": Control("Order", "The prompts on which a method is best or worst stand first."),
    "other": Control("Other run", "One of your own, or one made on the command line."),
    "goal": Control("Steered to", "Seven topics together, or one sentiment."),
    "across": Control("Cost", "What success stands against."),
    "measured_by": Control("Measured by", "The commands that write these texts and judge them again."),
    "seed": Control("Seed", "Starts the random draws: the same seed gives the same texts."),
    "temperature": Control("Temperature", "Higher is more surprising; 0 always takes the likeliest token."),
    "top_k": Control("Top-k", "Draw from the k likeliest tokens only; 0 is off."),
    "top_p": Control("Top-p", "Draw from the likeliest tokens that make up this share; 1 is off."),
    "repetition_penalty": Control("Repetition penalty", "Makes tokens that were used less likely; 1 is off."),
    "max_new_tokens": Control("New tokens", "Length at which every text ends at the latest."),
    "lora": Control("LoRA", "Small trained matrices added to the weights."),
    "lora_scale": Control("LoRA scale", "How much of them is added: 0 is the base, 1 is as trained."),
    "prefix": Control("Prefix", "Trained virtual tokens that stand before the prompt."),
    "attribute": Control(
        "Attribute (PPLM)", "What to steer towards: a list of words, or name:class of a discriminator."
    ),
    "weight": Control("Weight of the first", "How much it counts beside the others; below 0 steers away from it."),
    "attribute_2": Control("Second attribute", "The text is steered by both at once."),
    "weight_2": Control("Weight of the second", "How much the second counts; below 0 steers away from it."),
    "attribute_3": Control("Third attribute", "The text is steered by all three at once."),
    "weight_3": Control("Weight of the third", "How much the third counts; below 0 steers away from it."),
    "words": Control("Own words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "strength": Control(
        "Strength (strength)",
        "Nats of drifting that one more word is worth: more is more on topic, less fluent. 100 is no limit.",
    ),
    "step_size": Control("Step size (step_size)", "Length of one push; 0 writes what is written without steering."),
    "num_iterations": Control(
        "Pushes a token (num_iterations)", "More pushes follow the attribute better and take longer."
    ),
    "window_length": Control(
        "Window (window_length)", "Push the newest positions only, so that the beginning keeps its sense; 0 pushes all."
    ),
    "decay": Control("Decay (decay)", "Older positions of the window are pushed less: the text keeps to how it began."),
    "grad_length": Control(
        "Steered tokens (grad_length)", "Only so many tokens are steered, the rest follows freely; 0 steers all."
    ),
    "horizon_length": Control(
        "Horizon (horizon_length)",
        "Tokens to come that a discriminator judges too: it steers where the text is going, and takes longer.",
    ),
    "gamma": Control(
        "Gradient norm (gamma)", "1 makes all pushes equally long; above it, tokens that need a small push get more."
    ),
    "kl_scale": Control("Stay close (kl_scale)", "Higher keeps the words nearer to what the model would write anyway."),
    "gm_scale": Control(
        "Fusion (gm_scale)", "Share of the steered distribution in the one drawn from: lower is more fluent."
    ),
    "kl_budget": Control("Limit (kl_budget)", "Nats that steering may cost at any token; 100 is no limit."),
    "best_of": Control(
        "Best of (best_of)", "So many texts are written at once, and the one that shows the attribute most is kept."
    ),
    "cooldown": Control("Rest (cooldown)", "Tokens for which a word just used is not pushed; 0 repeats words sooner."),
    "carry": Control("Carry on (carry)", "Pushes add up from token to token: stronger, and texts may fall apart."),
    "as_in_paper": Control(
        "The paper's algorithm", "No limit, no rest, carried on: only the step size is the strength."
    ),
    "list": Control("List", "One that comes with the app, or own words: write, change or upload them."),
    "list_words": Control("Words", "Separated by commas or lines; black hole is one entry, laser:2 counts twice."),
    "head": Control("Discriminator", "One that comes with the app, or that was trained here."),
    "head_name": Control("Name", "Of the new discriminator: a-z, 0-9, - and _, such as formality."),
}


class Example(NamedTuple):
    """A prompt that shows one method at its best, and what to choose for it."""

    prompt: str
    label: str
    lora: str | None = None
    attribute: str | None = None
    chat: bool = False

    @property
    def title(self) -> str:
        """The words on its button."""
        return f"{self.prompt.splitlines()[0]} · {self.label}"


EXAMPLES = (
    Example("Once upon a time, there was a", "science words", attribute="science"),
    Example("My review: this film is", "positive words", attribute="positive"),
    Example("In a distant galaxy", "science fiction", lora="scifi", attribute="space"),
    Example("The sea is", "verse", lora="poetry"),
    Example("Question: What is the capital of Peru?\nAnswer:", "a fact", attribute="science"),
    Example("The painting shows", "religious words", attribute="religion"),
    Example("Describe a walk through a city.", "chat, positive words", attribute="positive", chat=True),
)


def title(method: Method) -> str:
    """The name of a composition, such as "PPLM science over LoRA poetry"."""
    parts = []
    if method.steering is not None:
        parts.append("PPLM " + " and ".join(map(aim, method.steering.attributes)))
    if method.lora is not None:
        parts.append(f"LoRA {method.lora}")
    if method.prefix is not None:
        parts.append(f"{'prefix' if parts else 'Prefix'} {method.prefix}")
    return " over ".join(parts) or "Base"


def aim(attribute: Attribute) -> str:
    """What an attribute steers to, such as "science ×2" or "away from politics"."""
    times = "" if abs(attribute.weight) == 1 else f" ×{abs(attribute.weight):g}"
    return ("away from " if attribute.weight < 0 else "") + attribute.name + times


def kinds(method: Method) -> list[str]:
    """What the method is made of, for its colours."""
    parts = {"lora": method.lora, "prefix": method.prefix, "pplm": method.steering}
    return [kind for kind, part in parts.items() if part is not None] or ["base"]


def cost(method: Method, services: Services) -> str:
    """What was added to the base model and what it cost, in one line."""
    parts = []
    if method.steering is not None:
        trained = "" if method.lora or method.prefix else ", nothing trained"
        parts.append(f"{strength(method.steering)}, {pushes(method.steering)}{trained}")
    if (lora := services.adapter(method.lora)) is not None:
        scale = "" if method.lora_scale == 1 else f", scale {method.lora_scale:g}"
        parts.append(f"rank r = {lora.size}, {share(lora.num_parameters, services)} trained{scale}")
    if (prefix := services.adapter(method.prefix)) is not None:
        parts.append(f"{prefix.size} virtual tokens, {share(prefix.num_parameters, services)} trained")
    return " · ".join(parts) or f"{services.base}, nothing added"


def strength(steering: PPLM) -> str:
    """How hard the method steers."""
    parts = []
    if steering.strength < NO_LIMIT:
        parts.append(f"strength {steering.strength:g}")
    if steering.kl_budget < NO_LIMIT:
        parts.append(f"at most {steering.kl_budget:g} nats a token")
    return ", ".join(parts) or f"no limit, step size {steering.step_size:g}"


def pushes(steering: PPLM) -> str:
    """What steering takes at a token, and how many texts it writes."""
    best = "" if steering.best_of == 1 else f", best of {steering.best_of}"
    return f"{count(steering.num_iterations, 'push', 'pushes')} a token{best}"


def count(number: int, noun: str, plural: str = "") -> str:
    """A number with its noun: "1 token", "2 tokens"."""
    return f"{number} {noun}" if number == 1 else f"{number} {plural or noun + 's'}"


def share(num_parameters: int, services: Services) -> str:
    """A number of parameters as a share of the base model's."""
    return f"{100 * num_parameters / services.num_parameters:.2f}\u00a0% of the parameters"


def quote(piece: str) -> str:
    """A piece of text with its blanks and ends of lines in sight."""
    return f"“{piece.translate({10: '⏎', 9: '⇥'})}”"


def percent(share: float) -> str:
    """A share of 1 or a probability: 12.3 %, 0.045 %, 3.1e-07 %."""
    if share >= 0.1:
        return f"{100 * share:.1f}\u00a0%"
    return f"{100 * share:.2g}\u00a0%"


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


def describe(method: Method) -> str:
    """What a pane does, for as long as it has no text."""
    sentences = []
    if method.steering is not None:
        sentences.append(
            "PPLM trains nothing. Before each token it pushes the model's memory of the text along a gradient, "
            f"{AND.join(aims(method.steering))}."
        )
    if method.lora is not None:
        sentences.append(f"LoRA adds small trained matrices to the attention weights, here trained on {method.lora}.")
    if method.prefix is not None:
        sentences.append(
            f"Prefix tuning puts trained keys and values before the prompt, here trained on {method.prefix}."
        )
    return "\n\n".join(sentences) or "The base model as it is, the yardstick for the other panes."


def aims(steering: PPLM) -> list[str]:
    """Which way a method pushes, once for each kind of attribute."""
    directions = {
        (attribute.weight < 0, attribute.is_discriminator): None for attribute in steering.attributes
    }  # a dict keeps their order
    what = {True: "what its discriminator is trained to see", False: "the words of its list"}
    return [f"{'away from' if away else 'towards'} {what[is_head]}" for away, is_head in directions]


def sampling_line(sampling: Sampling, seed: int, chat: bool) -> str:
    """The shared settings in one line."""
    parts = ["greedy" if sampling.temperature == 0 else f"temperature {sampling.temperature:g}"]
    if sampling.top_k:
        parts.append(f"top-k {sampling.top_k}")
    if sampling.top_p < 1:
        parts.append(f"top-p {sampling.top_p:g}")
    if sampling.repetition_penalty > 1:
        parts.append(f"repetition penalty {sampling.repetition_penalty:g}")
    parts += [f"{sampling.max_new_tokens} tokens", f"seed {seed}", CHAT if chat else PLAIN]
    return " · ".join(parts) + SAME


def refused(services: Services) -> str:
    """Why some adapters are not offered, one line each."""
    return "\n".join(f"Not offered: {name}. {reason}" for name, reason in services.store.refused.items())


def settings(method: Method) -> str:
    """A composition with everything that was set."""
    parts = [title(method)]
    if method.lora is not None:
        parts.append(f"lora_scale {method.lora_scale:g}")
    if method.steering is not None:
        names = [field.name for field in fields(PPLM) if field.name != "attributes"]
        parts += [f"{name} {getattr(method.steering, name)}" for name in names]
    return ", ".join(parts)


def run_line(spec: RunSpec) -> str:
    """The settings of a run in one line."""
    shared = sampling_line(spec.sampling, spec.seed, spec.chat).removesuffix(SAME)
    judge = BASE_JUDGE if spec.judge is None else spec.judge
    return f"{count(spec.samples, 'text')} a prompt · {shared} · judged by {judge}"


def list_line(words: int, whole: int, later: int) -> str:
    """How many words of a list are used."""
    parts = [f"{whole:,} of {count(words, 'word')} are used from their beginning on"]
    if later:
        parts.append(f"{later:,} once the text has begun them")
    if left := words - whole - later:
        parts.append(f"{left:,} not")
    return ", ".join(parts) + "."


def rows_line(classes: Mapping[str, int]) -> str:
    """How many rows there are of each class."""
    total = sum(classes.values())
    return f"{total:,} texts: " + ", ".join(f"{name} {number:,}" for name, number in classes.items()) + "."


def accuracy_line(measured: Measured) -> str:
    """How well a discriminator tells its classes apart."""
    accuracy = measured.accuracy
    return (
        f"{percent(accuracy.share)} of {measured.held_out_rows:,} held-out texts are told right (95 % interval "
        f"{percent(accuracy.low)} to {percent(accuracy.high)}); always saying the most frequent class would be right "
        f"for {percent(measured.largest_class)}. Trained on {measured.training_rows:,} texts; from "
        f"{measured.enough:,} on it is within that interval."
    )


def prompts_line(prompts: PromptSet) -> str:
    """How many prompts a set has, and what is with them."""
    parts = [count(len(prompts.prompts), "prompt")]
    parts.append(f"{count(prompts.duplicates, 'duplicate')}" if prompts.duplicates else "no duplicates")
    if prompts.has_references:
        parts.append("with references")
    return " · ".join(parts)


def estimate(estimate: Estimate) -> str:
    """What a run would take."""
    if estimate.num_known == estimate.num_texts:
        return f"{count(estimate.num_texts, 'text')}, all stored already: this only takes the scoring, if that."
    known = f", {estimate.num_known:,} stored already" if estimate.num_known else ""
    tokens = f"at most {estimate.num_tokens:,} new tokens"
    return f"{count(estimate.num_texts, 'text')}{known} · {tokens} · about {duration(estimate.seconds)} here"


def progress(progress: Progress, num_texts: int) -> str:
    """How far a run is."""
    left = "" if progress.seconds_left is None else f" · about {duration(progress.seconds_left)} left"
    of = f"{progress.done:,} of at most {progress.total:,} tokens"
    return f"{PHASES[progress.phase]} · {count(num_texts, 'text')} · {of}{left}"


def duration(seconds: float) -> str:
    """A time that somebody waits."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(time: datetime) -> str:
    """A time of day, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def made(created: str) -> str:
    """When something was made, from ISO 8601."""
    return f"made {moment(datetime.fromisoformat(created))} UTC"


def run_title(line: RunLine) -> str:
    """A run in a list to choose from."""
    return f"{moment(line.created)} · {line.name} · {', '.join(line.methods)}"


def run_summary(run: Run) -> str:
    """What a run consists of, in one line."""
    prompts, methods = count(len(run.prompts.prompts), "prompt"), count(len(run.spec.methods), "method")
    samples, status = count(run.spec.samples, "text"), "" if run.status == "done" else f" · {STATUSES[run.status]}"
    return f"{prompts} × {methods} × {samples} · seed {run.spec.seed} · made {moment(run.created)} UTC{status}"


def replayed(equal: int, all: int) -> str:
    """What a replay has found, in one sentence."""
    if equal == all:
        return f"Identical: {count(all, 'text')} written again, token for token."
    return f"{all - equal} of {count(all, 'text')} differ."


def missing_html(error: Exception) -> str:
    """The page for a link that cannot be opened."""
    return f"<h2>{LINK_TITLE}</h2><p>{escape(str(error))}</p><p><a href='?'>Back to Steerboard</a></p>"
