"""The words on the page that several tabs share."""

import re
import tomllib
from collections.abc import Callable
from datetime import datetime
from html import escape
from pathlib import Path

from adapters.methods import Method, Sampling
from leaderboard.output.looks import kinds as kinds
from leaderboard.output.looks import look
from leaderboard.output.looks import title as title
from leaderboard.store.backup import Backup

TABLES = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
SAFETY = TABLES["safety"]  # what a restart of a Space leaves of links
PROSE = TABLES["prose"]  # by tab
PHASES: dict[str, str] = PROSE["common"]["PHASES"]
TRAINED_ON: dict[str, str] = PROSE["common"]["TRAINED_ON"]
DOES: dict[str, str] = PROSE["common"]["DOES"]
USES: dict[str, str] = PROSE["common"]["USES"]
FINISHED = PROSE["common"]["FINISHED"]
PLAIN, CHAT = "Continue text", "Answer as chat"
LINK_TITLE = "Nothing at this link"


def words_of(tab: str) -> Callable[[str], str]:
    """Names in a tab's table of words.toml -> their texts: the `__getattr__` of a module of words."""
    table: dict[str, str] = PROSE[tab]

    def find(name: str) -> str:
        if name not in table:
            raise AttributeError(f"words.toml has no {name} in [prose.{tab}]")
        return table[name]

    return find


__getattr__: Callable[[str], str] = words_of("common")


def base_title(id: str) -> str:
    """The name of a base model: its folder's or repository's, without the suffixes of its file.

    >>> base_title("SmolLM2-135M-Instruct-Q4_1"), base_title("org/gpt2")
    ('SmolLM2 135M', 'gpt2')
    """
    name = id.rstrip("/").rpartition("/")[2]
    return name.partition("-Instruct")[0].replace("-", " ")


def can_xray(method: Method) -> bool:
    """Whether a gradient made its texts, step by step."""
    return "pplm" in kinds(method)


def origin(method: Method) -> list[str]:
    """What sets a row apart that is no method of its own: finished texts, or other seeds."""
    return [FINISHED] if method.texts is not None else [f"seed + {method.seed_offset}"] if method.seed_offset else []


def settings(method: Method) -> str:
    """A composition with all its settings."""
    parts = [f"{name} {value}" for name, value in look(method).settings]
    return ", ".join([title(method), *origin(method), *parts])


def sampling_line(sampling: Sampling, seed: int, chat: bool) -> str:
    parts = ["greedy" if sampling.temperature == 0 else f"temperature {sampling.temperature:g}"]
    if sampling.top_k:
        parts.append(f"top-k {sampling.top_k}")
    if sampling.top_p < 1:
        parts.append(f"top-p {sampling.top_p:g}")
    if sampling.repetition_penalty > 1:
        parts.append(f"repetition penalty {sampling.repetition_penalty:g}")
    parts += [f"{sampling.max_new_tokens} tokens", f"seed {seed}", (CHAT if chat else PLAIN).lower()]
    return " · ".join(parts)


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 token", "2 tokens"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def quote(piece: str) -> str:
    """A piece of text with visible blanks and line ends."""
    return f"“{piece.translate({10: '⏎', 9: '⇥'})}”"


def links_html(repository: str, space: str | None) -> str:
    """Where to read more: the papers of the methods, the base model if it is on the Hub, the code of a Space."""
    papers = {"LoRA": "2106.09685", "Prefix tuning": "2101.00190", "PPLM": "1912.02164"}
    papers |= {"DExperts": "2105.03023", "Guidance": "2306.17806"}
    links = {name: f"arxiv.org/abs/{number}" for name, number in papers.items()}
    if re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        links[base_title(repository)] = f"huggingface.co/{repository}"
    if space is not None:
        files = f"huggingface.co/spaces/{space}"
        links |= {"Code": f"{files}/tree/main", "Guide": f"{files}/blob/main/README.md"}
    parts = [
        f'<a href="https://{url}" target="_blank" rel="noopener">{escape(name)}</a>' for name, url in links.items()
    ]
    return f"<p>Read more: {' · '.join(parts)}</p>"


def percent(share: float) -> str:
    """A share of 1 or a probability: 12.3 %, 0.045 %, 3.1e-07 %."""
    return f"{100 * share:.1f}\u00a0%" if share >= 0.1 else f"{100 * share:.2g}\u00a0%"


def in_line(ahead: int, seconds: float) -> str:
    place = "You are next in line" if not ahead else f"Number {ahead + 1} in line"
    return f"{place}: about {duration(seconds)}."


def zero_error(message: str) -> str | None:
    """What an error of ZeroGPU means to a person, with the seconds that it names; None for a fault of this app."""
    line = next((line for part, line in TABLES["zero"].items() if part in message), None)
    seconds = re.search(r"\(\d+s requested vs\. \d+s left\)", message)
    return line and " ".join([line, *([seconds[0]] if seconds else [])])


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def moment(time: datetime) -> str:
    """A date and time of day, in UTC."""
    return f"{time:%Y-%m-%d %H:%M}"


def safety(backup: Backup | None, lasts: bool) -> str:
    """How safe links are from a restart, in a sentence; empty where they last without a backup."""
    if backup is None:
        return "" if lasts else str(SAFETY["lost"])
    age = backup.age()
    said = "fails" if backup.failed else "never" if age is None else "since"
    return str(SAFETY[said].format(age=duration(age or 0)))


def missing_html(error: Exception) -> str:
    return f"<h2>{LINK_TITLE}</h2><p>{escape(str(error))}</p><p><a href='?'>Back to Steerboard</a></p>"


def replayed(equal: int, all: int) -> str:
    if equal == all:
        return f"✓ Re-written just now: {count(all, 'text')}, identical."
    return f"✗ Re-written just now: {all - equal} of {count(all, 'text')} differ."
