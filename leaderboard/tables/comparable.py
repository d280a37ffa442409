"""The comparable part of a run: the same prompts and draws for every method, and texts of equal length.

- A pair of prompt and draw counts if every method has a text for it that did not diverge. A method without any text is
  left out.
- For metrics that depend on length, words are cut to the shortest text of the pair among the methods. A method with far
  shorter texts (an adapter that answers in two words) would cut all texts to two words, so it is left out there: its
  median number of words is under a quarter of the largest median.
- A log-probability or verdict counts if every method that has any of its kind has it for the pair.
"""

from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import NamedTuple

import numpy as np

from adapters.methods import BASE
from leaderboard.metrics.metric import Costs, Setting, Texts
from leaderboard.metrics.passport import Array
from leaderboard.records import ATTRIBUTE, Prompt, RunData, Sample

SHORT = 1 / 4  # of the largest median number of words
Where = Callable[[Prompt], bool]
Words = list[list[str]]


class Comparable(NamedTuple):
    setting: Setting
    prompts: list[int]  # indices of those that count
    texts: list[Texts | None]  # by method; None: no text
    num_texts: int  # of each method
    base: int | None  # index of the base among the methods


def comparable(data: RunData, where: Where | None = None) -> Comparable:
    """The comparable part of a run, or of its prompts for which `where` holds."""
    prompts, methods = data.run.prompts.prompts, data.run.spec.methods
    samples: list[dict[tuple[int, int], Sample]] = [{} for _ in methods]  # of each method by prompt and draw
    for sample in data.samples:
        if sample.finish_reason != "diverged" and (where is None or where(prompts[sample.prompt])):
            samples[sample.method][sample.prompt, sample.draw] = sample
    pairs = sorted(set.intersection(*(set(of) for of in samples if of))) if any(samples) else []
    written = {method: [of[pair] for pair in pairs] for method, of in enumerate(samples) if of}
    counted = sorted({prompt for prompt, _ in pairs})
    words, length = equal_length({m: [s.text.split() for s in of] for m, of in written.items()}, data)
    tallies = {label: common_tallies(data, label, written) for label in data.tallies}
    local = {prompt: index for index, prompt in enumerate(counted)}
    of_prompts = np.array([local[prompt] for prompt, _ in pairs], dtype=np.int64)
    references = [prompts[prompt].reference for prompt, _ in pairs]
    base = next((number for number, method in enumerate(methods) if replace(method, name=BASE.name) == BASE), None)
    texts: list[Texts | None] = [None] * len(methods)
    for method, of in written.items():
        own = {label: found[method] for label, found in tallies.items() if method in found}
        lines = [sample.text for sample in of]
        paid = costs(data, method, base, local) if methods[method].texts is None else None
        texts[method] = Texts(lines, words[method], of_prompts, len(counted), references, own, paid)
    n = f"{len(pairs):,} texts of each method, for {len(counted):,} prompts"
    return Comparable(setting(data, n, length), counted, texts, len(pairs), base)


def equal_length(words: dict[int, Words], data: RunData) -> tuple[dict[int, Words], str]:
    """The words of each method, cut to equal length for each pair, and a line that says how."""
    medians = {method: median(map(len, of)) for method, of in words.items() if of}
    longest = max(medians.values(), default=0)
    kept = [method for method, middle in medians.items() if middle >= SHORT * longest]
    lengths = [min(map(len, pair)) for pair in zip(*(words[method] for method in kept), strict=True)]
    cut = {
        method: [text[:length] if method in kept else [] for text, length in zip(of, lengths, strict=True)]
        for method, of in words.items()
    }
    written = [len(text) for method in kept for text in words[method]]
    line = "cut to the shortest of the methods' texts for the same prompt and draw"
    if written:
        line += f": {np.mean(lengths):.1f} of {np.mean(written):.1f} words on average"
    left_out = [data.run.spec.methods[method].name for method in words if method not in kept]
    if left_out:
        line += f"; without {', '.join(left_out)}: texts under a quarter as long as those of the longest method"
    return cut, line


def common_tallies(data: RunData, label: str, written: dict[int, list[Sample]]) -> dict[int, Array]:
    """Sum and number of each text by method: (N, 2), zeros if a method that has any misses this one."""
    known = data.tallies[label]
    found = {
        method: np.array([known.get(sample.key, (np.nan, np.nan)) for sample in of], dtype=float).reshape(-1, 2)
        for method, of in written.items()
        if any(sample.key in known for sample in of)
    }
    missing = np.any([np.isnan(tally[:, 1]) for tally in found.values()], axis=0)
    return {method: np.where(missing[:, None], 0, tally) for method, tally in found.items()}


def costs(data: RunData, method: int, base: int | None, local: dict[int, int]) -> Costs:
    """Costs of a method; only batches with a first prompt that counts."""
    most = max((timing.peak_bytes for timing in data.timings if timing.method == method), default=np.nan)
    return Costs(speed(data, method, local), speed(data, base, local), *data.costs[method], most)


def speed(data: RunData, method: int | None, local: dict[int, int]) -> Array:
    """New tokens and seconds of a method's batches by first prompt: (P, 2)."""
    found = np.zeros((len(local), 2))
    for timing in data.timings:
        if timing.method == method and timing.first_prompt in local:
            found[local[timing.first_prompt]] += timing.num_tokens, timing.seconds
    return found


def setting(data: RunData, n: str, length: str) -> Setting:
    spec = data.run.spec
    judge = spec.judge or f"{data.run.base}, unchanged"
    names = [label.removeprefix(ATTRIBUTE) for label in data.tallies if label.startswith(ATTRIBUTE)]
    return Setting(spec.judge_label, judge, {name: wanted(data, name) for name in names}, n, length)


def wanted(data: RunData, attribute: str) -> bool | None:
    """Whether methods steer towards an attribute; None: some towards it, some away from it."""
    methods = data.run.spec.methods
    towards = {weight > 0 for method in methods for name, weight in method.aims if name == attribute}
    towards |= {m.ask.gamma > 0 for m in methods if m.ask and m.ask.name == attribute and not m.ask.text}
    return towards.pop() if len(towards) == 1 else None
