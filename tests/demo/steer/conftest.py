"""Services with a discriminator `tone` of this browser's own, trained once for a module."""

from pathlib import Path

import pytest

from demo.parts.links import owner_of
from demo.services import Services
from tests.adapters.discriminators.test_trainer import rows
from tests.demo.conftest import Build

SECRET = "0" * 32
ROWS = tuple(rows())


@pytest.fixture(scope="module")
def services(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Services:
    services = build(Path(tmp_path_factory.mktemp("toned")) / "home")
    for _ in services.discriminator_trainer.train("tone", ROWS, owner_of(SECRET)):
        pass
    return services
