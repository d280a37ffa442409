"""The model card of a trained adapter: what is measured, and how it is told.

Knows models, examples and prose; knows nothing of the command line. Every figure in a card comes out of `metrics.json`
beside it, which is written in the same breath.
"""

import json
import os
import platform
import re
from collections.abc import Sequence
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO, BaseModel
from adapters.batches import evenly, measure
from adapters.corpus import GENERAL, Example, Row, encode_rows, question, read_rows
from adapters.methods import STRICT, to_json
from adapters.training import TrainSettings

GENERAL_ROWS = 128
MEASURE_BATCH = 8
MEASURE_LENGTH = 256
SAMPLE_TOKENS = 60
SAMPLE_TEMPERATURE = 0.8
SAMPLE_TOP_P = 0.95
OPENING_WORDS = 6
ANSWER_TOKENS = 24


@dataclass(frozen=True, config=STRICT)
class Scores:
    """What one model scores on the validation rows and on general text."""

    text_perplexity: float  # of the validation tokens, end tokens left out
    perplexity: float  # end tokens included, where the rows have one
    general_perplexity: float  # of GENERAL_ROWS rows of text that is never trained on, end tokens left out
    exact_match: float | None  # share of the validation questions answered word for word, greedily


@dataclass(frozen=True, config=STRICT)
class Sample:
    """A prompt and what the adapter made of it."""

    prompt: str
    continuation: str


@dataclass(frozen=True, config=STRICT)
class Report:
    """Everything a card says."""

    name: str
    base: str
    about: str
    licence: str
    command: str
    machine: str
    settings: TrainSettings
    steps: int  # run
    best_step: int
    seconds: float
    training_rows: int
    validation_rows: int
    base_scores: Scores
    adapter_scores: Scores
    samples: tuple[Sample, ...]
    general_rows: int = GENERAL_ROWS

    @property
    def kind(self) -> str:
        return "LoRA" if hasattr(self.settings.adapter, "r") else "prefix"


