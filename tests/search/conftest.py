"""Databases that the tests of searches share."""

from collections.abc import Iterator

import pytest
from postgres_server import Server, postgres


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One PostgreSQL server for all tests of a process; each test uses studies of its own."""
    with postgres() as running:
        yield running
