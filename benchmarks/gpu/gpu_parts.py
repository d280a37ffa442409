"""The parts of `make gpu`: each yields rows as it finds them, so that what a time limit cuts off loses only the rest.

Without a GPU the same code runs on a tiny random model, with fewer rows and tokens: a rehearsal, not a measurement.
"""

import copy
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch

from adapters.base_model import EMBEDDED_ID, BaseModel, load_base_model, memory
from adapters.decoding.engine import Engine
from adapters.decoding.text import Continuation
from adapters.discriminators.labelled import read_labelled
from adapters.discriminators.maker import Order, make_discriminator
from adapters.methods import BASE, PPLM, Attribute, Method, Request, Sampling, as_in_paper, parse_method
from adapters.store.adapter_store import WEIGHTS, AdapterStore
from adapters.training.corpus import DATA, DATASETS
from adapters.training.making import Place, make_adapter
from adapters.training.order import Event, TrainStep, finish
from adapters.training.shipped import SHIPPED, shipped_order
from benchmarks.costs.timing import decode

PROMPTS = ("The potato is a plant that", "Once upon a time", "The issue focused on", "In summary")
TINY_WORDS = ("a", "e", "o")  # the only words of the tiny model's tokenizer
ROOT = Path(__file__).parents[2]
LEFT = 0.8  # of a part's time is for its measurements; the rest for its start
OUTCOMES = ("PASSED", "FAILED", "ERROR", "SKIPPED")
OUTCOME = f"({'|'.join(OUTCOMES)})"
ROUNDS = 5  # of a measurement, if the time allows


class Site(NamedTuple):
    """Where a part runs, and with what."""

    home: Path
    model: str | None  # a Hub id or a folder; None: the embedded model
    tiny: Path  # folder of a tiny random model
    work: Path  # adapters that the training part makes; texts
    gpu: bool
    seconds: float  # that the part has

    @property
    def embedded(self) -> bool:
        return (self.home / EMBEDDED_ID).is_dir()

    def engine(self, base: BaseModel | None = None) -> Engine:
        base = base or load_base_model(self.model, self.home)
        return Engine(base, AdapterStore([WEIGHTS, self.work / "adapters"], base))


class Skip(Exception):
    """Why a part has nothing to do here."""


Rows = Iterator[dict[str, Any]]


def row(name: str, unit: str, values: Sequence[float], **more: Any) -> dict[str, Any]:
    """A figure of one or more measurements."""
    found = {"min": min(values), "median": statistics.median(values), "max": max(values)}
    return {"name": name, "unit": unit, **found, "values": len(values), **more}


def methods(engine: Engine) -> list[Method]:
    """Base, a LoRA, a prefix and PPLM, as far as there are adapters for this model."""
    of_kind = {adapter.kind: adapter.name for adapter in reversed(engine.store.adapters)}
    return [BASE, *(parse_method(f"{kind}:{name}") for kind, name in sorted(of_kind.items())), steered(engine)]


def steered(engine: Engine, paper: bool = False) -> Method:
    """PPLM towards science by the default, or as in the paper with three iterations."""
    small = engine.base.model.config.vocab_size < 1000
    attribute = Attribute("science", words=TINY_WORDS if small else ())
    if paper:
        return Method("paper", steering=as_in_paper(PPLM((attribute,), step_size=0.02, num_iterations=3)))
    return Method("pplm", steering=PPLM((attribute,)))


def laws(site: Site) -> Rows:
    """The laws of the engine on tiny models; without a GPU those that are quick."""
    yield from tested(site, ["tests/adapters/decoding/test_laws.py", *([] if site.gpu else ["-k", "law_1 or law_4"])])


def embedded(site: Site) -> Rows:
    """The embedded model end to end."""
    if not (site.gpu and site.embedded):
        raise Skip("there is no GPU" if site.embedded else f"{site.home / EMBEDDED_ID} is not there")
    yield from tested(site, ["tests/adapters/decoding/test_embedded.py"])


