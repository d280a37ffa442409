"""The files of the repository and what they import, for the tests of its laws."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = ("adapters", "leaderboard", "demo", "app")  # each imports only those before it


@cache
def tracked() -> tuple[str, ...]:
    """Paths of the files in the repository, without those deleted from the working tree."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the repository's files are unknown")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # another user may own the checkout
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(path for path in listing.split("\0") if path and (ROOT / path).is_file())


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


@cache
def parsed(path: str) -> ast.Module:
    return ast.parse(read(path))


def sources() -> list[str]:
    """Python files that are not tests."""
    return [path for path in tracked() if path.endswith(".py") and not path.startswith("tests/")]


def layer(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


def imports(path: str) -> Iterator[str]:
    """Every module that a file imports, anywhere in it, with the imported names: `a.b` and `a.b.name`."""
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: str) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(path)}


def dotted(path: str) -> str:
    """The module of a file: `a.b` for `a/b.py` and for `a/b/__init__.py`."""
    return path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


@cache
def module_graph() -> dict[str, set[str]]:
    """The modules of the source that each of them imports."""
    modules = {dotted(path): path for path in sources()}

    def known(name: str) -> str:
        return name if name in modules else name.rpartition(".")[0]

    return {
        module: {known(name) for name in imports(path) if known(name) in modules} - {module}
        for module, path in modules.items()
    }
