"""The words of the Train tab: training adapters, the queue, and the list of adapters."""

from typing import Any

from adapters.lora.settings import LoraSettings
from adapters.training.queue import JobView
from adapters.training.training_estimate import Estimate
from demo.parts.controls import Control
from demo.parts.words import count, duration, percent

LORA, PREFIX = "LoRA", "prefix tuning"
METHODS = {LORA: "lora", PREFIX: "prefix"}
ATTENTION = "attention"
SCHEDULES = ["cosine", "linear", "constant"]
REPORTS = ["tensorboard", "trackio"]

TRAIN_HTML = (
    "<h2>Train an adapter</h2><p>LoRA adds small trained matrices to the weights, prefix tuning puts trained virtual "
    "tokens before the prompt; the base model stays as it is. It is trained in a process of its own, one at a time: "
    "the panes go on meanwhile, more slowly, and the page may be closed.</p>"
)
UPLOAD_TEXT = "Upload text"
START = "Start"
MESSAGE = "What the training does"
ESTIMATE = "What the training would take"
PROGRESS = "Progress of the training"
CURVE, SAMPLES = "Loss and validation loss", "What it writes on the way"
MORE, LORA_SETTINGS, PREFIX_SETTINGS = "Learning", "LoRA", "Prefix tuning"
STEP, LOSS, TRAINING, VALIDATION, BEST = "step", "loss, nats a token", "training", "validation", "best"
SAMPLE_STEP = "step {step}"

# Errors a person can mend
NO_DATA = "There is no such data: choose a set from the list, or upload a file."
FILE_GONE = "The uploaded file is not kept any longer: upload it again."
BAD_METHOD = "Choose LoRA or prefix tuning."
ONE_GROUP = "Modules: choose attention or all-linear alone, or layers by name."
NOTHING_TO_STOP = "There is nothing of yours to stop: choose a training of your own from the list."
NOT_YOURS = "This training is somebody else's: only its name and its place can be seen."

# The queue
QUEUE_HTML = (
    "<h2>Trainings</h2><p>Everybody's, the newest first; one runs at a time. Click one of yours to follow it.</p>"
)
QUEUE = "Trainings"
QUEUE_COLUMNS = ["Name", "Method", "State", "Whose", "Id"]
MINE, SOMEBODY, SHIPPED = "yours", "somebody else's", "the app's"

# The list of adapters
ADAPTERS_HTML = (
    "<h2>Adapters</h2><p>Everything that a pane or the leaderboard can use. Click one for its card. Perplexity is over "
    "rows that were held out from its training; general text shows what was forgotten: 1 is nothing.</p>"
)
ADAPTERS = "Adapters"
ADAPTER_COLUMNS = ["Name", "Method", "Size", "Parameters", "Held-out perplexity", "General text", "Whose"]
FIGURES_COLUMNS = ["Measured", "Base", "Adapter", "Adapter / base"]
TEXT_PERPLEXITY, PERPLEXITY = "Held-out rows, perplexity of the text", "The same with the end tokens"
GENERAL_PERPLEXITY, EXACT = "General text, perplexity", "Held-out answers that are exact"
FIGURES, HOW, CONTINUATIONS = "Measured", "How it was made", "What it writes"
CARD_FILE = "The card as a file (README.md)"
DATA, LICENCE, SPLIT, TOOK, MACHINE, COMMAND = "Data", "Licence", "Rows", "Training", "Machine", "Made again by"
NO_CARD = "Its folder has no card."
NO_FIGURES = "Its folder says nothing of how it was trained."
NO_SUCH_ADAPTER = "There is no such adapter: choose one from the list."
NOT_YOUR_ADAPTER = "Only the browser that made this adapter can do that."
DOWNLOAD, MERGE, PUSH = "Download", "Merge and download", "Push to the Hub"
IMPORT_ZIP, IMPORT_FROM_HUB = "Import a zip", "Import from the Hub"
IMPORTED = "{name} was imported: every pane can use it now."
PUSHED = "Pushed to {address}"
DELETED = "{name} is deleted: a pane that still uses it will say so."