def tested(site: Site, arguments: Sequence[str]) -> Rows:
    """Tests by their outcome; those that the time does not allow are not counted."""
    device = "cuda" if site.gpu else "cpu"
    plugins = ["--noconftest", "-p", "tests.model_fixtures", "-p", "tests.adapters.conftest", "-p", "no:cacheprovider"]
    several = ["-n", "4"] if site.gpu and find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", *several, "-v", "--tb=line", *plugins, "--models-on", device, *arguments]
    named = ["env", f"STEERBOARD_HOME={site.home.resolve()}"]  # where tests look for the embedded model
    log = site.work / "pytest.log"
    with log.open("w") as out, subprocess.Popen([*named, *command], cwd=ROOT, stdout=out, stderr=out) as tests:
        try:
            tests.wait(LEFT * site.seconds)
        except subprocess.TimeoutExpired:
            tests.kill()
            yield {"name": "stopped by its time limit", "unit": "", "note": "what was not reached is missing"}
    said = log.read_text("utf-8", "replace")
    ended = re.findall(rf"^(\S+::.+?) {OUTCOME}", said, re.MULTILINE)
    ended += [(name, found) for found, name in re.findall(rf"^\[gw\d+\] .*?{OUTCOME} (\S+::.+)", said, re.MULTILINE)]
    if not ended:
        raise RuntimeError(said[-500:])
    for outcome in OUTCOMES:
        names = [name.rpartition("::")[2] for name, found in ended if found == outcome]
        more = {"note": ", ".join(names[:10])} if names and outcome in ("FAILED", "ERROR") else {}
        yield row(f"tests {outcome.lower()}", "tests", [len(names)], **more)


def training(site: Site) -> Rows:
    """A short training of each kind; the other parts use what it makes, where no adapter ships for the model."""
    base, steps = load_base_model(site.model, site.home), 30 if site.gpu else 4
    for name in ("poetry", "facts"):
        kind, shipped = SHIPPED[name]["kind"], shipped_order(name, base.model.num_parameters())
        settings = replace(shipped.settings, steps=steps, warmup_steps=2, eval_every=steps, eval_examples=16)
        order, seen = replace(shipped, name=f"gpu-{kind}", settings=settings), list[Event]()
        place = Place(site.work / "adapters" / order.name, "make gpu", site.work / "logs", 8, 16)
        reset_peak(base)
        report = finish(make_adapter(base.private(), order, DATASETS[order.data], place), seen.append)
        ends = [event.seconds for event in seen if isinstance(event, TrainStep)]
        gaps = [1000 * (after - before) for before, after in pairwise(ends[:-1])]  # the last one is measured too
        said = f"{settings.batch_size} rows of at most {settings.max_length} tokens"
        yield row(f"{kind}, a step", "ms", gaps, note=said, peak_mb=peak(base))
        before, after = report.base_scores.perplexity, report.adapter_scores.perplexity
        yield row(f"{kind}, held-out perplexity after {steps} steps / base", "ratio", [after / before])
    rows = read_labelled((DATA / "sentiment.jsonl").read_bytes(), "sentiment.jsonl")[:: 2 if site.gpu else 100]
    named = Order("sentiment", "some of the shipped rows", "see adapters/data", "make gpu")
    measured = finish(make_discriminator(base, rows, named, site.work, site.work / "adapters"), print).measured
    yield row(f"discriminator, {len(rows)} texts, read and trained", "s", [measured.seconds])
    yield row("discriminator, right on held-out texts", "share", [measured.accuracy.share])


def parity(site: Site) -> Rows:
    """Greedy texts of the device and of the CPU."""
    sampling = Sampling(temperature=0, max_new_tokens=16 if site.gpu else 6)
    for model in dict.fromkeys((str(site.tiny), site.model)):
        engine = site.engine(load_base_model(model, site.home))
        base = engine.base
        beside = site.engine(replace(base, model=copy.deepcopy(base.model).to("cpu")))  # type: ignore[arg-type]
        used = methods(engine)
        requests = [Request(prompt, method) for method in used for prompt in PROMPTS]
        *_, here = engine.generate(requests, sampling)
        *_, there = beside.generate(requests, sampling)
        name = "tiny" if model == str(site.tiny) else base.id
        for place, method in enumerate(used):
            some = slice(place * len(PROMPTS), (place + 1) * len(PROMPTS))
            yield from agreement(f"{name}, {method.name}", here[some], there[some])


