"""Fixtures that many tests share, and what each test needs: marks, groups of xdist, and quiet for timed tests.

Imports of torch stay inside the fixtures: xdist's controlling process runs no test and starts seconds earlier.
"""

import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Playwright, expect
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from tests.model_fixtures import (  # noqa: F401  # fixtures and a hook are found by their names here
    NO_MODEL,
    embedded,
    missing,
    one_thread,
    pytest_runtest_setup,
    tiny_base,
    tiny_gpt2,
    tiny_llama,
)
from tests.model_fixtures import pytest_addoption as add_device
from tests.serving import BROWSER_OPTIONS, Server, browser_path, model_folder, new_home

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NEEDS = {  # mark: fixtures
    "browser": {"page", "browser", "context"},
    "embedded": {"embedded", "server"},
    "slow": {"trainer"},
}
SLOW_FILES = {  # minutes of whole texts and of processes
    f"test_{name}.py"
    for name in ("laws", "runner", "queue", "generate", "method_costs", "cluster", "portable", "trace")
}
APP = "app"  # the group of tests that share the running app
APP_FILES = {f"test_{name}_browser.py" for name in ("app", "steer", "leaderboard", "inside")}
FIRST = (APP, "test_queue.py", "test_train_browser.py", "test_laws.py", "test_embedded.py")  # groups that take long
GATE, ROOM = Path(__file__), Path(__file__).with_name("__init__.py")  # files to lock; nothing is written to them
expect.set_options(timeout=30_000)  # ms; a busy machine takes its time


def pytest_addoption(parser: pytest.Parser) -> None:
    add_device(parser)
    parser.addoption("--write-looks", action="store_true", help="write the pictures of screens, see tests/looks.py")
    parser.addoption("--visits", default=240, help="how many visits the soak test makes")


def pytest_configure(config: pytest.Config) -> None:
    from tests.looks import WRITES

    WRITES.on = config.getoption("--write-looks")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by its needs; put the groups that take long first."""
    for item in items:
        fixtures = set(getattr(item, "fixturenames", ()))
        for mark, needed in NEEDS.items():
            if fixtures & needed:
                item.add_marker(mark)
        if group(item.nodeid) in SLOW_FILES:
            item.add_marker("slow")
        if "postgresql" in getattr(getattr(item, "callspec", None), "params", {}).values():
            item.add_marker("postgres")
    items.sort(key=lambda item: FIRST.index(group(item.nodeid)) if group(item.nodeid) in FIRST else len(FIRST))


def group(nodeid: str) -> str:
    """Tests of a group run on one worker: those of the running app, and those of any other file."""
    name = nodeid.partition("::")[0].rpartition("/")[2]
    return APP if name in APP_FILES else name


class Groups(LoadScopeScheduling):
    """Gives whole groups to workers. (xdist's own `loadgroup` does not see the node ids of pytest 9.2.)"""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Groups(config, log)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a timed test, its fixtures included, while no other worker runs one."""
    alone = item.get_closest_marker("timed") is not None
    with GATE.open() as gate, ROOM.open() as room:
        fcntl.flock(gate, fcntl.LOCK_EX)  # who waits to be alone holds the gate, and nobody new enters
        fcntl.flock(room, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        fcntl.flock(gate, fcntl.LOCK_UN)
        try:
            return (yield)
        finally:
            fcntl.flock(room, fcntl.LOCK_UN)  # a child that was forked meanwhile has the same lock


@pytest.fixture(scope="session")
def embedded_tokenizer() -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    if not model_folder().is_dir():
        missing(NO_MODEL)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(model_folder())
    return tokenizer


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The running app with the embedded model, a home folder and a database of its own."""
    if not model_folder().is_dir():
        missing(NO_MODEL)
    server = Server(new_home(tmp_path_factory.mktemp("home")))
    yield server
    server.stop()


@pytest.fixture
def address(server: Server) -> str:
    """Where the app with the embedded model is."""
    return server.address


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], playwright: Playwright) -> dict[str, Any]:
    """The system's browser, or Playwright's own."""
    path = browser_path(playwright)
    if path is None:
        missing("There is no browser: run `make browser`.")
    return browser_type_launch_args | {"executable_path": path, "args": BROWSER_OPTIONS}
