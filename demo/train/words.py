"""The words of the Train tab: training adapters, the queue, and the list of adapters."""

from collections.abc import Callable
from functools import partial
from typing import Any

from adapters.lora.settings import LoraSettings
from adapters.training.card import Report
from adapters.training.queue import JobView
from adapters.training.training_estimate import Estimate
from demo.parts.controls import controls, labelled
from demo.parts.words import PROSE, count, duration, percent, words_of

__getattr__: Callable[[str], str] = words_of("train")
LORA, PREFIX = "LoRA", "prefix tuning"
METHODS = {LORA: "lora", PREFIX: "prefix"}
METHOD_NAMES = {kind: name for name, kind in METHODS.items()}
ATTENTION = "attention"
DATA_NAMES: dict[str, str] = PROSE["train"]["DATA_NAMES"]
KINDS_OF_TRAINING: dict[str, str] = PROSE["train"]["KINDS_OF_TRAINING"]
FIT, NO_FIT, FORGETTING = "Fit to its text: {times} × better", "Fit to its text: no better", "Forgetting: {share}"
NOTHING, LEAST_FIT = "none", 1.05
FIGURES_COLUMNS = ["Measured", "Base", "Adapter", "Adapter / base"]
CONTROLS = controls("train")
control = partial(labelled, of=CONTROLS)


def size_name(kind: str, size: int) -> str:
    return f"rank {size}" if kind == "lora" else count(size, "virtual token")


def settings_line(order: Any) -> str:
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
    """Time, size and memory of a training, and a line for each text that was cut."""
    first = (
        f"About {duration(estimate.seconds)}, measuring included\n{count(estimate.steps, 'step')} over "
        f"{estimate.training_examples:,} examples, {estimate.validation_examples:,} held out · {estimate.trainable:,} "
        f"parameters ({percent(estimate.share)}) · {num_bytes(estimate.num_bytes)} of memory"
    )
    return "\n".join([first, *estimate.notes])


def num_bytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{max(0.1, number / 1e6):.1f} MB"


def state_line(job: JobView, of_mine: bool) -> str:
    """The state of a training in the queue; its progress is for its owner only."""
    if job.now.state == "waiting":
        return f"waiting, {job.place} before it" if job.place else "about to begin"
    return f"running, {percent(job.pace.done)} done" if job.now.state == "running" and of_mine else job.now.state


def figures_line(job: JobView) -> str:
    parts = [f"step {step.step} of {job.now.total} · loss {step.loss:.2f}" for step in job.now.steps[-1:]]
    if checked := [step for step in job.now.steps if step.best]:
        parts.append(f"best validation loss {checked[-1].validation_loss:.2f} at step {checked[-1].step}")
    if job.pace.tokens_per_second is not None:
        parts.append(f"{job.pace.tokens_per_second:,.0f} tokens/s")
    if job.pace.seconds_left and job.now.state == "running":
        parts.append(f"about {duration(job.pace.seconds_left)} left")
    return " · ".join(parts)


def fit_lines(report: Report) -> list[str]:
    """How much better an adapter is on its text, and what it forgot."""
    base, own = report.base_scores, report.adapter_scores
    times, forgotten = base.perplexity / own.perplexity, own.general_perplexity / base.general_perplexity - 1
    better = f"{times:.0f}" if times >= 10 else f"{times:.2g}"
    fit = FIT.format(times=better) if times > LEAST_FIT else NO_FIT
    return [fit, FORGETTING.format(share=f"{100 * forgotten:.0f}\u00a0%" if forgotten >= 0.005 else NOTHING)]


def setting(value: Any) -> str:
    """The value of a setting; no modules are all of attention."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or ATTENTION
    return f"{value:g}" if isinstance(value, float) else str(value) or "–"