CONTROLS = {
    "data": Control(
        "Data", "A set that comes with the app, or your own TXT, JSONL, CSV: text, or prompt and completion."
    ),
    "name": Control("Name", "Of the new adapter: a-z, 0-9, - and _, such as sea-shanties."),
    "method": Control("Method", "LoRA for style and topic, prefix tuning for a task with a short answer."),
    "sample_prompt": Control("Sample prompt", "Continued on the way, so that you see it learn; empty: never."),
    "sample_every": Control("Steps between samples (sample_every)", "How often the sample prompt is continued."),
    "r": Control("Rank (r)", "Of the update: more can learn more, and forget more."),
    "lora_alpha": Control("Scale (lora_alpha)", "The update is multiplied by lora_alpha / r."),
    "lora_dropout": Control("Dropout (lora_dropout)", "Share of inputs left out, against learning by heart."),
    "target_modules": Control("Modules (target_modules)", "Which layers get an update: a group, or layers by name."),
    "use_rslora": Control("rsLoRA (use_rslora)", "Multiply by lora_alpha / √r instead: steadier at a high rank."),
    "use_dora": Control("DoRA (use_dora)", "Learn length and direction of the weights apart: slower."),
    "num_virtual_tokens": Control(
        "Virtual tokens (num_virtual_tokens)", "How many stand before the prompt; they use up context."
    ),
    "init_text": Control(
        "First text (init_text)", "The prefix begins as what the model makes of these words; empty: at random."
    ),
    "prefix_projection": Control(
        "Reparameterise (prefix_projection)", "Learn the prefix through a small network, as the paper does."
    ),
    "encoder_hidden_size": Control("Its width (encoder_hidden_size)", "Of that network; it is not kept afterwards."),
    "steps": Control("Steps (steps)", "Batches to learn from, at most: it stops early where it gets no better."),
    "epochs": Control("Epochs (epochs)", "Rounds over the data, in place of steps; 0: count steps."),
    "batch_size": Control("Batch (batch_size)", "Examples a step: more is smoother, slower, and takes more memory."),
    "max_length": Control("Length (max_length)", "Tokens of an example; longer texts are cut into pieces."),
    "lr": Control("Learning rate (lr)", "Of the longest steps; too high diverges, too low learns nothing."),
    "warmup_steps": Control("Warm-up (warmup_steps)", "Steps over which the learning rate rises from 0."),
    "schedule": Control("Schedule (schedule)", "How the learning rate falls after that."),
    "weight_decay": Control("Weight decay (weight_decay)", "Pulls what is trained towards 0; 0 is off."),
    "max_grad_norm": Control("Longest gradient (max_grad_norm)", "A longer one is shortened to this, against jumps."),
    "bfloat16": Control("bfloat16 (bfloat16)", "Faster on processors that have it, less exact; never while measuring."),
    "eval_every": Control("Steps between checks (eval_every)", "How often the validation loss is measured."),
    "eval_examples": Control("Examples a check (eval_examples)", "Held-out examples that choose the best step."),
    "patience": Control("Patience (patience)", "Checks without a better one before it stops by itself; 0: never."),
    "validation_share": Control("Held out (validation_share)", "Share of the rows that is never trained on."),
    "seed": Control("Seed (seed)", "Starts the random draws: the same seed gives the same adapter."),
    "report_to": Control("Log to (report_to)", "Also writes the curves for these programs, on the machine of the app."),
    "import_name": Control("Name", "What it is to be called here: a-z, 0-9, - and _."),
    "hub_id": Control("Hub id", "Of an adapter for this base model, such as someone/poetry-lora."),
    "readme": Control("README.md", "As it stands in the folder of the adapter and in its zip."),
    "repository": Control("Push to", "The Hub repository that it is sent to, such as you/poetry-lora."),
}


def control(name: str, interactive: bool = True) -> dict[str, Any]:
    """Label and explanation of a control. A part that is built late is read-only unless it says otherwise."""
    return CONTROLS[name]._asdict() | {"interactive": interactive}


def method_name(kind: str) -> str:
    """What a person calls a kind of adapter."""
    return next((name for name, of in METHODS.items() if of == kind), kind)


def size_name(kind: str, size: int) -> str:
    """The size of an adapter."""
    return f"r = {size}" if kind == "lora" else count(size, "virtual token")


def settings_line(order: Any) -> str:
    """What is trained and how, in one line."""
    settings, adapter = order.settings, order.settings.adapter
    if isinstance(adapter, LoraSettings):
        where = ", ".join(adapter.target_modules) or ATTENTION
        switches = [name for name, on in (("DoRA", adapter.use_dora), ("rsLoRA", adapter.use_rslora)) if on]
        parts = [", ".join([f"r {adapter.r}", f"alpha {adapter.lora_alpha:g}", *switches]) + f" on {where}"]
    else:
        begun = "from a text" if adapter.init_text else "at random"
        parts = [f"{count(adapter.num_virtual_tokens, 'virtual token')}, begun {begun}"]
    how_long = count(settings.steps, "step") if order.epochs is None else f"{order.epochs:g} epochs"
    parts.append(f"{how_long} of {settings.batch_size} × {settings.max_length} tokens")
    parts.append(f"learning rate {settings.lr:g}, {settings.schedule}, {settings.warmup_steps} steps of warm-up")
    parts.append(f"checked every {settings.eval_every} steps")
    return " · ".join([*parts, f"seed {settings.seed}"])


def estimate_lines(estimate: Estimate) -> str:
    """What a training would take, and what was cut, a line each."""
    first = (
        f"{estimate.trainable:,} parameters are trained ({percent(estimate.share)}) · {count(estimate.steps, 'step')} "
        f"over {estimate.training_examples:,} examples, {estimate.validation_examples:,} held out · "
        f"about {num_bytes(estimate.num_bytes)} of memory · about {duration(estimate.seconds)} here"
    )
    return "\n".join([first, *estimate.notes])


def num_bytes(number: int) -> str:
    """A size that somebody compares with what a machine has."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(0.1, number / 1e6):.1f} MB"


def state_line(job: JobView, of_mine: bool) -> str:
    """The state of a training in the queue; how far it is, for the one whose it is."""
    if job.state == "waiting":
        return f"waiting, {job.place} before it" if job.place else "about to begin"
    done = job.steps[-1].step if job.steps else 0
    return f"running, step {done} of {job.total}" if job.state == "running" and of_mine else job.state


def figures_line(job: JobView) -> str:
    """How far a training is, in figures; empty before the first step."""
    if not job.steps:
        return ""
    last = job.steps[-1]
    parts = [f"step {last.step} of {job.total}", f"loss {last.loss:.3f}"]
    if checked := [step for step in job.steps if step.best]:
        parts.append(f"best validation loss {checked[-1].validation_loss:.3f} at step {checked[-1].step}")
    if job.tokens_per_second is not None:
        parts.append(f"{job.tokens_per_second:,.0f} tokens/s")
    if job.seconds_left and job.state == "running":
        parts.append(f"about {duration(job.seconds_left)} left")
    return " · ".join(parts)


def setting(value: Any) -> str:
    """The value of a setting as a person reads it; no modules are all of attention."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ATTENTION
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"
