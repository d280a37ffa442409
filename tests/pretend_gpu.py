"""A pretend GPU, so that code for one can be checked on any machine; `python -m tests.pretend_gpu` checks the engine.

Its tensors hold their numbers on the CPU and say that they are on the device `chip`. As on a GPU, an operation on a
tensor of each fails; what a GPU would make the program wait for is counted, with the line that asks for it. It says
nothing of speed. Works through a device backend in Python, which torch calls experimental.
"""

import copy
import json
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, PPLM, Method, Request, Sampling, as_in_paper
from adapters.pplm import bags
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.training.batches import Example
from adapters.training.loop import Training, adapted
from adapters.training.order import TrainSettings
from tests import tiny
from tests.adapters.conftest import make_bench
from tests.adapters.decoding import test_laws as laws

CHIP = "chip:0"
OWN = ("/adapters/", "/transformers/")  # folders of the lines that are named
aten = torch.ops.aten
waits: Counter[str] | None = None  # what would wait for the GPU, by line, while it is counted


class Chip(torch.Tensor):
    """A tensor on the pretend GPU."""

    _numbers: torch.Tensor
    __torch_function__: Any = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, numbers: torch.Tensor) -> "Chip":
        made: Chip = torch.Tensor._make_wrapper_subclass(
            cls,
            numbers.shape,
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(CHIP),
        )
        made._numbers = numbers
        return made

    def __init__(self, numbers: torch.Tensor) -> None:
        """`__new__` has made it."""

    def tolist(self) -> Any:
        wait("tolist")
        return self._numbers.tolist()

    def new_tensor(self, data: Any, **options: Any) -> "Chip":  # type: ignore[override]
        wait("new_tensor")
        return Chip(on_cpu_tensor(data, dtype=options.get("dtype", self.dtype)))

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        return run(func, args, kwargs or {})


