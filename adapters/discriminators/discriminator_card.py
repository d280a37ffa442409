"""The card of a discriminator; every figure in it is also in `metrics.json` beside it."""

import json
from pathlib import Path

from pydantic.dataclasses import dataclass

from adapters.adapter_files import METRICS_FILE, new_folder, write_owner
from adapters.base_model import EMBEDDED_ID, EMBEDDED_REPO, BaseModel
from adapters.discriminators.fit import Measured
from adapters.methods import STRICT, to_json
from adapters.pplm.discriminator import Discriminator, write_discriminator
from adapters.training.corpus import UNKNOWN


@dataclass(frozen=True, config=STRICT)
class DiscriminatorReport:
    """Everything a card says."""

    name: str
    base: str
    about: str
    licence: str
    command: str
    machine: str
    measured: Measured


def write_discriminator_folder(
    discriminator: Discriminator, base: BaseModel, report: DiscriminatorReport, folder: Path, owner: str | None = None
) -> None:
    """Write a discriminator's folder as a whole, in place of an earlier one."""
    with new_folder(folder) as made:
        write_discriminator(discriminator, base, made)
        (made / METRICS_FILE).write_text(json.dumps(to_json(report), indent=1, ensure_ascii=False) + "\n", "utf-8")
        (made / "README.md").write_text(discriminator_card(report), "utf-8")
        write_owner(made, owner)


def discriminator_card(report: DiscriminatorReport) -> str:
    """README.md of a discriminator."""
    parts = (front_matter(report), about(report), figures(report), confusion(report.measured), curve(report.measured))
    return "\n\n".join(parts) + "\n"


def front_matter(report: DiscriminatorReport) -> str:
    """Front matter, for the Hub."""
    return f"""---
base_model: {EMBEDDED_REPO if report.base == EMBEDDED_ID else report.base}
pipeline_tag: text-classification
license: {"unknown" if report.licence == UNKNOWN else "apache-2.0"}
language: en
tags:
- pplm
- steerboard
---"""


def about(report: DiscriminatorReport) -> str:
    """Introduction, data, and how to make it again."""
    measured = report.measured
    first = f"{report.name}:{measured.classes[-1]}"
    return f"""# {report.name}

A discriminator for `{report.base}`: a linear head on the mean of its last hidden states over all tokens of a text, to
steer towards a class with PPLM (`{first}`). Classes: {", ".join(f"`{name}`" for name in measured.classes)}.

- **Data**: {report.about}. Licence: {report.licence}.
- **Split**: {measured.training_rows:,} texts to train, {measured.held_out_rows:,} held out: a fifth of each class, by
  hash.
- **Training**: logistic regression on scaled features, C = {measured.strength:g} by the cross-entropy in 5 folds of the
  training texts; {measured.seconds / 60:.1f} minutes on {report.machine}, cached features not counted.
- **Make it again**: `{report.command}`"""


def figures(report: DiscriminatorReport) -> str:
    """Accuracy."""
    accuracy = report.measured.accuracy
    return f"""## Held-out texts

**{accuracy.share:.1%}** are predicted right (95 % Wilson interval {accuracy.low:.1%} to {accuracy.high:.1%}); the most
frequent class alone is {report.measured.largest_class:.1%} of them."""


def confusion(measured: Measured) -> str:
    """Confusion matrix."""
    names = [plain(name) for name in measured.classes]
    rows = [
        f"| **{name}** | {' | '.join(map(str, row))} |" for name, row in zip(names, measured.confusion, strict=True)
    ]
    head = [f"| is \\ predicted as | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "\n".join([*head, *rows])


def curve(measured: Measured) -> str:
    """Learning curve."""
    rows = [f"| {p.rows:,} | {p.share:.1%} | {p.low:.1%} to {p.high:.1%} |" for p in measured.curve]
    table = "\n".join(["| training texts | held-out accuracy | 95 % interval |", "|---|---|---|", *rows])
    return f"""## How much data was enough

{table}

From {measured.enough:,} texts on the accuracy lies within the interval of the discriminator trained on all."""


def plain(name: str) -> str:
    """Name of a class, escaped for a table."""
    return name.replace("\\", "\\\\").replace("|", "\\|")
