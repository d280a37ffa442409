"""A folder for the Hub: `custom_generate/` made of this package's own modules, with requirements and a card.

transformers copies `generate.py` and the modules beside it that are imported relatively, and no other file. So imports
of this package become relative, and a function that reads data files gets its value as its body.
"""

import ast
import re
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from pprint import pformat
from sys import stdlib_module_names

from adapters.methods import UserError
from adapters.pplm.bags import known_words, word_lists

PACKAGE = Path(__file__).parents[1]
ENTRY = "pplm.generate"
OWN_IMPORT = re.compile(r"^from adapters\.([\w.]+) import", re.MULTILINE)
IMPORT = re.compile(r"^(?:from|import) (\w+)[\w.]*(?: import| as|$)", re.MULTILINE)
CARD = Path(__file__).with_name("hub_card.md")
# Functions that read data files, and their values. Word lists of others have other licences and are left out.
VALUES: dict[str, Callable[[], object]] = {
    "word_lists": lambda: {name: words for name, words in word_lists().items() if "/" not in name},
    "known_words": known_words,
}


def write_hub_folder(folder: Path) -> None:
    """Write the folder. Raises UserError if it exists."""
    code = folder / "custom_generate"
    if code.exists():
        raise UserError(f"{code} exists already: delete it, or choose another folder.")
    code.mkdir(parents=True)
    sources = modules()
    for name, source in sources.items():
        (code / f"{plain(name)}.py").write_text(self_contained(source), encoding="utf-8")
    (code / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements(sources)), encoding="utf-8")
    (folder / "README.md").write_text(CARD.read_text(encoding="utf-8"), encoding="utf-8")


def modules() -> dict[str, str]:
    """Dotted path below this package -> source, of the entry and of every module that it needs."""
    sources: dict[str, str] = {}
    needed = [ENTRY]
    while needed:
        name = needed.pop()
        if name not in sources:
            sources[name] = (PACKAGE / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
            needed += OWN_IMPORT.findall(sources[name])
    return sources


def plain(path: str) -> str:
    """The name of a module in the written folder, which has no sub-folders."""
    return path.rpartition(".")[2]


def self_contained(source: str) -> str:
    """The source of a module that works without this package and its data files.

    >>> self_contained("from adapters.pplm.arithmetic import push")
    'from .arithmetic import push'
    """
    lines = source.split("\n")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.name in VALUES]
    for node in reversed(functions):  # from the end, so that line numbers stay true
        value = pformat(VALUES[node.name](), width=116, compact=True, sort_dicts=False)
        body = [f"    {line}" for line in f"return {value}".split("\n")]
        start = node.body[1].lineno - 1  # after the docstring
        lines[start : node.end_lineno] = body
    return OWN_IMPORT.sub(lambda found: f"from .{plain(found[1])} import", "\n".join(lines))


def requirements(sources: dict[str, str]) -> list[str]:
    """The libraries that the modules import, with their versions here as the least."""
    imported = {name for source in sources.values() for name in IMPORT.findall(source)}
    foreign = sorted(imported - stdlib_module_names - {PACKAGE.name})
    return [f"{name}>={version(name).partition('+')[0]}" for name in foreign]
