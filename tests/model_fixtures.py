"""The models of the tests, and the device they are on; needs neither a browser nor xdist.

On a machine with a GPU and little else the laws run with these fixtures and the options that
benchmarks/gpu/gpu_parts.py gives to pytest.
"""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

import pytest

from tests.serving import home, model_folder

if TYPE_CHECKING:
    from adapters.base_model import BaseModel

NO_MODEL = "The embedded model is not there: run `make model`."


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--models-on", default="cpu", help="where the tiny models are: cpu or cuda")


def missing(reason: str) -> NoReturn:
    """A test that cannot run here: skipped with the reason, and a failure where CI=true."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch

        if not torch.cuda.is_available():
            pytest.skip("there is no GPU here")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny products are many times faster on one thread than on two that wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_llama(pytestconfig: pytest.Config) -> "BaseModel":
    """A random Llama: see tests/tiny.py."""
    from tests import tiny

    return tiny.on(pytestconfig.getoption("--models-on"), tiny.llama())


@pytest.fixture(scope="session")
def tiny_gpt2(pytestconfig: pytest.Config) -> "BaseModel":
    """A random GPT-2: see tests/tiny.py."""
    from tests import tiny

    return tiny.on(pytestconfig.getoption("--models-on"), tiny.gpt2())


@pytest.fixture(params=["llama", "gpt2"])
def tiny_base(request: pytest.FixtureRequest) -> "BaseModel":
    """Each tiny architecture in turn."""
    base: BaseModel = request.getfixturevalue(f"tiny_{request.param}")
    return base


@pytest.fixture(scope="session")
def embedded() -> "BaseModel":
    """The embedded model itself."""
    from adapters.base_model import load_base_model

    if not model_folder().is_dir():
        missing(NO_MODEL)
    return load_base_model(None, home())
