"""What intervals and marks of the leaderboard hold: simulated runs go through `tabulate`, whose answers are counted.

A prompt makes the texts of all methods likely or unlikely, on topic or not, and gives them its own words. In a null run
all methods draw from the same distributions. In a run with differences the methods' losses and shares are known.
"""

import argparse
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from adapters.methods import PPLM, Attribute, Method
from leaderboard.records import ATTRIBUTE, AdapterCost, Prompt, PromptSet, Run, RunData, RunSpec, Sample, Tally, Timing
from leaderboard.tables.results import Results
from leaderboard.tables.table import tabulate

COVERED, MARKED = (5, 8, 12, 24, 100), (24, 100)  # prompts
SIZES = ((3, 8), (5, 12))  # methods beside the base, columns with intervals
NUM_WORDS, NUM_TOKENS, BATCH = 24, 40, 4
OF_TEXTS = 7  # columns of every run with texts: distinct-1 to 3, within a prompt, repetition, self-BLEU, compression
SHARES, LOSSES = (0.1, 0.3, 0.6, 0.9), (2.0, 2.1, 2.3, 2.6)  # of the methods where they differ; nats a token
DIFFERENCES = {"perplexity": "perplexity", f"{ATTRIBUTE}topic-0": "a share", "distinct_2": "distinct-2"}
WORDS = np.array([f"w{number}" for number in range(3_000)])
FREQUENCY = 1 / np.arange(3.0, 3_003.0)  # Zipf


class Truth(NamedTuple):
    """What the methods of a simulated run are drawn from."""

    losses: Sequence[float]  # nats a token of each method; empty: no judge
    shares: Sequence[Sequence[float]]  # of each attribute, by method
    has_speed: bool = False


def null_truth(num_methods: int, num_columns: int) -> Truth:
    """The same for every method: only diversity and one attribute, or also perplexity, two attributes and speed."""
    same = [1] * num_methods
    if num_columns == OF_TEXTS + 1:
        return Truth([], [[0.2] * num_methods])
    return Truth([2.3 * one for one in same], [[share] * num_methods for share in (0.04, 0.4)], True)


def simulated(random: np.random.Generator, num_prompts: int, num_methods: int, truth: Truth, samples: int) -> RunData:
    """The data of a run whose texts nobody wrote."""
    methods = (Method("base"), *(steered(number) for number in range(1, num_methods)))
    prompts = tuple(Prompt(str(number)) for number in range(num_prompts))
    shape = (num_methods, num_prompts, samples)
    topics = random.choice(len(WORDS), (num_prompts, 8), p=FREQUENCY / FREQUENCY.sum())
    common = random.choice(len(WORDS), (*shape, NUM_WORDS), p=FREQUENCY / FREQUENCY.sum())
    own = topics[np.arange(num_prompts)[:, None, None], random.integers(0, 8, (*shape, NUM_WORDS))]
    words = WORDS[np.where(random.random(common.shape) < 0.2, own, common)]
    places = list(np.ndindex(*shape))
    written = [
        Sample(prompt, method, draw, f"{method} {prompt} {draw}", 0, " ".join(line), NUM_TOKENS, "length")
        for (method, prompt, draw), line in zip(places, words.reshape(-1, NUM_WORDS), strict=True)
    ]
    columns = {}
    if truth.losses:
        hard = random.normal(0, 0.3, (num_prompts, 1)) + random.gamma(2, 0.15, shape) - 0.3  # mean 0, skewed
        columns["base"] = -NUM_TOKENS * (np.array(truth.losses)[:, None, None] + hard), NUM_TOKENS
    for number, shares in enumerate(truth.shares):
        columns[f"{ATTRIBUTE}topic-{number}"] = verdicts(random, shares, shape).astype(float), 1
    tallies = {
        label: {sample.key: Tally(float(total), of) for sample, total in zip(written, totals.ravel(), strict=True)}
        for label, (totals, of) in columns.items()
    }
    timings = [
        Timing(method, prompt, NUM_TOKENS * BATCH, float(random.gamma(50)), 0)
        for method in range(num_methods if truth.has_speed else 0)
        for prompt in range(0, num_prompts, BATCH)
    ]
    spec, made = RunSpec(methods, samples), datetime(2026, 1, 1, tzinfo=UTC)
    run = Run("0" * 32, made, spec, PromptSet("simulated", prompts), "none", {}, {}, "done", None)
    return RunData(run, tuple(written), tallies, {}, tuple(timings), (AdapterCost(0, 0),) * num_methods)


