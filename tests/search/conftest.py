"""Databases that the tests of searches share."""

from collections.abc import Iterator

import pytest
from postgres_server import Server, postgres


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One PostgreSQL server for all tests of a process; each test uses studies of its own."""
    with postgres(tmp_path_factory.mktemp("postgres") / "server") as running:
        yield running
