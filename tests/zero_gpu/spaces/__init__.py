"""A stand-in for the platform's package `spaces`, as strict as the platform: see docs/space.md.

A decorated generator runs in a forked process, which is kept and used again. Arguments and every yield are pickled.
From the start of the page on, an operation on a weight in the main process raises. Other exceptions than Gradio's lose
their message. A call that takes longer than it asked for is killed. The seconds it asked for are taken from a quota,
which stands in the file that SPACES_QUOTA_FILE names, if there is one. Calls are written into SPACES_CALLS_FILE.
"""

import gc
import inspect
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

context = multiprocessing.get_context("fork")
forked = False
workers: list["Worker"] = []  # all that were forked
away: list[tuple[Any, type]] = []  # weights and their classes, once they are put away
SHAPES = {"shape", "dtype", "device", "requires_grad", "ndim", "is_leaf", "grad"}  # may be asked for
METHODS = {"numel", "size", "dim", "element_size", "is_floating_point", "stride", "__len__", "__hash__", "__deepcopy__"}


class Worker:
    """A forked process that runs one generator function, call after call."""

    def __init__(self, task: Callable[..., Generator[Any, None, None]]) -> None:
        self.mine, theirs = context.Pipe()
        self.stop = context.Event()
        self.process = context.Process(target=serve, args=(task, theirs, self.stop), daemon=True)
        self.process.start()
        theirs.close()
        workers.append(self)


def serve(task: Callable[..., Generator[Any, None, None]], pipe: Connection, stop: Any) -> None:
    global forked
    forked = True
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    for connection in psutil.Process().net_connections("inet"):
        os.close(connection.fd)  # else the page's connections would stay open as long as the worker
    for weight, kind in away:
        weight.__class__ = kind
    parent = os.getppid()
    while True:
        while not pipe.poll(1.0):
            if os.getppid() != parent:
                os._exit(0)
        arguments = pipe.recv()
        stop.clear()
        with ThreadPoolExecutor(1) as threads:  # the platform runs a body in a thread of the worker
            threads.submit(iterate, task, arguments, pipe, stop).result()


def iterate(task: Callable[..., Generator[Any, None, None]], arguments: Any, pipe: Connection, stop: Any) -> None:
    steps = task(*arguments)
    try:
        for step in steps:
            if stop.is_set():
                steps.close()
                break
            pipe.send(("step", step))
    except Exception as error:
        import traceback

        traceback.print_exc()
        pipe.send(("failed", type(error).__name__))
        return
    pipe.send(("end", None))


def GPU(task: Any = None, *, duration: Any = None, size: str | None = None) -> Any:  # noqa: N802
    if task is None:
        return lambda task: GPU(task, duration=duration, size=size)
    if not inspect.isgeneratorfunction(task):
        raise NotImplementedError("The stand-in runs generators only.")
    idle: list[Worker] = []

    def call(*arguments: Any) -> Generator[Any, None, None]:
        if forked:
            yield from task(*arguments)
            return
        assert away, "a GPU is lent only once the page has started"
        seconds = float(duration(*arguments) if callable(duration) else duration or 60)
        take(seconds)
        note(f"{seconds:g} {arguments}")
        worker = idle.pop() if idle else Worker(task)
        worker.mine.send(arguments)
        deadline, ended = time.monotonic() + seconds, False
        try:
            while True:
                if not worker.mine.poll(max(0.0, deadline - time.monotonic())):
                    worker.process.kill()
                    worker.process.join()
                    ended = True
                    raise error("GPU task aborted")
                try:
                    kind, value = worker.mine.recv()
                except EOFError:
                    ended = True
                    raise error("GPU task aborted") from None
                if kind == "step":
                    yield value
                    continue
                ended = True
                if kind == "failed":
                    raise error(value)
                return
        finally:
            worker.stop.set()
            while not ended and worker.process.is_alive():  # the platform's wrapper waits for the body's end too
                if worker.mine.poll(0.1):
                    ended = worker.mine.recv()[0] != "step"
            if worker.process.is_alive():
                idle.append(worker)

    return call


def error(message: str) -> Exception:
    import gradio

    return gradio.Error(message, title="ZeroGPU")


def take(seconds: float) -> None:
    file = os.environ.get("SPACES_QUOTA_FILE")
    if file and Path(file).is_file():
        left = float(Path(file).read_text())
        if seconds > left:
            asked = f"({seconds:.0f}s requested vs. {left:.0f}s left)"
            raise error(f"You have exceeded your free ZeroGPU quota {asked}. Try again in 2:00:00. ")
        Path(file).write_text(str(left - seconds))


def note(line: str) -> None:
    if file := os.environ.get("SPACES_CALLS_FILE"):
        with Path(file).open("a") as calls:
            calls.write(line.replace("\n", " ")[:2000] + "\n")


def put_away(models: Sequence[Any]) -> None:
    """Forbid every operation on the weights of the models in this process."""
    import torch

    def refuse(cls: type, function: Any, types: Any, arguments: Any = (), keywords: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        owner = getattr(function, "__self__", None)
        if name in METHODS or (name == "__get__" and getattr(owner, "__name__", "") in SHAPES):
            with torch._C.DisableTorchFunctionSubclass():
                return function(*arguments, **(keywords or {}))
        raise RuntimeError(f"Cannot apply function {name} on disk-offloaded Tensor")

    fields: dict[str, Any] = {"__torch_function__": classmethod(refuse)}
    plain, parameter = (type("Offloaded", (kind,), fields) for kind in (torch.Tensor, torch.nn.Parameter))
    for weight in {id(each): each for model in models for each in [*model.parameters(), *model.buffers()]}.values():
        away.append((weight, weight.__class__))
        weight.__class__ = parameter if isinstance(weight, torch.nn.Parameter) else plain


def bring_back() -> None:
    """Permit everything again, and end the workers: they hold whatever was open when they were forked."""
    while workers:
        workers[-1].process.kill()
        workers.pop().process.join()
    while away:
        weight, kind = away.pop()
        weight.__class__ = kind


def patch_launch() -> None:
    """Put the weights of all models away when the page starts."""
    import gradio

    launch = gradio.Blocks.launch

    def launch_once(self: Any, *arguments: Any, **keywords: Any) -> Any:
        if not away:
            from transformers import PreTrainedModel

            put_away([each for each in gc.get_objects() if issubclass(type(each), PreTrainedModel)])
        return launch(self, *arguments, **keywords)

    gradio.Blocks.launch = launch_once  # type: ignore[method-assign]


if os.environ.get("SPACES_ZERO_GPU"):
    patch_launch()