def steered(number: int) -> Method:
    return Method(f"method {number}", steering=PPLM((Attribute(f"topic-{number}"),)))


def verdicts(
    random: np.random.Generator, shares: Sequence[float], shape: tuple[int, int, int]
) -> npt.NDArray[np.bool_]:
    """Whether each text shows an attribute: a prompt that is likely for one method is likely for all."""
    rank = random.random((1, shape[1], 1))  # of the prompt
    own = np.where(random.random(shape) < 0.3, rank, random.random(shape))  # 30 % of the texts follow the prompt
    return np.less(own, np.array(shares)[:, None, None])


def is_marked(results: Results) -> bool:
    """Whether anything is better, worse or best."""
    clear = any(cell.clear for column in results.cells.values() for cell in column.values())
    return clear or any(len(set(ranks.values())) > 1 for ranks in results.ranks.values())


def false_marks(num_prompts: int, num_methods: int, num_columns: int, num_tables: int, seed: int = 0) -> float:
    """The share of null tables of a base and `num_methods` others with a mark."""
    random, truth = np.random.default_rng([seed, num_prompts, num_methods]), null_truth(1 + num_methods, num_columns)
    marked = 0
    for _ in tqdm(range(num_tables), f"{num_methods} x {num_columns}, {num_prompts} prompts", disable=None):
        marked += is_marked(tabulate(simulated(random, num_prompts, 1 + num_methods, truth, 1)))
    return marked / num_tables


def coverage(num_prompts: int, samples: int, num_tables: int, seed: int = 0) -> dict[str, float]:
    """The share of intervals that cover the truth: of differences, by metric, and of shares."""
    random, truth = np.random.default_rng([seed, num_prompts, samples]), Truth(LOSSES, [SHARES])
    true = {"perplexity": np.exp(LOSSES), f"{ATTRIBUTE}topic-0": np.array(SHARES)}
    found: dict[str, list[bool]] = defaultdict(list)
    for _ in tqdm(range(num_tables), f"coverage, {num_prompts} prompts", disable=None):
        results = tabulate(simulated(random, num_prompts, len(SHARES), truth, samples))
        for metric, what in DIFFERENCES.items():
            known = true.get(metric, np.zeros(len(SHARES)))
            cells = [results.cells[metric][name] for name in results.methods]
            for cell, apart in zip(cells[1:], known[1:] - known[0], strict=True):
                found[f"difference in {what}"].append(cell.difference_low <= apart <= cell.difference_high)
        judged = results.cells[f"{ATTRIBUTE}topic-0"]
        found["share"] += [
            judged[name].low <= share <= judged[name].high for name, share in zip(judged, SHARES, strict=True)
        ]
    return {name: float(np.mean(each)) for name, each in found.items()}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tables", type=int, default=1_000, help="simulated tables for each figure (default 1,000)")


def run(options: argparse.Namespace, command: str) -> int:
    """Print coverage and false marks as Markdown."""
    for samples in (1, 3):
        for num_prompts in COVERED:
            found = coverage(num_prompts, samples, options.tables)
            if (num_prompts, samples) == (COVERED[0], 1):
                print(f"| prompts | texts | {' | '.join(found)} |", "|---" * (2 + len(found)) + "|", sep="\n")
            print(
                f"| {num_prompts} | {samples} |",
                " | ".join(f"{share:.3f}" for share in found.values()),
                "|",
                flush=True,
            )
    print("\n| prompts | methods x columns | null tables with a mark |\n|---|---|---|")
    for num_prompts in MARKED:
        for num_methods, num_columns in SIZES:
            share = false_marks(num_prompts, num_methods, num_columns, options.tables)
            print(f"| {num_prompts} | {num_methods} x {num_columns} | {100 * share:.1f} % |", flush=True)
    print(f"\n`{command}`, {options.tables:,} tables each.")
    return 0
