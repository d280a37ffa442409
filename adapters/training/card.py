"""The model card of a trained adapter. Every figure in it comes from `metrics.json` beside it."""

import json

from pydantic.dataclasses import dataclass

from adapters.cards import render
from adapters.methods import STRICT, to_json
from adapters.training.batches import evenly
from adapters.training.corpus import GENERAL, VALIDATION_SHARE
from adapters.training.order import SAMPLE_TOKENS, SAMPLED, CurvePoint, End, Sample, Scores, TrainSettings

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

    @property
    def kind(self) -> str:
        return "LoRA" if hasattr(self.settings.adapter, "r") else "prefix"


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
        table=table(report),
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
    base, adapter = report.base_scores, report.adapter_scores
    lines = [("Validation rows, perplexity of the text", base.text_perplexity, adapter.text_perplexity)]
    if base.perplexity != base.text_perplexity:
        lines.append(("The same with the end tokens", base.perplexity, adapter.perplexity))
    lines.append(("General text, perplexity", base.general_perplexity, adapter.general_perplexity))
    rows = [f"| {what} | {before:.2f} | {after:.2f} | {after / before:.2f} |" for what, before, after in lines]
    if base.exact_match is not None and adapter.exact_match is not None:
        rows.append(
            "| Validation prompts whose greedy completion (its first line) is exact "
            f"| {base.exact_match:.0%} | {adapter.exact_match:.0%} | |"
        )
    return "\n".join(["| | base | adapter | adapter / base |", "|---|---|---|---|", *rows])
