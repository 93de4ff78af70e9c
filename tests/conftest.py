"""Settings of all tests."""

from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("utsearch", deadline=None)  # a busy machine is no failure
settings.load_profile("utsearch")


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing is read from or left in the caches of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UTSEARCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
