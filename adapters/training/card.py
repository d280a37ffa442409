"""The card of a trained adapter, and what it says: perplexities, exact answers, unedited samples."""

import json
from collections.abc import Sequence
from statistics import median
from typing import Any

import torch
from pydantic.dataclasses import dataclass
from torch import nn

from adapters.base_model import BaseModel
from adapters.cards import render
from adapters.methods import STRICT, to_json
from adapters.training.batches import Example, evenly, measure
from adapters.training.corpus import GENERAL, VALIDATION_SHARE, Row, encode, pair, read_rows
from adapters.training.order import SAMPLE_TOKENS, SAMPLED, CurvePoint, End, Sample, Scores, TrainSettings

ASKED_ROWS = 200  # prompts at most for exact match
SHORT = 40  # characters; longer completions are not expected word for word
MEASURE_BATCH = 8
MEASURE_LENGTH = 256
OPENING_WORDS = 6
ANSWER_TOKENS = 24
CURVE_ROWS = 12  # of the table
ENDED: dict[End, str] = {  # why a training ended
    "steps": "",
    "patience": "It stopped early: {patience} measurements in a row were no better.",
    "stopped": "It was stopped by hand.",
    "diverged": "It stopped when the loss diverged: lower the learning rate (lr).",
}


@dataclass(frozen=True, config=STRICT)
class Report:
    name: str
    base: str
    about: str
    licence: str
    command: str
    machine: str
    settings: TrainSettings
    steps: int  # done
    best_step: int
    seconds: float
    training_rows: int
    validation_rows: int
    base_scores: Scores
    adapter_scores: Scores
    samples: tuple[Sample, ...]
    general_rows: int = 128
    prompted: bool = False  # whether the rows are prompts with completions
    epochs: float | None = None  # times the training examples were read
    ended: End = "steps"
    validation_share: float = VALIDATION_SHARE
    notes: tuple[str, ...] = ()  # rows cut or left out
    curve: tuple[CurvePoint, ...] = ()


def card(report: Report) -> str:
    """The README.md of an adapter, with the Hub's front matter."""
    asked = report.prompted or report.base_scores.exact_match is not None
    drawn = f"seed 0, temperature {SAMPLED['temperature']}, top-p {SAMPLED['top_p']}, at most {SAMPLE_TOKENS} tokens"
    return render(
        "adapter",
        report.base,
        report=report,
        settings=json.dumps(to_json(report.settings), ensure_ascii=False),
        ended=why_ended(report),
        general=GENERAL.about,
        curve=(*evenly(report.curve[:-1], CURVE_ROWS - 1), *report.curve[-1:]),
        drawn="greedy" if asked else drawn,
    )


def why_ended(report: Report) -> str:
    return ENDED[report.ended].format(patience=report.settings.patience)


def outcome(report: Report) -> str:
    before, after = report.base_scores.perplexity, report.adapter_scores.perplexity
    ready = f"{report.name} is ready: perplexity on held-out text {after:.3g}, base {before:.3g}."
    worse = "" if after < before else "It is no better than the base model: try another lr, more steps or more rows."
    return " ".join(part for part in (ready, why_ended(report), worse) if part)


def table(report: Report) -> str:
    """The figures of base model and adapter, side by side."""
    return render("scores", report.base, report=report)


def score(
    base: BaseModel, model: nn.Module, validation: Sequence[Example], rows: Sequence[Row], general_rows: int
) -> Scores:
    """The scores of `model`: the base model, with an adapter or without."""
    length = min(MEASURE_LENGTH, base.context_length // 2)
    general = encode(base, evenly(read_rows(GENERAL.file), general_rows), length, GENERAL.whole).examples
    tally = measure(model, validation, MEASURE_BATCH)
    matches = exact_matches(base, model, rows)
    return Scores(
        text_perplexity=tally.text_perplexity,
        perplexity=tally.perplexity,
        general_perplexity=measure(model, general, MEASURE_BATCH).text_perplexity,
        exact_match=sum(matches) / len(matches) if matches else None,
    )


def exact_matches(base: BaseModel, model: Any, rows: Sequence[Row]) -> list[bool]:
    """Whether the first line of each greedy answer is the completion; empty where most are longer than SHORT."""
    asked = evenly(short_answers(rows), ASKED_ROWS)
    answers = greedy(base, model, [prompt for prompt, _ in asked], ANSWER_TOKENS)
    pairs = zip(answers, asked, strict=True)
    return [answer.strip().split("\n")[0].strip() == completion.strip() for answer, (_, completion) in pairs]


def short_answers(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """The rows as prompts and completions; none where most completions are longer than SHORT."""
    pairs = [texts for row in rows if (texts := pair(row))]
    return pairs if pairs and median(len(completion) for _, completion in pairs) <= SHORT else []


def greedy(base: BaseModel, model: Any, prompts: Sequence[str], max_new_tokens: int) -> list[str]:
    """The greedy continuation of each prompt. Prompts of one length share a batch, so nothing is padded."""
    encoded = [base.encode(prompt) for prompt in prompts]
    texts = [""] * len(prompts)
    for length in sorted({len(ids) for ids in encoded}):
        rows = [row for row, ids in enumerate(encoded) if len(ids) == length]
        written = write(base, model, [encoded[row] for row in rows], max_new_tokens=max_new_tokens, do_sample=False)
        for row, text in zip(rows, written, strict=True):
            texts[row] = text
    return texts


@torch.no_grad()
def write(base: BaseModel, model: Any, prompts: list[list[int]], **settings: Any) -> list[str]:
    """Continuations of prompts of one length, without special tokens."""
    ids = torch.tensor(prompts, device=base.device)
    end = base.tokenizer.eos_token_id
    written = model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=end, **settings)
    return [str(base.tokenizer.decode(row[ids.shape[1] :], skip_special_tokens=True)) for row in written]


def samples(base: BaseModel, model: Any, rows: Sequence[Row]) -> tuple[Sample, ...]:
    """Two continuations from validation rows: greedy ones of prompts, or sampled ones of a text's first words."""
    chosen = [rows[0], rows[len(rows) // 2]]
    prompts = [texts[0] for row in chosen if (texts := pair(row))]
    if len(prompts) == len(chosen):
        return tuple(map(Sample, prompts, greedy(base, model, prompts, SAMPLE_TOKENS)))
    drawn = {"do_sample": True, "top_k": 0, **SAMPLED}
    found = []
    for opening in (" ".join(row["text"].split(" ")[:OPENING_WORDS]) for row in chosen if "text" in row):
        with torch.random.fork_rng():
            torch.manual_seed(0)
            (text,) = write(base, model, [base.encode(opening)], max_new_tokens=SAMPLE_TOKENS, **drawn)
        found.append(Sample(opening, text))
    return tuple(found)
