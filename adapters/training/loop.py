"""Trains an adapter: AdamW over PEFT parameters, as a generator that yields after every step.

It can stop after any step and go on from its checkpoint, bit for bit. The base model stays in eval mode. All randomness
(the order of the examples, LoRA's dropout) comes from the settings' seed.
"""

import json
import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from adapters.adapter_files import new_file
from adapters.base_model import BaseModel
from adapters.lora.lora import Dropout, dropping, lora_model
from adapters.lora.settings import LoraSettings
from adapters.methods import UserError, from_json, to_json
from adapters.prefix.prefix import prefix_model
from adapters.training.batches import IGNORED, Example, TrainBatch, batches, collate, evenly, measure, token_losses
from adapters.training.order import CurvePoint, End, TrainSettings, TrainStep

TOO_HIGH = "lower the learning rate (lr)"
MAX_CURVE = 1_000  # points of a curve, which every checkpoint holds; where it is full, every second one is dropped
FAR_ABOVE, BATCHES_ABOVE = 1.5, 3  # times the loss, batches in a row: single batches vary much under a random prefix


class Progress(NamedTuple):
    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    best: float | None = None  # the lowest validation loss so far
    best_step: int = 0
    worse: int = 0  # measurements since the best one
    first_loss: float | None = None
    high: int = 0  # batches in a row with a loss far above the first
    curve: tuple[CurvePoint, ...] = ()
    losses: tuple[float, ...] = ()  # of the batches since the newest measurement


class Saved(NamedTuple):
    """Everything that a training needs to go on as if never interrupted."""

    progress: Progress
    tensors: dict[str, Tensor]


def adapted(base: BaseModel, settings: TrainSettings) -> nn.Module:
    """The base model wrapped (in place) with a fresh adapter."""
    if isinstance(settings.adapter, LoraSettings):
        return lora_model(base, settings.adapter, settings.seed).eval()
    return prefix_model(base, settings.adapter, settings.seed).eval()


class Training:
    """A training that can be saved after each step and resumed."""

    def __init__(
        self, model: nn.Module, settings: TrainSettings, training: Sequence[Example], validation: Sequence[Example]
    ) -> None:
        if not training or not validation:
            raise UserError(f"{len(training)} examples to train and {len(validation)} to validate on: give more rows.")
        self.model, self.settings, self.examples = model, settings, training
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=settings.lr, weight_decay=settings.weight_decay)
        self.checks = evenly(validation, settings.eval_examples)
        self.progress = Progress()
        self.best_weights = [p.detach().clone() for p in self.parameters]
        device = self.parameters[0].device
        self.dropout = torch.Generator(device).manual_seed(settings.seed)
        for module in model.modules():
            if isinstance(module, Dropout):
                module.generator = self.dropout

    def run(self, stop: Callable[[], bool] = lambda: False) -> Generator[TrainStep, None, End]:
        """Yield each step from here on; return why the training ended.

        `stop` is asked after each step; where it is true, that step is measured and is the last. However it ends, also
        by closing, the model has the weights of the best measured step. Raises UserError where the loss diverges
        before the first measurement.
        """
        settings = self.settings
        source = batches(self.examples, settings.batch_size, torch.Generator().manual_seed(settings.seed))
        for _ in range(self.progress.step):  # the order of the examples up to here
            next(source)
        before, began = self.progress.seconds, time.monotonic()
        try:
            while self.progress.step < settings.steps:
                if 0 < settings.patience <= self.progress.worse:
                    return "patience"
                examples, step = next(source), self.progress.step + 1
                loss = self._update(examples, step)
                if self._diverged(loss):
                    if self.progress.best is None:
                        raise UserError(f"The loss diverged at step {step}, before anything was kept: {TOO_HIGH}.")
                    return "diverged"
                stopped = stop()
                due = step % settings.eval_every == 0 or step == settings.steps or stopped
                checked = measure(self.model, self.checks, settings.batch_size).loss if due else None
                better = self._note(step, loss, checked)
                tokens = self.progress.tokens + sum(len(example.ids) for example in examples)
                self.progress = self.progress._replace(tokens=tokens, seconds=before + time.monotonic() - began)
                yield TrainStep(step, loss, checked, better, tokens, self.progress.seconds)
                if stopped:
                    return "stopped"
            return "steps"
        finally:
            self._restore(self.best_weights)

    def saved(self) -> Saved:
        """The state after the newest step. The tensors are the training's own: write them at once."""
        tensors = {"dropout": self.dropout.get_state()}
        for place, (parameter, best) in enumerate(zip(self.parameters, self.best_weights, strict=True)):
            tensors |= {f"{place}.weight": parameter.detach(), f"{place}.best": best}
            tensors |= {f"{place}.{name}": value for name, value in self.optimizer.state[parameter].items()}
        return Saved(self.progress, tensors)

    def go_on(self, saved: Saved) -> None:
        """Take up a state of a training with the same settings and examples."""
        self.progress = saved.progress
        self.dropout.set_state(saved.tensors["dropout"])
        names = sorted({name.partition(".")[2] for name in saved.tensors if "." in name} - {"weight", "best"})
        state = {p: {name: saved.tensors[f"{p}.{name}"] for name in names} for p in range(len(self.parameters))}
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})
        self.best_weights = [saved.tensors[f"{p}.best"].to(w.device) for p, w in enumerate(self.parameters)]
        self._restore([saved.tensors[f"{place}.weight"] for place in range(len(self.parameters))])

    def _update(self, examples: Sequence[Example], step: int) -> float:
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.lr * lr_factor(step, self.settings)
        return update(self.model, collate(examples), self.optimizer, self.settings)

    def _note(self, step: int, loss: float, checked: float | None) -> bool:
        """Note a step; keep its weights and return True where it is the best so far."""
        now = self.progress._replace(step=step, losses=(*self.progress.losses, loss))
        if now.first_loss is None:
            now = now._replace(first_loss=loss)
        if checked is not None:
            point = CurvePoint(step, math.fsum(now.losses) / len(now.losses), checked)
            kept = now.curve if len(now.curve) < MAX_CURVE else now.curve[::2]
            now = now._replace(curve=(*kept, point), losses=(), worse=now.worse + 1)
        better = checked is not None and (now.best is None or checked < now.best)
        if better:
            now = now._replace(best=checked, best_step=step, worse=0)
            self.best_weights = [p.detach().clone() for p in self.parameters]
        self.progress = now
        return better

    def _diverged(self, loss: float) -> bool:
        """Whether the loss is not finite, or far above guessing and the first loss for BATCHES_ABOVE batches."""
        guessing = math.log(self.model.config.vocab_size)  # type: ignore[arg-type, union-attr]
        first = guessing if self.progress.first_loss is None else self.progress.first_loss
        high = self.progress.high + 1 if loss > FAR_ABOVE * max(guessing, first) else 0
        self.progress = self.progress._replace(high=high)
        return not math.isfinite(loss) or high == BATCHES_ABOVE

    @torch.no_grad()
    def _restore(self, weights: Sequence[Tensor]) -> None:
        for parameter, weight in zip(self.parameters, weights, strict=True):
            parameter.copy_(weight)


