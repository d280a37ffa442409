"""The commands in README and docs exist, with all their options."""

import argparse
import json
import re
import shlex
from collections.abc import Callable

import pytest

import adapters.__main__
import benchmarks.__main__
import demo.space
import leaderboard.__main__
from tests.source_tree import ROOT, read

PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "adapters": adapters.__main__.parser,
    "benchmarks": benchmarks.__main__.parser,
    "demo.space": demo.space.parser,
    "leaderboard": leaderboard.__main__.parser,
}
RECORD = "docs/decisions.md"  # says what was run then
LINE = re.compile(r"^    (python -m (?:adapters|benchmarks|demo\.space|leaderboard) .*)$", re.MULTILINE)
SHORT = re.compile(r"python -m (adapters|benchmarks|demo\.space|leaderboard) (--help|[a-z]+)")
PAGES = ["README.md", *sorted(f"docs/{file.name}" for file in (ROOT / "docs").glob("*.md"))]


def commands() -> list[str]:
    """Every command that stands on a line of its own, and those of the stored sweeps."""
    shown = [command for page in PAGES if page != RECORD for command in LINE.findall(read(page))]
    return list(dict.fromkeys([*shown, *json.loads(read("docs/sweep.json"))["commands"]]))


@pytest.mark.parametrize("command", commands())
def test_a_command_in_the_docs_is_understood(command: str) -> None:
    _, _, program, *arguments = shlex.split(command, comments=True)
    if arguments[:2] == ["train", "discriminator"]:
        arguments[:2] = ["train discriminator"]
    PARSERS[program]().parse_args(arguments)


def test_a_command_in_a_sentence_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    for page in PAGES:
        for program, command in SHORT.findall(read(page)) if page != RECORD else ():
            with pytest.raises(SystemExit) as ended:
                PARSERS[program]().parse_args([command, "--help"])
            assert ended.value.code == 0, (page, command, capsys.readouterr().err)
