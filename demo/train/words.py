"""The words of the Train tab: training adapters, the queue, and the list of adapters."""

from functools import partial
from typing import Any

from adapters.lora.settings import LoraSettings
from adapters.training.queue import JobView
from adapters.training.training_estimate import Estimate
from demo.parts.controls import Control, labelled
from demo.parts.words import count, duration, percent

LORA, PREFIX = "LoRA", "prefix tuning"
METHODS = {LORA: "lora", PREFIX: "prefix"}
ATTENTION = "attention"

TRAIN_HTML = (
    "<h2>Train an adapter</h2><p>LoRA adds small trained matrices to the weights; prefix tuning puts trained virtual "
    "tokens before the prompt. The base model stays unchanged. One training runs at a time, in its own process: the "
    "panes keep working, more slowly, and you may close the page.</p>"
)
UPLOAD_TEXT = "Upload text"
START = "Start"
MESSAGE = "Status of the training"
ESTIMATE = "Size and time of the training"
PROGRESS = "Progress of the training"
CURVE, SAMPLES = "Loss and validation loss", "Sample texts on the way"
STEP, LOSS, TRAINING, VALIDATION = "step", "loss, nats per token", "training", "validation"
SAMPLE_STEP = "step {step}"

# Errors
NO_DATA = "There is no such data: choose a set from the list, or upload a file."
FILE_GONE = "The uploaded file is gone: upload it again."
BAD_METHOD = "Choose LoRA or prefix tuning."
ONE_GROUP = "Modules: choose attention or all-linear alone, or layers by name."
NOTHING_TO_STOP = "You have nothing to stop: choose one of your trainings from the list."
NOT_YOURS = "This training belongs to somebody else: only its name and position are shown."

# The queue
QUEUE_HTML = "<h2>Trainings</h2><p>Everybody's, newest first; one runs at a time. Click one of yours to follow it.</p>"
QUEUE = "Trainings"
QUEUE_COLUMNS = ["Name", "Method", "State", "Whose", "Id"]
MINE, SOMEBODY, SHIPPED = "yours", "somebody else's", "shipped"

# The list of adapters
ADAPTERS_HTML = (
    "<h2>Adapters</h2><p>Every adapter that a pane or the leaderboard can use. Click one for its card. Held-out "
    "perplexity: on rows left out of the training. Forgetting: how much perplexity on general text rose.</p>"
)
ADAPTERS = "Adapters"
ADAPTER_COLUMNS = ["Name", "Method", "Size", "Parameters", "Held-out perplexity", "Forgetting", "Whose"]
FIGURES_COLUMNS = ["Measured", "Base", "Adapter", "Adapter / base"]
TEXT_PERPLEXITY, PERPLEXITY = "Perplexity on held-out rows", "The same, end tokens included"
GENERAL_PERPLEXITY, EXACT = "Perplexity on general text", "Exact answers on held-out rows"
FIGURES, HOW, CONTINUATIONS = "Measured", "How it was made", "Sample texts"
CARD_FILE = "The card as a file (README.md)"
DATA, LICENCE, SPLIT, TOOK, MACHINE, COMMAND = "Data", "Licence", "Rows", "Training", "Machine", "Command"
NO_CARD = "This adapter has no card."
NO_SUCH_ADAPTER = "There is no such adapter: choose one from the list."
NOT_YOUR_ADAPTER = "Only the browser that made this adapter can do that."
DOWNLOAD, MERGE, PUSH = "Download", "Merge and download", "Push to the Hub"
IMPORT_ZIP, IMPORT_FROM_HUB = "Import a zip", "Import from the Hub"
IMPORTED = "{name} is imported: every pane can use it now."
PUSHED = "Pushed to {address}"
DELETED = "{name} is deleted: panes that still use it will say so."

