"""The real services around the tiny Llama, which answers in milliseconds."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest
from gradio.context import LocalContext
from starlette.requests import Request

from adapters.base_model import BaseModel
from adapters.decoding.visitors import DISK, TOKENS, TRAININGS, UPLOADS, XRAYS, Allowance, Visitor
from app import Settings, services_of
from demo.cookies import asking
from demo.services import Services
from leaderboard.store.database import Database
from tests.adapters.conftest import make_bench
from tests.tiny import vowel_tokenizer


@pytest.fixture(scope="session")
def vowel_llama(tiny_llama: BaseModel) -> BaseModel:
    """The tiny Llama with tokens for the words a, e and o, to steer by, and a chat template."""
    tokenizer = vowel_tokenizer()
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return replace(tiny_llama, tokenizer=tokenizer)


@pytest.fixture(scope="session")
def adapters(vowel_llama: BaseModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The adapters of `make_bench`: verse, space, gain and burst (LoRA), facts (prefix)."""
    folder = tmp_path_factory.mktemp("adapters")
    make_bench(vowel_llama, folder)
    return folder


Build = Callable[[Path], Services]


@pytest.fixture(scope="session")
def build(vowel_llama: BaseModel, adapters: Path) -> Build:
    """Services of an app with those adapters, around a home of their own."""

    def build(home: Path) -> Services:
        shutil.copytree(adapters, home / "adapters")
        database = Database(f"sqlite:///{home / 'steerboard.db'}")
        return services_of(vowel_llama, database, Settings(None, home, "127.0.0.1", 0))

    return build


@pytest.fixture
def services(build: Build, tmp_path: Path) -> Services:
    """Services for one test, which may change them."""
    return build(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_services(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Services for the tests of a module."""
    return build(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="session")
def lasting(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Services:
    """Services for all tests, which add at most runs and comparisons to them."""
    return build(tmp_path_factory.mktemp("lasting") / "home")


UsedUp = Callable[[Services], Services]


@pytest.fixture
def used_up() -> Iterator[UsedUp]:
    """Makes services in which whoever asks has used up the hour; for everybody else there is no limit."""
    request = Request({"type": "http", "headers": []})
    request.state.visitor = Visitor("me", "1.2.3.0/24", True)

    def used_up(services: Services) -> Services:
        allowance = Allowance(dict.fromkeys((DISK, TOKENS, TRAININGS, UPLOADS, XRAYS), 1), asking)
        for what in allowance.hourly:
            with allowance.spend(what):
                pass
        return services._replace(allowance=allowance)

    LocalContext.request.set(gr.Request(request))
    yield used_up
    LocalContext.request.set(None)
