"""Everything that reads what strangers made refuses broken input with a UserError: 200 seeds each.

`benchmarks/fuzz.py` runs 100,000 each under limits of memory and time.
"""

import random
from contextlib import suppress
from pathlib import Path

import pytest
from fuzz_targets import MAKERS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utsearch.errors import UserError


@pytest.mark.filterwarnings("ignore")  # Pillow and scipy warn of what they find
@pytest.mark.parametrize("name", MAKERS)
def test_broken_input_is_read_or_refused_and_raises_nothing_else(name: str, tmp_path: Path) -> None:
    target = MAKERS[name].make(tmp_path)

    @given(st.integers(0, 2**32))
    @settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def check(seed: int) -> None:
        with suppress(UserError):
            target(random.Random(seed))

    check()
