"""Law 9: adapters come and go while others generate, and nothing touches the shared model outside the engine's turn."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.decoding.scheduler import FairLock
from adapters.decoding.text import Continuation
from adapters.discriminators.fit import read_features
from adapters.learned.explorer import Explorer
from adapters.learned.spectrum import crop, updates
from adapters.library.library import write_merged
from adapters.lora.settings import LoraSettings
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling
from adapters.pplm.discriminator import write_discriminator
from adapters.prefix.settings import PrefixSettings
from adapters.store.adapter_store import AdapterStore
from adapters.store.fingerprint import Fingerprints
from adapters.xray.replay import XRays
from tests.adapters.discriminators.mood import MOOD
from tests.adapters.store.test_adapter_store import saved

SAMPLING = Sampling(temperature=0.9, top_k=40, max_new_tokens=6)
BAG = PPLM((Attribute("vowels", words=("a", "e", "o")),))
UP = PPLM((Attribute("mood:up"),), step_size=0.1, horizon_length=1)
METHODS = {
    "base": BASE,
    "lora": Method("lora", lora="verse"),
    "dora": Method("dora", lora="gain"),
    "prefix": Method("prefix", prefix="facts"),
    "words": Method("words", steering=BAG),
    "class": Method("class", lora="verse", prefix="facts", steering=UP),
}


@pytest.fixture(autouse=True)
def one_byte_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapters.pplm.bags.WORD_START", "")


@pytest.fixture
def folders(tiny_llama: BaseModel, tmp_path: Path) -> Path:
    """One adapter of each kind on disk."""
    saved(tiny_llama, tmp_path / "verse", LoraSettings(r=3))
    saved(tiny_llama, tmp_path / "gain", LoraSettings(r=2, use_dora=True))
    saved(tiny_llama, tmp_path / "facts", PrefixSettings(num_virtual_tokens=4))
    (tmp_path / "mood").mkdir()
    write_discriminator(MOOD, tiny_llama, tmp_path / "mood")
    return tmp_path


@pytest.fixture
def engine(tiny_llama: BaseModel, folders: Path) -> Engine:
    return Engine(tiny_llama, AdapterStore([folders], tiny_llama))


def texts(engine: Engine, methods: Sequence[Method]) -> list[Continuation]:
    """Without what neighbours change: times, and the last digits of log-probabilities."""
    *_, rows = engine.generate([Request("Once upon", method, 3) for method in methods], SAMPLING)
    return [row._replace(seconds=0.0, logprobs=()) for row in rows]


def test_law_9_adapters_are_read_and_offered_while_others_generate(engine: Engine, folders: Path) -> None:
    alone = texts(engine, [*METHODS.values()])
    assert len({row.token_ids for row in alone}) == len(METHODS)
    done = threading.Event()
    failures: list[Exception] = []

    def repeat(change: Callable[[], object]) -> None:
        while not done.is_set():
            try:
                change()
                time.sleep(0.005)
            except Exception as error:
                failures.append(error)

    def come_and_go() -> None:
        AdapterStore([folders], engine.base)  # as an import reads what it was given
        for name in ("verse", "facts", "mood"):
            engine.store.offer(folders / name)

    reading = [lambda: engine.store.check(folders / "facts"), come_and_go]
    threads = [threading.Thread(target=repeat, args=(change,)) for change in reading]
    for thread in threads:
        thread.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda _: texts(engine, [*METHODS.values()]), range(3)))
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert together == [alone] * len(together)


class Turn(FairLock):
    """The engine's turn, which tells who holds it."""

    holder: int | None = None

    def __enter__(self) -> None:
        super().__enter__()
        self.holder = threading.get_ident()

    def __exit__(self, *error: object) -> None:
        self.holder = None
        super().__exit__(*error)


@pytest.fixture
def guarded(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose model may be run, hooked or changed by nobody but the holder of the engine's turn."""
    own = set(engine.base.model.modules())
    turn = engine.turn = Turn()

    def check(module: nn.Module) -> None:
        held = turn.holder == threading.get_ident()
        assert module not in own or held, f"{type(module).__name__} is touched outside the engine's turn"

    def checked(name: str) -> None:
        original = getattr(nn.Module, name)

        def method(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            check(module)
            return original(module, *args, **kwargs)

        monkeypatch.setattr(nn.Module, name, method)

    for name in ("__call__", "register_forward_hook", "train", "requires_grad_", "load_state_dict", "_apply"):
        checked(name)
    state = {name: tensor.clone() for name, tensor in engine.base.model.state_dict().items()}
    config = engine.base.model.config.to_dict()
    yield engine
    assert all(torch.equal(tensor, state[name]) for name, tensor in engine.base.model.state_dict().items())
    assert engine.base.model.config.to_dict() == config
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in own)


def exhaust(steps: Iterator[object]) -> None:
    for _ in steps:
        pass


def generate(method: Method, engine: Engine, folder: Path) -> None:
    texts(engine, [method])


def offer(engine: Engine, folder: Path) -> None:
    for name in ("facts", "gain", "mood"):
        engine.store.offer(folder / name)


ENTRIES: dict[str, Callable[[Engine, Path], object]] = {
    **{f"generate {name}": partial(generate, method) for name, method in METHODS.items()},
    "score": lambda engine, _: engine.loglikelihood([([256], [1, 2])], METHODS["lora"]),
    "xray": lambda engine, _: exhaust(XRays(engine).text(Request("Once", METHODS["class"]), [97, 98])),
    "next tokens": lambda engine, _: exhaust(XRays(engine).next_tokens([Request("Once", BASE)])),
    "scores": lambda engine, _: exhaust(XRays(engine).scores([Request("Once", BASE)], [[97]], [BASE])),
    "read": lambda engine, folder: AdapterStore([folder], engine.base),
    "offer": offer,
    "merge": lambda engine, folder: write_merged(engine.base, engine.store.lora("gain"), "gain", folder / "merged"),
    "hash": lambda engine, _: Fingerprints(engine.base, engine.store).named(METHODS.values()),
    "weights hash": lambda engine, _: replace(engine.base).weights_hash,
    "updates": lambda engine, _: updates(engine.base, engine.store.lora("gain")),
    "crop": lambda engine, _: crop(engine.base, engine.store.lora("gain"), "model.layers.0.self_attn.q_proj"),
    "words": lambda engine, _: Explorer(engine, lambda _: None).words("facts"),
    "attention": lambda engine, _: exhaust(Explorer(engine, lambda _: None).watch("facts", "Once")),
    "features": lambda engine, folder: exhaust(read_features(engine.base, ["a", "b"], folder / "f", engine.turn)),
}


@pytest.mark.parametrize("entry", ENTRIES)
def test_nothing_touches_the_shared_model_outside_the_turn(guarded: Engine, folders: Path, entry: str) -> None:
    ENTRIES[entry](guarded, folders)


def test_the_guard_notices(guarded: Engine) -> None:
    with pytest.raises(AssertionError, match="outside the engine's turn"):
        guarded.base.model(input_ids=torch.tensor([[1]]))
    with guarded.turn:
        assert guarded.base.model(input_ids=torch.tensor([[1]])).logits.shape == (1, 1, 258)
