"""One app for the tests of a module."""

import pytest

from demo.services import Services


@pytest.fixture(scope="module")
def services(shared_services: Services) -> Services:
    return shared_services