CONTROLS = {
    "data": Control("Data", "A shipped set, or your own TXT, JSONL or CSV: text, or prompt and completion."),
    "name": Control("Name", "Of the new adapter: letters, digits, - and _, such as sea-shanties."),
    "method": Control("Method", "LoRA for style and topic, prefix tuning for tasks with a short answer."),
    "sample_prompt": Control("Sample prompt", "Continued on the way, so that you see it learn; empty: never."),
    "sample_every": Control("Steps between samples (sample_every)", "How often the sample prompt is continued."),
    "r": Control("Rank (r)", "Of the update: a higher rank can learn more, and forget more."),
    "lora_alpha": Control("Scale (lora_alpha)", "The update is multiplied by lora_alpha / r."),
    "lora_dropout": Control("Dropout (lora_dropout)", "Share of inputs dropped, against overfitting."),
    "target_modules": Control("Modules (target_modules)", "Layers that get an update: a group, or layers by name."),
    "use_rslora": Control("rsLoRA (use_rslora)", "Multiply by lora_alpha / √r instead: steadier at a high rank."),
    "use_dora": Control("DoRA (use_dora)", "Learn magnitude and direction of the weights apart: slower."),
    "num_virtual_tokens": Control("Virtual tokens (num_virtual_tokens)", "Put before the prompt; they use up context."),
    "init_text": Control(
        "First text (init_text)", "The prefix starts as the keys and values of this text; empty: random."
    ),
    "prefix_projection": Control(
        "Reparameterise (prefix_projection)", "Learn the prefix through a small network, as in the paper."
    ),
    "encoder_hidden_size": Control("Its width (encoder_hidden_size)", "Of that network, which is not kept afterwards."),
    "steps": Control("Steps (steps)", "Batches to train on, at most: it stops early when it no longer improves."),
    "epochs": Control("Epochs (epochs)", "Passes over the data, instead of steps; 0: count steps."),
    "batch_size": Control("Batch (batch_size)", "Examples per step: more is smoother, slower, and needs more memory."),
    "max_length": Control("Length (max_length)", "Tokens of an example; longer texts are cut into pieces."),
    "lr": Control("Learning rate (lr)", "At its highest; too high diverges, too low learns nothing."),
    "warmup_steps": Control("Warm-up (warmup_steps)", "Steps over which the learning rate rises from 0."),
    "schedule": Control("Schedule (schedule)", "How the learning rate falls after that."),
    "weight_decay": Control("Weight decay (weight_decay)", "Pulls the trained weights towards 0; 0 is off."),
    "max_grad_norm": Control("Gradient clipping (max_grad_norm)", "Longer gradients are clipped to this norm."),
    "bfloat16": Control("bfloat16 (bfloat16)", "Faster on processors that have it, less exact; measured in float32."),
    "eval_every": Control("Validate every (eval_every)", "Steps between two measurements of the validation loss."),
    "eval_examples": Control("Validation examples (eval_examples)", "Held-out examples that choose the best step."),
    "patience": Control("Patience (patience)", "Validations without improvement before it stops early; 0: never."),
    "validation_share": Control("Held out (validation_share)", "Share of the rows that is never trained on."),
    "seed": Control("Seed (seed)", "Of the random draws: the same seed gives the same adapter."),
    "report_to": Control("Log to (report_to)", "Also log the curves for these programs, on this server."),
    "import_name": Control("Name", "Of the imported adapter: letters, digits, - and _."),
    "hub_id": Control("Hub id", "Of an adapter for this base model, such as someone/poetry-lora."),
    "readme": Control("README.md", "As in the folder of the adapter and in its zip."),
    "repository": Control("Push to", "A new Hub repository, such as you/poetry-lora."),
}


control = partial(labelled, of=CONTROLS)


def method_name(kind: str) -> str:
    """The name of a kind of adapter."""
    return next((name for name, of in METHODS.items() if of == kind), kind)


def size_name(kind: str, size: int) -> str:
    """The size of an adapter."""
    return f"r = {size}" if kind == "lora" else count(size, "virtual token")


def settings_line(order: Any) -> str:
    """The settings of a training in one line."""
    settings, adapter = order.settings, order.settings.adapter
    if isinstance(adapter, LoraSettings):
        where = ", ".join(adapter.target_modules) or ATTENTION
        switches = [name for name, on in (("DoRA", adapter.use_dora), ("rsLoRA", adapter.use_rslora)) if on]
        parts = [", ".join([f"r {adapter.r}", f"alpha {adapter.lora_alpha:g}", *switches]) + f" on {where}"]
    else:
        start = "from a text" if adapter.init_text else "at random"
        parts = [f"{count(adapter.num_virtual_tokens, 'virtual token')}, initialised {start}"]
    how_long = count(settings.steps, "step") if order.epochs is None else f"{order.epochs:g} epochs"
    parts.append(f"{how_long} of {settings.batch_size} × {settings.max_length} tokens")
    parts.append(f"learning rate {settings.lr:g}, {settings.schedule}, {settings.warmup_steps} steps of warm-up")
    parts.append(f"validated every {settings.eval_every} steps")
    return " · ".join([*parts, f"seed {settings.seed}"])


def estimate_lines(estimate: Estimate) -> str:
    """Size, memory and time of a training, and a line for each text that was cut."""
    first = (
        f"{estimate.trainable:,} parameters are trained ({percent(estimate.share)}) · {count(estimate.steps, 'step')} "
        f"over {estimate.training_examples:,} examples, {estimate.validation_examples:,} held out · "
        f"about {num_bytes(estimate.num_bytes)} of memory · about {duration(estimate.seconds)}"
    )
    return "\n".join([first, *estimate.notes])


def num_bytes(number: int) -> str:
    """A size in MB or GB."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(0.1, number / 1e6):.1f} MB"


def state_line(job: JobView, of_mine: bool) -> str:
    """The state of a training in the queue; its progress is for its owner only."""
    if job.state == "waiting":
        return f"waiting, {job.place} before it" if job.place else "about to begin"
    done = job.steps[-1].step if job.steps else 0
    return f"running, step {done} of {job.total}" if job.state == "running" and of_mine else job.state


def figures_line(job: JobView) -> str:
    """The progress of a training in figures; empty before the first step."""
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
    """The value of a setting; no modules are all of attention."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ATTENTION
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"