class Driver(TorchDispatchMode):
    """While it is entered, tensors can be made on the pretend GPU and moved there."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


class ChipGenerator:
    """Draws as a generator of the CPU does."""

    device = CHIP

    def __init__(self) -> None:
        self.own = on_cpu_generator()

    def manual_seed(self, seed: int) -> "ChipGenerator":
        self.own.manual_seed(seed)
        return self


def wait(why: str) -> None:
    """Count a wait at the innermost line of ours or of transformers."""
    if waits is not None:
        lines = [each for each in traceback.extract_stack() if any(folder in each.filename for folder in OWN)]
        ours = [line for line in lines if "/tests/" not in line.filename]
        waits[f"{why} at {Path(ours[-1].filename).name}: {ours[-1].line}"] += 1


def is_chip(device: Any) -> bool:
    return device is not None and torch.device(device).type == "chip"


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """An operation on the CPU numbers; its results are on the pretend GPU, unless it moves them to the CPU."""
    leaves, operation = tree_leaves((args, kwargs)), func.overloadpacket
    chips = [leaf for leaf in leaves if isinstance(leaf, Chip)]
    there, moved = is_chip(kwargs.get("device")), operation is aten._to_copy and kwargs.get("device") is not None
    if not chips and not there:
        return func(*args, **kwargs)
    to_cpu = operation is aten._local_scalar_dense or (moved and not there)
    others = [each for each in leaves if isinstance(each, torch.Tensor) and not isinstance(each, Chip) and each.ndim]
    crossing = operation is aten.copy_ and bool(others)
    if others and not (moved or crossing):
        raise RuntimeError(f"{func} takes a tensor of the CPU and one of the GPU: {[each.shape for each in others]}")
    indices = args[1] if operation in (aten.index, aten.index_put_, aten.index_put) else ()
    by_mask = any(index is not None and index.dtype == torch.bool for index in indices)
    if to_cpu or moved or crossing or by_mask or operation in (aten.nonzero, aten.masked_select):
        wait(str(operation).removeprefix("aten."))
    numbers = {key: torch.device("cpu") if key == "device" and value else value for key, value in kwargs.items()}
    plain_args, plain_kwargs = tree_map(lambda leaf: leaf._numbers if isinstance(leaf, Chip) else leaf, (args, numbers))
    found = func(*plain_args, **plain_kwargs)
    if to_cpu or (crossing and not isinstance(args[0], Chip)):
        return args[0] if crossing else found
    same = {id(chip._numbers): chip for chip in chips}

    def wrapped(leaf: Any) -> Any:
        """A result on the pretend GPU; what was changed in place is what it was."""
        return same[id(leaf)] if id(leaf) in same else Chip(leaf) if type(leaf) is torch.Tensor else leaf

    made = tree_map(wrapped, found)
    return return_and_correct_aliasing(func, args, kwargs, made) if chips else made


on_cpu_tensor, on_cpu_rand, on_cpu_generator, fork_rng = (
    torch.tensor,
    torch.rand,
    torch.Generator,
    torch.random.fork_rng,
)


def tensor(data: Any, dtype: Any = None, device: Any = None, **options: Any) -> torch.Tensor:
    if is_chip(device):
        wait("torch.tensor")
        return Chip(on_cpu_tensor(data, dtype=dtype))
    return on_cpu_tensor(data, dtype=dtype, device=device, **options)


def rand(*size: Any, generator: Any = None, device: Any = None, **options: Any) -> torch.Tensor:
    if isinstance(generator, ChipGenerator):
        return Chip(on_cpu_rand(*size, generator=generator.own, **options))
    return on_cpu_rand(*size, generator=generator, device=device, **options)


def generator(device: Any = "cpu") -> Any:
    return ChipGenerator() if is_chip(device) else on_cpu_generator(device)


@contextmanager
def pretended(base: BaseModel) -> Iterator[BaseModel]:
    """A copy of a model on the pretend GPU, in a process that has one from now on."""
    model: Any = copy.deepcopy(base.model)
    moved: dict[int, torch.nn.Parameter] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = moved.setdefault(id(weight), torch.nn.Parameter(Chip(weight.data), False))
        module._buffers.update({name: Chip(each) for name, each in module._buffers.items() if each is not None})
    model.warn_if_padding_and_no_attention_mask = lambda *_: None  # a check of transformers that looks at each token
    torch.tensor, torch.rand, torch.Generator = tensor, rand, generator  # type: ignore[assignment, misc]
    with Driver():
        yield replace(base, model=model)


def written(engine: Engine) -> dict[str, Any]:
    """What every method writes, and how those without steering score some texts."""
    *_, rows = engine.generate(laws.REQUESTS, replace(laws.SAMPLED, max_new_tokens=5))
    found: dict[str, Any] = {row.request.method.name: row.token_ids for row in rows}
    texts = [([256, *range(40, 50)], [*range(60, 60 + count)]) for count in (1, 4, 9)]
    return found | {
        f"{method.name}, scores": [round(each.sum_logprob, 3) for each in engine.loglikelihood(texts, method)]
        for method in laws.METHODS
        if method.steering is None
    }


def losses(base: BaseModel, adapter: LoraSettings | PrefixSettings) -> list[float]:
    """The losses of a short training."""
    settings = TrainSettings(adapter, steps=2, batch_size=2, eval_every=2, warmup_steps=1)
    examples = [Example(tuple(range(start, start + 6 + start % 3)), 2, True) for start in range(40, 46)]
    training = Training(adapted(base.private(), settings), settings, examples[:4], examples[4:])
    return [round(step.loss, 4) for step in training.run()]


def waits_a_token(engine: Engine, methods: Sequence[Method], sampling: Sampling) -> dict[str, float]:
    """What would wait for the GPU, in the mean of some tokens in the middle of rows that start at different columns."""
    global waits
    requests = [Request("Once upon" + " a" * place, method, place) for place, method in enumerate(methods)]
    states, first, last = engine.generate(requests, sampling), 2, 4
    for rows in states:
        written = min(len(row.token_ids) for row in rows)
        if written >= first and waits is None:
            waits = Counter()
        if written >= last:
            break
    states.close()
    counted, waits = waits or Counter(), None
    return {line: count / (last - first) for line, count in counted.items()}


def main() -> None:
    """Print, as JSON, where the pretend GPU differs from the CPU, and what would wait for it at each token."""
    device: Any = backend_registration._DummyBackendModule()
    device.get_amp_supported_dtype = lambda: [torch.bfloat16]
    # Before the first backward pass, which counts the devices.
    backend_registration._setup_privateuseone_for_python_backend("chip", device)
    torch.random.fork_rng = partial(fork_rng, enabled=False)  # the device has no state of its own
    bags.WORD_START, bags.known_words = "", frozenset  # type: ignore[assignment]  # as the laws set them
    base, kinds = tiny.llama(), (LoraSettings(), PrefixSettings())
    with tempfile.TemporaryDirectory() as folder:
        bench = make_bench(base, Path(folder))
        expected = written(bench.engine) | {type(kind).__name__: losses(base, kind) for kind in kinds}
        with pretended(base) as other:
            store = AdapterStore([Path(folder)], other)
            assert not store.refused
            engine = Engine(other, store)
            found = written(engine) | {type(kind).__name__: losses(other, kind) for kind in kinds}
            steering = PPLM((laws.VOWELS,), step_size=0.02)
            default, paper = Method("pplm", steering=steering), Method("paper", steering=as_in_paper(steering))
            cases = {
                "base": [BASE],
                "LoRAs and prefixes": [BASE, *laws.METHODS[1:4]],
                "PPLM": [default],
                "the paper's PPLM": [paper, paper],
                "two losses": [default, Method("z", steering=PPLM((laws.WORDS,)))],
            }
            counted = {name: waits_a_token(engine, methods, laws.GREEDY) for name, methods in cases.items()}
            penalty = replace(laws.GREEDY, repetition_penalty=1.2)
            counted["repetition penalty"] = waits_a_token(engine, [BASE, BASE], penalty)
    wrong = [name for name, value in expected.items() if found[name] != value]
    shown = {name: (expected[name], found[name]) for name in wrong}
    print(json.dumps({"compared": [*expected], "wrong": shown, "waits": counted}, indent=1))


if __name__ == "__main__":
    main()
