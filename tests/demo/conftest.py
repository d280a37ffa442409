"""The real services around the tiny Llama, which answers in milliseconds."""

from pathlib import Path

import pytest

from adapters.base_model import BaseModel
from app import Settings, services_of
from demo.services import Services
from leaderboard.store.database import Database
from tests.adapters.conftest import make_bench


@pytest.fixture
def services(tiny_llama: BaseModel, tmp_path: Path) -> Services:
    """Services of an app with the adapters of `make_bench`: verse, space, gain and burst (LoRA), facts (prefix)."""
    home = tmp_path / "home"
    (home / "adapters").mkdir(parents=True)
    make_bench(tiny_llama, home / "adapters")
    return services_of(
        tiny_llama, Database(f"sqlite:///{home / 'steerboard.db'}"), Settings(None, home, "127.0.0.1", 0)
    )
