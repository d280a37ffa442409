"""What holds for the repository as a whole: its map, its layers, its pins."""

import ast
import re
import subprocess
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from sys import stdlib_module_names

import pytest
from huggingface_hub import SpaceCard

from adapters.base_model import EMBEDDED_ID

ROOT = Path(__file__).parents[1]
LAYERS = ("adapters", "leaderboard", "demo", "app")  # each imports only those before it
MAX_BYTES = 10_000_000
ENTRY = re.compile(r"^(\S+) +\S.*$", re.MULTILINE)
LINK = re.compile(r"\]\(([^):#]+)\)")
# Folders of one machine; the words are apart so that this line does not find itself.
MACHINE_PATH = re.compile("(?<![A-Za-z0-9_.:/])/(?:" + "|".join(["work", "root", "home", "Users", "tmp"]) + ")/")


def tracked() -> list[str]:
    """Paths of the files that belong to the repository, those deleted from the working tree left out."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: what belongs to the repository is not known")
    command = ["git", "-c", "safe.directory=*", "ls-files", "-z"]  # a checkout that another user owns will do
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listing.split("\0") if path and (ROOT / path).is_file()]


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def sources() -> list[str]:
    """Python files that are not tests."""
    return [path for path in tracked() if path.endswith(".py") and not path.startswith("tests/")]


def imports(path: str) -> Iterator[str]:
    """Every module that a file imports, wherever in it, with the names taken from it: `a.b` and `a.b.name`."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: str) -> set[str]:
    """The top-level packages that a file imports."""
    return {name.split(".")[0] for name in imports(path)}


def layer(path: str) -> str:
    return Path(path).parts[0].removesuffix(".py")


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
    named = ENTRY.findall(read("README.md").split("<!-- map -->")[1].split("<!-- /map -->")[0])
    folders = tuple(name for name in named if name.endswith("/"))
    files = set(named) - set(folders)
    paths = tracked()
    assert len(named) == len(files) + len(folders), "something is named twice"
    assert sorted(files - set(paths)) == [], "named but not there"
    assert [folder for folder in folders if not any(path.startswith(folder) for path in paths)] == []
    assert [path for path in paths if path not in files and not path.startswith(folders)] == [], "not named"
    assert [path for path in sources() if path not in files] == [], "a source file has a line of its own"


def test_each_layer_imports_only_those_before_it() -> None:
    for path in sources():
        allowed = LAYERS[: LAYERS.index(layer(path)) + 1] if layer(path) in LAYERS else LAYERS
        assert packages(path) & set(LAYERS) - {"app"} <= set(allowed), path
        assert "app" not in packages(path), path


def test_only_the_top_layers_import_gradio_and_demo_does_not_import_torch() -> None:
    assert [path for path in sources() if "gradio" in packages(path) and layer(path) not in ("demo", "app")] == []
    assert [path for path in sources() if "torch" in packages(path) and layer(path) == "demo"] == []


def test_only_the_app_reads_environment_variables() -> None:
    reads = ("os.environ", "os.getenv", "os.environb", "os.getenvb")
    for path in set(sources()) - {"app.py"}:
        used = {ast.unparse(node) for node in ast.walk(ast.parse(read(path))) if isinstance(node, ast.Attribute)}
        assert not (used | set(imports(path))) & set(reads), path


def test_every_variable_of_the_app_is_in_the_readme() -> None:
    variable = re.compile(r"STEERBOARD_[A-Z]+")
    assert set(variable.findall(read("README.md"))) == set(variable.findall(read("app.py")))


def test_the_space_runs_what_is_pinned() -> None:
    card = SpaceCard.load(ROOT / "README.md").data
    assert card.sdk == "gradio"
    assert card.sdk_version == pins("requirements.txt")["gradio"]
    assert card.python_version == "3.12"
    assert card.license == "apache-2.0"
    assert len(card.short_description) <= 60  # longer ones are refused by the Hub
    assert card.app_file in tracked()


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


def test_no_file_is_large() -> None:
    assert [path for path in tracked() if (ROOT / path).stat().st_size > MAX_BYTES] == []


def test_no_file_names_a_folder_of_one_machine() -> None:
    text = [path for path in tracked() if Path(path).suffix not in (".safetensors", ".png", ".jsonl", ".svg", ".ico")]
    assert {path: MACHINE_PATH.findall(read(path)) for path in text if MACHINE_PATH.search(read(path))} == {}
