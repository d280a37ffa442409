"""Costs of the leaderboard: scoring, batches, a whole run and its metrics, against slower ways to do the same work.

A whole run takes minutes, so it is measured once; everything else in every round.
"""

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from adapters.base_model import BaseModel
from adapters.decoding.engine import Engine
from adapters.methods import BASE, Request, Sampling, parse_method
from adapters.training.corpus import DATA, read_rows
from benchmarks.costs.timing import summarise
from leaderboard.metrics import compression, distinct, self_bleu
from leaderboard.metrics.metric import Setting, figure, plain
from leaderboard.records import Prompt, PromptSet, RunSpec
from leaderboard.runs.plan import Plan
from leaderboard.runs.runner import Runner
from leaderboard.store.database import Database

METHODS = tuple(parse_method(name) for name in ("base", "lora:poetry", "prefix:facts", "pplm:science"))
NUM_TOKENS, NUM_PROMPTS, NUM_TEXTS = 50, 100, 200
BATCH = 16  # of `evaluate`
Pair = tuple[Sequence[int], Sequence[int]]


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(base: BaseModel, engine: Engine, rounds: int) -> list[dict[str, Any]]:
    """All rows of the table."""
    texts = [text["text"].split() for text in read_rows(DATA / "general.jsonl")]
    rows = scoring(base, engine, [" ".join(words[: 8 + n % 64]) for n, words in enumerate(texts[:NUM_TEXTS])], rounds)
    prompts = PromptSet("openings", tuple(Prompt(" ".join(words[:6])) for words in texts[:NUM_PROMPTS]))
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(engine, Database(f"sqlite:///{Path(folder) / 'bench.db'}"))
        rows += batches(runner, PromptSet("few", prompts.prompts[:24]), rounds)
        return rows + board(runner, prompts) + growth(rounds)


def scoring(base: BaseModel, engine: Engine, texts: Sequence[str], rounds: int) -> list[dict[str, Any]]:
    """200 texts of 8 to 71 words: in batches, one by one, and as `evaluate` does it."""
    pairs: list[Pair] = [(ids[:1], ids[1:]) for ids in map(base.encode, texts)]
    ours, alone, theirs = [], [], []
    for _ in range(rounds):
        ours.append(seconds(lambda: engine.loglikelihood(pairs, BASE)))
        alone.append(seconds(lambda: [engine.loglikelihood([pair], BASE) for pair in pairs]))
        theirs.append(seconds(lambda: as_evaluate(base, pairs)))
    batched = engine.loglikelihood(pairs, BASE)
    single = [engine.loglikelihood([pair], BASE)[0] for pair in pairs]
    apart = max(
        abs(a - b)
        for one, other in zip(batched, single, strict=True)
        for a, b in zip(one.logprobs, other.logprobs, strict=True)
    )
    return [
        summarise("scoring 200 texts / the algorithm of evaluate's perplexity", ratios(ours, theirs), 0.7),
        summarise("scoring 200 texts / one by one", ratios(ours, alone), 1.0),
        summarise("largest difference of a log-probability to one by one, in units of .0001", [apart * 1e4], 1.0),
    ]


def as_evaluate(base: BaseModel, pairs: Sequence[Pair]) -> list[float]:
    """Perplexities as `evaluate` computes them: every text padded to the longest, in batches of 16."""
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor([*a, *b]) for a, b in pairs], batch_first=True)  # (N, T)
    lengths = torch.tensor([len(a) + len(b) for a, b in pairs])
    mask = torch.arange(ids.shape[1]) < lengths[:, None]
    found: list[float] = []
    for start in range(0, len(pairs), BATCH):
        some, seen = ids[start : start + BATCH].to(base.device), mask[start : start + BATCH].to(base.device)
        with torch.no_grad():
            logits = base.model(input_ids=some, attention_mask=seen).logits[:, :-1]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), some[:, 1:], reduction="none")
        means = (losses * seen[:, 1:]).sum(1) / seen[:, 1:].sum(1)
        found += means.exp().tolist()
    return found


def ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def batches(runner: Runner, prompts: PromptSet, rounds: int, num_tokens: int = 20) -> list[dict[str, Any]]:
    """24 prompts x 4 methods x 2 samples in batches, against four texts of each method alone."""
    spec = RunSpec(METHODS, samples=2, sampling=Sampling(max_new_tokens=num_tokens))
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        together, alone = {False: 0.0, True: 0.0}, {False: 0.0, True: 0.0}
        for part in Plan(spec, prompts, runner.hashes).parts:
            for batch in part:
                steered = batch.method.steering is not None
                together[steered] += drain(runner.engine.generate(list(batch.requests.values()), spec.sampling))
        for method in METHODS:
            for prompt in prompts.prompts[:4]:
                took = drain(runner.engine.generate([Request(prompt.prompt, method)], spec.sampling))
                alone[method.steering is not None] += took * len(prompts.prompts) * spec.samples / 4
        for steered, values in found.items():
            values.append(together[steered] / alone[steered])
    name = "24 prompts x 4 methods x 2 samples in batches / one request at a time"
    return [
        summarise(f"{name}, {'PPLM' if steered else 'unsteered'}", values, 0.2) for steered, values in found.items()
    ]


def drain(states: Iterable[object]) -> float:
    """Run a generator to its end; seconds."""
    return seconds(lambda: deque(states, maxlen=0))


def board(runner: Runner, prompts: PromptSet) -> list[dict[str, Any]]:
    """A whole run of 100 prompts x 4 methods, in texts of one base row."""
    sampling = Sampling(max_new_tokens=NUM_TOKENS)
    run = runner.add(RunSpec(METHODS, sampling=sampling), prompts, None)

    def alone() -> float:
        texts = [runner.engine.generate([Request(prompt.prompt, BASE)], sampling) for prompt in prompts.prompts[:5]]
        return sum(map(drain, texts)) / len(texts)

    before = alone()
    took = drain(runner.run(run.id))
    unit = (before + alone()) / 2
    again = runner.add(RunSpec(METHODS, sampling=sampling), prompts, None)
    repeated = drain(runner.run(again.id))
    written = sum(timing.seconds for timing in runner.data(run.id).timings if timing.method == 0)
    metrics = seconds(diversity(1000))
    return [
        summarise(
            "a board, 100 prompts x 4 methods, scored / 100 texts of one plain row", [took / unit / NUM_PROMPTS], 1.8
        ),
        summarise("the same board again / the first time", [repeated / took], None),
        summarise("diversity metrics of 1,000 texts / writing them", [metrics / written / (1000 / NUM_PROMPTS)], 0.1),
    ]


def growth(rounds: int) -> list[dict[str, Any]]:
    """Time of the diversity metrics for 4,000 texts, against 1,000."""
    pairs = [(seconds(diversity(4000)), seconds(diversity(1000))) for _ in range(rounds)]
    return [summarise("diversity metrics of 4,000 texts / of 1,000", [large / small for large, small in pairs], None)]


def diversity(count: int) -> Callable[[], object]:
    """Computes all diversity metrics of `count` texts of 50 words, two for each prompt."""
    words = [word for text in read_rows(DATA / "general.jsonl") for word in text["text"].split()]
    made = [" ".join(words[place : place + 50]) for place in range(0, 8 * count, 8)]
    modules = (distinct, self_bleu, compression)
    metrics = [metric for module in modules for metric in module.columns(Setting("base", "base", {}, "", ""))]

    def work() -> list[float]:
        texts = plain(made, [place // 2 for place in range(count)])
        return [figure(metric.value, metric.rows(texts)) for metric in metrics]

    return work
