"""Known methods at the size of a new design."""

import pytest

from utsearch.backbones import load_backbone
from utsearch.tuning import count, known_designs, peers


@pytest.mark.parametrize("limit", [0, 500, 5_000, 60_000])
def test_peers_fit_and_one_rank_more_would_not(limit: int) -> None:
    backbone = load_backbone(pretrained=False)
    found = peers(backbone, limit)
    assert "linear" in found
    for name, design in found.items():
        assert count(design, backbone) <= limit
        ranks = {slot.rank for slot in design.slots if slot.rank}
        if ranks:
            (rank,) = ranks
            assert name.endswith(f"-{rank}")
            larger = str(design).replace(f"({rank}", f"({rank + 1}")
            assert count(larger, backbone) > limit


def test_every_family_is_there_once_when_there_is_room() -> None:
    backbone = load_backbone(pretrained=False)
    families = {one.name.rstrip("0123456789").rstrip("-") for one in known_designs()}
    assert {name.rstrip("0123456789").rstrip("-") for name in peers(backbone, 100_000)} == families