def agreement(name: str, here: Sequence[Continuation], there: Sequence[Continuation]) -> Rows:
    """How many texts are the same, and how far log-probabilities are apart until a text differs."""
    same = [one.token_ids == other.token_ids for one, other in zip(here, there, strict=True)]
    yield row(f"{name}: equal texts", f"of {len(same)}", [sum(same)])
    apart = [0.0]
    for one, other in zip(here, there, strict=True):
        for a, b, x, y in zip(one.token_ids, other.token_ids, one.logprobs, other.logprobs, strict=False):
            if a != b:
                break
            apart.append(abs(x - y))
    yield row(f"{name}: largest difference of a log-probability", "nats", [max(apart)])


def bench(site: Site) -> Rows:
    """Times of a token by method and number of rows."""
    engine, tokens = site.engine(), 16 if site.gpu else 4
    config = engine.base.model.generation_config
    assert config is not None
    config.eos_token_id = engine.base.model.config.vocab_size  # no text ends early
    kinds = {
        "plain": [BASE],
        "four panes": methods(engine),
        "PPLM, the default": [steered(engine)],
        "PPLM, the paper's with 3 iterations": [steered(engine, paper=True)],
    }
    sizes = (1, 8, 64) if site.gpu else (1, 8)
    allowed = LEFT * site.seconds / (len(kinds) * len(sizes))
    for name, used in kinds.items():
        for size in sizes:
            count = max(size, len(used))
            requests = [Request(PROMPTS[i % len(PROMPTS)], used[i % len(used)], i) for i in range(count)]
            reset_peak(engine.base)
            taken = repeated(partial(token_seconds, engine, requests, tokens), allowed)
            said = f"{name}, {count} row{'s' * (count > 1)}"
            yield row(f"{said}: a token of all", "ms", [1000 * each for each in taken], peak_mb=peak(engine.base))
            yield row(f"{said}: together", "tokens/s", [count / each for each in taken])


def token_seconds(engine: Engine, requests: Sequence[Request], tokens: int) -> float:
    """Seconds of a token of all rows, without the first."""
    timeline = decode(engine, requests, tokens)
    return (timeline[-1].wall - timeline[1].wall) / (tokens - 1)


def repeated(work: Callable[[], float], allowed: float) -> list[float]:
    """What some rounds measure, after one to warm up: as many as fit into the seconds, at least one."""
    end, found = time.monotonic() + allowed, list[float]()
    work()
    while not found or (len(found) < ROUNDS and time.monotonic() < end):
        found.append(work())
    return found


def steering(site: Site) -> Rows:
    """Quality at the default strength, by judges: 140 texts on seven topics; without a GPU four by sentiment."""
    # imported here: these libraries may be missing where the other parts can run
    from benchmarks.sweeps.frontier_sweep import Algorithm, Sweep, measure, read_targets
    from leaderboard.__main__ import load_prompts
    from leaderboard.frontier import OURS, TITLES, Point
    from leaderboard.judges import TOPICS
    from leaderboard.runs.runner import Runner
    from leaderboard.store.database import Database

    prompts = load_prompts("neutral_openers")
    if not site.gpu:
        prompts = replace(prompts, prompts=prompts.prompts[:4])
    targets = read_targets(",".join(TOPICS) if site.gpu else "sentiment:positive")
    default = (Algorithm(OURS, "strength", (PPLM((Attribute("science"),)).strength,)),)
    database = Database(f"sqlite:///{site.work / 'steering.db'}")
    for found in measure(Runner(site.engine(), database), Sweep(targets, prompts, 1, default, {}, "make gpu")):
        if isinstance(found, Point):
            texts, named = len(prompts.prompts) * len(targets), f"{found.algorithm} {found.strength:g}"
            for figure, cell in found.figures.items():
                known = {"min": cell.low, "median": cell.value, "max": cell.high}
                yield {"name": f"{named}: {TITLES[figure]}", "unit": "95 % interval", **known, "values": texts}


def reset_peak(base: BaseModel) -> None:
    if base.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(base.device)


def peak(base: BaseModel) -> float:
    """Megabytes: on a GPU the most since `reset_peak`, else of the process now."""
    return memory(base.device) / 1e6


PARTS: dict[str, tuple[Callable[[Site], Rows], int]] = {  # and their seconds: 450 together
    "laws": (laws, 100),
    "training": (training, 70),
    "parity": (parity, 50),
    "embedded": (embedded, 60),
    "bench": (bench, 100),
    "steering": (steering, 70),
}