@torch.no_grad()
def round_to_float16(model: nn.Module) -> None:
    """Round the trained parameters to float16, so that the measured weights are the stored ones."""
    for parameter in filter(lambda parameter: parameter.requires_grad, model.parameters()):
        parameter.copy_(parameter.half())


def update(model: nn.Module, batch: TrainBatch, optimizer: torch.optim.Optimizer, settings: TrainSettings) -> float:
    """Make one optimiser step on one batch; return its loss in nats per scored token."""
    optimizer.zero_grad()
    device = next(model.parameters()).device.type
    with dropping(model), torch.autocast(device, torch.bfloat16, enabled=settings.bfloat16):
        losses = token_losses(model, batch)
    loss = losses.sum() / (batch.labels != IGNORED).sum().to(losses.device)
    loss.backward()
    nn.utils.clip_grad_norm_(optimizer.param_groups[0]["params"], settings.max_grad_norm)
    optimizer.step()
    return loss.item()


def lr_factor(step: int, settings: TrainSettings) -> float:
    """Share of the highest learning rate at `step`, from 1 on. Transformers' schedules begin at 0 and differ."""
    if step <= settings.warmup_steps:
        return step / settings.warmup_steps
    done = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps + 1)
    if settings.schedule == "constant":
        return 1.0
    return 1 - done if settings.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def write_checkpoint(file: Path, saved: Saved) -> None:
    """Write the state; there is always a whole one. Raises OSError on a full disk."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in saved.tensors.items()}
    with new_file(file) as scratch:
        save_file(tensors, scratch, {"progress": json.dumps(to_json(saved.progress))})
        with scratch.open("r+b") as written:
            os.fsync(written.fileno())


def read_checkpoint(file: Path) -> Saved | None:
    """The state that was written; None where there is no file. Raises UserError for a damaged one."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            progress = from_json(Progress, json.loads(opened.metadata()["progress"]))
            # Cloned, because Windows cannot replace a file whose tensors are mapped.
            return Saved(progress, {name: opened.get_tensor(name).clone() for name in opened.keys()})  # noqa: SIM118
    except (SafetensorError, ValueError, KeyError, TypeError, UserError) as error:
        raise UserError("Its checkpoint is damaged.") from error
