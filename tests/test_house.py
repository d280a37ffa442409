"""The structure of the source: layers, folders, names and sizes."""

import ast
import re
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from tests.source_tree import LAYERS, imports, layer, module_graph, packages, parsed, read, sources, tracked

PARTS = ("__init__", "__main__", "tab", "form", "run", "words", "settings", "figures")  # a file of each folder
MAX_FILES, MAX_LEVELS, MAX_README = 14, 8, 150
MAX_LINES = 21_966  # a ratchet: lower it with every deletion; the budget is 20,000 (see docs/decisions.md)
layers_with_folders = pytest.mark.parametrize("name", LAYERS[:3])
Node = TypeVar("Node", bound=Hashable)


def within(name: str) -> dict[str, set[str]]:
    """The part of the module graph that lies in one layer."""
    return {
        module: {other for other in found if layer_of(other) == name}
        for module, found in module_graph().items()
        if layer_of(module) == name
    }


def layer_of(module: str) -> str:
    return module.split(".")[0]


def folder_of(module: str) -> str:
    """The folder directly below the layer; a file directly in the layer stands for itself."""
    return ".".join(module.split(".")[:2])


def circles(graph: Mapping[Node, set[Node]]) -> list[tuple[Node, Node]]:
    """The edges that lie on a circle."""
    reached = {node: reachable(graph, node) for node in graph}
    return [(node, other) for node, others in graph.items() for other in others if node in reached.get(other, ())]


def reachable(graph: Mapping[Node, set[Node]], start: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [start]
    while waiting:
        new = graph.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def longest(graph: Mapping[Node, set[Node]], start: Node, above: tuple[Node, ...] = ()) -> tuple[Node, ...]:
    """The longest chain of imports from a module on."""
    chains = [longest(graph, other, (*above, start)) for other in graph.get(start, ()) if other not in (*above, start)]
    return (start, *max(chains, key=len, default=()))


def test_the_computations_on_a_graph() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": {"d"}, "d": set(), "e": {"f"}, "f": {"e"}}
    assert longest(graph, "a") == ("a", "b", "c", "d")
    assert reachable(graph, "b") == {"c", "d"}
    assert circles(graph) == [("e", "f"), ("f", "e")]


def test_each_layer_imports_only_those_before_it() -> None:
    for path in sources():
        allowed = LAYERS[: LAYERS.index(layer(path)) + 1] if layer(path) in LAYERS else LAYERS
        assert packages(path) & set(LAYERS) - {"app"} <= set(allowed), path
        assert "app" not in packages(path) or layer(path) == "benchmarks", path


def test_nobody_imports_the_benchmarks() -> None:
    assert [p for p in sources() if "benchmarks" in packages(p) and layer(p) != "benchmarks"] == []


def test_nothing_imports_the_tests() -> None:
    assert [path for path in sources() if "tests" in packages(path)] == []


def test_only_the_top_layers_import_gradio_and_demo_does_not_import_torch() -> None:
    assert [path for path in sources() if "gradio" in packages(path) and layer(path) not in ("demo", "app")] == []
    assert [path for path in sources() if "torch" in packages(path) and layer(path) == "demo"] == []


def test_only_the_app_reads_environment_variables() -> None:
    reads = ("os.environ", "os.getenv", "os.environb", "os.getenvb")
    for path in set(sources()) - {"app.py"}:
        used = {ast.unparse(node) for node in ast.walk(parsed(path)) if isinstance(node, ast.Attribute)}
        assert not (used | set(imports(path))) & set(reads), path


@layers_with_folders
def test_folders_import_one_way(name: str) -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    why: dict[tuple[str, str], list[str]] = defaultdict(list)
    for module, others in within(name).items():
        for other in others:
            if folder_of(module) != folder_of(other):
                graph[folder_of(module)].add(folder_of(other))
                why[folder_of(module), folder_of(other)].append(f"{module} imports {other}")
    assert {edge: why[edge] for edge in circles(graph)} == {}


@layers_with_folders
def test_files_import_one_way(name: str) -> None:
    assert circles(within(name)) == []


@layers_with_folders
def test_the_longest_chain_of_imports_is_short(name: str) -> None:
    graph = within(name)
    chain = max((longest(graph, module) for module in graph), key=len)
    assert len(chain) <= MAX_LEVELS, " > ".join(chain)


def test_no_tab_imports_another() -> None:
    tabs = {str(Path(path).parent).replace("/", ".") for path in sources() if re.fullmatch(r"demo/\w+/tab\.py", path)}
    allowed = {("demo.compare", "demo.xray")}  # it shows the X-ray below its panes
    found = [
        f"{module} imports {other}"
        for module, others in within("demo").items()
        for other in others
        if {folder_of(module), folder_of(other)} <= tabs
        and folder_of(module) != folder_of(other)
        and (folder_of(module), folder_of(other)) not in allowed
    ]
    assert len(tabs) > 4
    assert found == []


@layers_with_folders
def test_no_class_name_twice_in_a_layer(name: str) -> None:
    named: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        if layer(path) == name:
            for node in ast.walk(parsed(path)):
                if isinstance(node, ast.ClassDef):
                    named[node.name].append(path)
    assert {name: paths for name, paths in named.items() if len(paths) > 1} == {}


def test_a_file_name_twice_only_where_it_plays_the_same_part() -> None:
    named: dict[str, list[str]] = defaultdict(list)
    for path in sources():
        if Path(path).stem not in PARTS:
            named[Path(path).name].append(path)
    assert {name: paths for name, paths in named.items() if len(paths) > 1} == {}


def test_no_folder_has_too_many_files() -> None:
    folders = ("adapters/", "leaderboard/", "demo/", "benchmarks/")
    counts = Counter(str(Path(path).parent) for path in tracked() if path.startswith(folders))
    assert {folder: number for folder, number in counts.items() if number > MAX_FILES} == {}


def test_the_source_is_small() -> None:
    lines = Counter({path: read(path).count("\n") for path in sources() if layer(path) in LAYERS})
    assert lines.total() <= MAX_LINES, f"the largest files: {lines.most_common(10)}"


def test_the_readme_is_short() -> None:
    text = read("README.md").split("\n---\n", 1)[1]  # the front matter belongs to the Space
    assert text.strip().count("\n") + 1 <= MAX_README
