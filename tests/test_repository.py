"""The repository as a whole: its map, its pins, its links."""

import dataclasses
import re
from importlib.metadata import packages_distributions, version
from pathlib import Path
from sys import stdlib_module_names

import pytest

from adapters.base_model import EMBEDDED_ID
from app import Settings
from demo.space import faults
from tests.source_tree import ROOT, layer, packages, read, sources, tracked

MAP = "docs/architecture.md"
ENTRY = re.compile(r"^(\S+) +\S.*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^):#]+)\)")
# Folders of one machine; the names stand apart so that this line does not match itself.
MACHINE_PATH = re.compile("(?<![A-Za-z0-9_.:/])/(?:" + "|".join(["work", "root", "home", "Users", "tmp"]) + ")/")


def pins(path: str) -> dict[str, str]:
    """Name and version of each requirement, files included by `-r` too."""
    found: dict[str, str] = {}
    for line in read(path).splitlines():
        if line.startswith("-r "):
            found |= pins(line.removeprefix("-r "))
        elif line and not line.startswith("#"):
            assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*", line), f"not an exact requirement: {line}"
            name, _, pinned = line.partition("==")
            found[name] = pinned
    return found


def test_the_map_names_every_file_and_nothing_else() -> None:
    named = ENTRY.findall(read(MAP).split("<!-- map -->")[1].split("<!-- /map -->")[0])
    folders = tuple(name for name in named if name.endswith("/"))
    files = set(named) - set(folders)
    paths = tracked()
    assert len(named) == len(files) + len(folders), "something is named twice"
    assert sorted(files - set(paths)) == [], "named but not there"
    assert [folder for folder in folders if not any(path.startswith(folder) for path in paths)] == []
    assert [path for path in paths if path not in files and not path.startswith(folders)] == [], "not named"
    assert [path for path in sources() if path not in files] == [], "a source file has a line of its own"


def test_every_variable_of_the_app_is_in_the_readme() -> None:
    variable = re.compile(r"STEERBOARD_[A-Z_]+[A-Z]")
    fields = {f"STEERBOARD_{each.name.upper()}" for each in dataclasses.fields(Settings)} - {
        "STEERBOARD_TOKEN",
        "STEERBOARD_SPACE",
        "STEERBOARD_ZERO_GPU",
    }
    assert set(variable.findall(read("README.md"))) == fields
    assert set(variable.findall(read("docs/space.md"))) - {"STEERBOARD_MAX", "STEERBOARD_HOURLY"} <= fields
    assert set(variable.findall(read("app.py"))) - {"STEERBOARD_"} <= fields


def test_it_can_be_pushed_to_a_space() -> None:
    tracked()  # skips where there is no checkout
    assert faults(ROOT) == []


def test_what_is_installed_is_what_is_pinned() -> None:
    wanted = pins("requirements-dev.txt")
    assert {name: version(name).partition("+")[0] for name in wanted} == wanted


@pytest.mark.parametrize(("requirements", "tests"), [("requirements.txt", False), ("requirements-dev.txt", True)])
def test_every_imported_library_is_pinned(requirements: str, tests: bool) -> None:
    distributions = packages_distributions()
    own = {layer(path) for path in tracked() if path.endswith(".py")}
    paths = [path for path in tracked() if path.endswith(".py") and (tests or path in sources())]
    foreign = set().union(*map(packages, paths)) - own - stdlib_module_names
    pinned = set(pins(requirements)) | set(pins("requirements-ray.txt"))  # for one module that may be missing
    of = {package: {name.lower().replace("_", "-") for name in distributions.get(package, [])} for package in foreign}
    assert [package for package, names in of.items() if not names & pinned] == []


def test_make_fetches_the_model_that_the_code_loads() -> None:
    assert f"/{EMBEDDED_ID}\n" in read("Makefile")


def test_links_lead_somewhere() -> None:
    for path in tracked():
        if path.endswith(".md"):
            for target in LINK.findall(read(path)):
                assert (ROOT / path).parent.joinpath(target).exists(), f"{path} links to {target}"


def test_no_file_names_a_folder_of_one_machine() -> None:
    not_read = (".db", ".ico", ".jsonl", ".png", ".safetensors", ".svg")
    text = [path for path in tracked() if Path(path).suffix not in not_read]
    assert {path: MACHINE_PATH.findall(read(path)) for path in text if MACHINE_PATH.search(read(path))} == {}