def score(base: BaseModel, model: nn.Module, validation: Sequence[Example], rows: Sequence[Row]) -> Scores:
    """The scores of `model`, which is the base model or the base model with an adapter."""
    length = min(MEASURE_LENGTH, base.context_length // 2)
    general = encode_rows(base, evenly(read_rows(GENERAL.file), GENERAL_ROWS), length, GENERAL.whole)
    tally = measure(model, validation, MEASURE_BATCH)
    matches = exact_matches(base, model, rows)
    return Scores(
        text_perplexity=tally.text_perplexity,
        perplexity=tally.perplexity,
        general_perplexity=measure(model, general, MEASURE_BATCH).text_perplexity,
        exact_match=sum(matches) / len(matches) if matches else None,
    )


def exact_matches(base: BaseModel, model: Any, rows: Sequence[Row]) -> list[bool]:
    """For each row with a question: is the first line of the greedy answer the row's answer?"""
    asked = [row for row in rows if "q" in row]
    answers = greedy(base, model, [question(row["q"]) for row in asked], ANSWER_TOKENS)
    return [
        answer.strip().split("\n")[0].strip() == row["a"].strip() for answer, row in zip(answers, asked, strict=True)
    ]


def greedy(base: BaseModel, model: Any, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """The greedy continuation of each prompt; prompts of the same length are read together, so nothing is padded."""
    encoded = [base.encode(prompt) for prompt in prompts]
    texts = [""] * len(prompts)
    for length in sorted({len(ids) for ids in encoded}):
        rows = [row for row, ids in enumerate(encoded) if len(ids) == length]
        written = write(base, model, [encoded[row] for row in rows], max_new_tokens=max_new_tokens, do_sample=False)
        for row, text in zip(rows, written, strict=True):
            texts[row] = text
    return texts


def sampled(base: BaseModel, model: Any, prompt: str, seed: int) -> Sample:
    """A continuation drawn at SAMPLE_TEMPERATURE and SAMPLE_TOP_P."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        knobs = {"do_sample": True, "temperature": SAMPLE_TEMPERATURE, "top_p": SAMPLE_TOP_P, "top_k": 0}
        return Sample(prompt, write(base, model, [base.encode(prompt)], max_new_tokens=SAMPLE_TOKENS, **knobs)[0])


@torch.no_grad()
def write(base: BaseModel, model: Any, prompts: list[list[int]], **settings: Any) -> list[str]:
    """What `model` writes after prompts of one length, special tokens left out."""
    ids = torch.tensor(prompts, device=base.device)
    end = base.tokenizer.eos_token_id
    written = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=end, **settings)
    return [str(base.tokenizer.decode(row[ids.shape[1] :], skip_special_tokens=True)) for row in written]


def samples(base: BaseModel, model: Any, rows: Sequence[Row]) -> tuple[Sample, ...]:
    """Two continuations, from validation rows: greedy answers to questions, or texts drawn after their first words."""
    chosen = [rows[0], rows[len(rows) // 2]]
    if "q" in chosen[0]:
        prompts = [question(row["q"]) for row in chosen]
        return tuple(Sample(p, t) for p, t in zip(prompts, greedy(base, model, prompts, ANSWER_TOKENS), strict=True))
    return tuple(sampled(base, model, " ".join(row["text"].split(" ")[:OPENING_WORDS]), seed=0) for row in chosen)


def card(report: Report) -> str:
    """The README.md of an adapter, with the front matter that the Hub reads."""
    return "\n\n".join((front_matter(report), about(report), measured(report), continuations(report))) + "\n"


def front_matter(report: Report) -> str:
    """What the Hub reads. It wants a Hub id as `base_model`: the embedded model is named by where it comes from."""
    return f"""---
base_model: {EMBEDDED_REPO if report.base == EMBEDDED_ID else report.base}
library_name: peft
pipeline_tag: text-generation
license: apache-2.0
language: en
tags:
- {"lora" if report.kind == "LoRA" else "prefix-tuning"}
- steerboard
---"""


def about(report: Report) -> str:
    """Data, settings and how to make it again."""
    settings = json.dumps(to_json(report.settings), ensure_ascii=False)
    return f"""# {report.name}

A {report.kind} adapter for `{report.base}`.

- **Data**: {report.about}. Licence: {report.licence}.
- **Split**: {report.training_rows} rows to train, {report.validation_rows} held out by key to validate.
- **Training**: {report.steps} steps in {report.seconds / 60:.0f} minutes on {report.machine}. The weights are those of
  step {report.best_step}, which had the lowest validation loss.
- **Settings** (seed {report.settings.seed}): `{settings}`
- **Make it again**: `{report.command}`"""


def measured(report: Report) -> str:
    """The figures and what they are."""
    return f"""## Measured

{table(report)}

Perplexity is exp of the mean loss per token, over the same tokens for both. General text is {report.general_rows} rows
of {GENERAL.about}; where the adapter's figure is the higher one, that is what was
forgotten."""


def continuations(report: Report) -> str:
    """The samples, as they came."""
    asked = report.base_scores.exact_match is not None
    drawn = f"seed 0, temperature {SAMPLE_TEMPERATURE}, top-p {SAMPLE_TOP_P}, at most {SAMPLE_TOKENS} tokens"
    texts = [f"Prompt:\n{fenced(s.prompt)}\n\nContinuation:\n{fenced(s.continuation)}" for s in report.samples]
    return "\n\n".join([f"## Two continuations, unedited ({'greedy' if asked else drawn})", *texts])


def table(report: Report) -> str:
    """The figures of the base model and the adapter, side by side."""
    base, adapter = report.base_scores, report.adapter_scores
    lines = [("Validation rows, perplexity of the text", base.text_perplexity, adapter.text_perplexity)]
    if base.perplexity != base.text_perplexity:
        lines.append(("The same with the end tokens", base.perplexity, adapter.perplexity))
    lines.append(("General text, perplexity", base.general_perplexity, adapter.general_perplexity))
    rows = [f"| {what} | {before:.2f} | {after:.2f} | {after / before:.2f} |" for what, before, after in lines]
    if base.exact_match is not None and adapter.exact_match is not None:
        rows.append(
            "| Validation questions whose greedy answer (its first line) is exact "
            f"| {base.exact_match:.0%} | {adapter.exact_match:.0%} | |"
        )
    return "\n".join(["| | base | adapter | adapter / base |", "|---|---|---|---|", *rows])


def fenced(text: str) -> str:
    """Text of a model as a block that Markdown does not read."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def machine() -> str:
    """What a card says of the machine."""
    processor = f"{os.cpu_count()} CPU cores ({platform.machine()})"
    return f"{processor}, torch {torch.__version__} with {torch.get_num_threads()} thread(s)"
