"""ZeroGPU: a GPU of Hugging Face's, lent for one call at a time to a copy of this process.

The weights are put away when the page starts, so what is asked of them before is remembered. What needs them runs as
one call of one decorated generator, which takes plain data and yields plain data.
"""

import copy
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import gradio as gr

from adapters.base_model import BaseModel
from adapters.decoding.far import Check, Far, FarService, Reply, Task, Worker
from adapters.methods import Request, Sampling, UserError
from adapters.training.queue import SLICE_SECONDS
from adapters.training.worker import work_on_next
from demo.parts.words import zero_error
from demo.services import ModelServices

XRAY_PASSES = 4  # of a token whose steering is recorded, per pass of writing it
ADAPTER_PASSES = 100  # to read what an adapter has learned, to merge it or to check it
EXPLORER = ("updates", "crop", "words", "watch", "as_json")

Run = Callable[[Task], Generator[Reply, None, None]]


class Trainings:
    """Trains in slices where the model is."""

    def __init__(self, base: BaseModel, home: Path) -> None:
        self._base, self._home = base, home

    def work(self) -> None:
        work_on_next(self._home, self._base.private(), SLICE_SECONDS)


def lent(lend: Callable[..., Any], base: BaseModel, home: Path, make: Callable[..., ModelServices]) -> ModelServices:
    """The services around a model that `lend`, the platform's decorator, hands out; `make` makes them around one."""
    _ = base.device, base.weights_hash  # kept from now on: the weights cannot be asked later
    own = replace(base, tokenizer=copy.deepcopy(base.tokenizer))  # nobody holds its locks when a worker is forked
    worker = Worker(lambda: make(own)._asdict() | {"trainings": Trainings(own, home)})
    far = Far(platform(lend, worker), lambda: near.store.hashes)
    near = make(base, far=far)
    near.store.far_check = lambda folder: far.call("store", "check", far.seconds(ADAPTER_PASSES), folder)
    return near._replace(
        xrays=cast(Any, FarService(far, "xrays", near.xrays, xray_checks(near))),
        explorer=cast(Any, FarService(far, "explorer", near.explorer, adapter_checks(near, EXPLORER))),
        library=cast(Any, FarService(far, "library", near.library, adapter_checks(near, ["merged"]))),
    )


def platform(lend: Callable[..., Any], worker: Worker) -> Run:
    """Runs tasks of a worker on the platform; its errors are UserErrors."""

    def on_gpu(task: Task) -> Generator[Reply, None, None]:
        yield from worker.run(task)

    lent_run = lend(duration=lambda task: task.seconds)(on_gpu)

    def run(task: Task) -> Generator[Reply, None, None]:
        try:
            with closing(lent_run(task)) as replies:
                yield from replies
        except gr.Error as error:
            if (line := zero_error(str(error.message))) is None:
                raise  # a fault of ours: the platform names its class and logs the rest
            raise UserError(line) from error

    return run


def xray_checks(services: ModelServices) -> dict[str, Check]:
    """Checks of XRays' methods; each returns the forward passes of a call. They raise UserError."""

    def cost(requests: Sequence[Request], tokens: int) -> int:
        return XRAY_PASSES * services.engine.cost(requests, Sampling(max_new_tokens=max(1, tokens)))

    return {
        "text": lambda request, ids, words=(): cost([request], len(ids)),
        "next_tokens": lambda requests: cost(requests, 1),
        "scores": lambda requests, texts, models: cost(requests, len(models)),
    }


def adapter_checks(services: ModelServices, methods: Sequence[str]) -> dict[str, Check]:
    def check(name: str, *_: Any) -> int:
        services.store.find(name)
        return ADAPTER_PASSES

    return dict.fromkeys(methods, check)
