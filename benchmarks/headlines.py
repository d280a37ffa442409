"""Training rows for the adapter `headline`: Debian's package descriptions, each with its one-line summary.

    /usr/lib/apt/apt-helper cat-file /var/lib/apt/lists/*_bookworm_main_i18n_Translation-en* |
        python -m benchmarks headlines headline.jsonl headline-test.jsonl

writes rows of `prompt` and `completion` for training, and rows of `prompt` and `reference` for the leaderboard. The
descriptions have the licences of their packages, so the rows are not part of this project.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from adapters.methods import UserError
from adapters.training.corpus import hashed_share

ROWS = 3200  # for training and validation
TEST_ROWS = 120
WORDS = range(25, 91)  # in a text
SUMMARY_WORDS = range(4, 13)
SAME = 4  # equal first words of texts, or last words of summaries, make a family; one of each is used
ONE_OF_MANY = re.compile(
    r"^(lib|r-|python3?-|ruby-|node-|golang-|elpa-|php-)|-(dev|dbg|doc|data|common|all|utils|bin|perl|plugins?)$"
)


class Description(NamedTuple):
    """Name, summary and first paragraph of a package's description."""

    package: str
    summary: str
    text: str


def descriptions(index: str) -> Iterator[Description]:
    """The descriptions in a Translation-en index, without missing texts and lists."""
    for block in index.split("\n\n"):
        head, found, body = block.partition("\nDescription-en: ")
        summary, _, rest = body.partition("\n")
        paragraph = rest.split("\n .")[0].split("\n")
        if found and rest and not any(line.startswith("  ") for line in paragraph):
            name = re.search(r"^Package: (\S+)", head, re.MULTILINE)
            yield Description(name[1] if name else "", summary.strip(), " ".join(" ".join(paragraph).split()))


def chosen(found: Iterable[Description]) -> list[Description]:
    """The usable descriptions, one of each family, in an order that depends on the texts only."""
    families: set[tuple[str, ...]] = set()
    kept = []
    for description in sorted(filter(usable, found), key=lambda each: hashed_share(each.text)):
        family = {tuple(words(description.text)[:SAME]), tuple(words(description.summary)[-SAME:])}
        if not family & families:
            kept.append(description)
        families |= family
    return kept


def usable(description: Description) -> bool:
    """Whether it describes a whole program, in a fitting length, without addresses and asides."""
    return (
        not ONE_OF_MANY.search(description.package)
        and len(description.text.split()) in WORDS
        and len(description.summary.split()) in SUMMARY_WORDS
        and not re.search(r"\(| - ", description.summary)
        and "://" not in description.text
        and description.text.endswith(".")
    )


def words(text: str) -> list[str]:
    """The words of a text, in lower case."""
    return re.findall(r"\w+", text.lower())


def prompt(text: str) -> str:
    """The prompt that the summary continues."""
    return f"{text}\nTL;DR:"


def capital(summary: str) -> str:
    """The summary with a capital first letter, unless its first word has other characters."""
    first = summary.split(" ")[0]
    return summary[0].upper() + summary[1:] if first.isalpha() else summary


def write_rows(index: str, rows: Path, test: Path) -> tuple[int, int]:
    """Write both files; return their numbers of rows. Raises UserError if the index is too small."""
    found = chosen(descriptions(index))
    if len(found) <= TEST_ROWS:
        raise UserError(f"{len(found)} descriptions fit: give Debian's whole Translation-en index on standard input.")
    asked, trained = found[:TEST_ROWS], found[TEST_ROWS : TEST_ROWS + ROWS]
    lines = [{"prompt": prompt(each.text), "completion": f" {capital(each.summary)}"} for each in trained]
    rows.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    lines = [{"prompt": prompt(each.text), "reference": capital(each.summary)} for each in asked]
    test.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return len(trained), len(asked)


def add_options(command: argparse.ArgumentParser) -> None:
    """Add the two files to write; the index is read from standard input."""
    command.add_argument("rows", type=Path, help="the .jsonl file to write training rows to")
    command.add_argument("test", type=Path, help="the .jsonl file to write test prompts with references to")


def run(options: argparse.Namespace, _: str) -> int:
    """Read an index from standard input and write both files. Raises UserError or OSError."""
    try:
        trained, asked = write_rows(sys.stdin.read(), options.rows, options.test)
    except UnicodeDecodeError as error:
        raise UserError("Standard input is not UTF-8 text: give Debian's Translation-en index.") from error
    print(f"{trained} rows to train on, {asked} to test on", file=sys.stderr)
    return 0
