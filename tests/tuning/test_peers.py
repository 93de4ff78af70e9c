"""Known methods at the size of a new design."""

import pytest

from utsearch.backbones import load_backbone
from utsearch.design import Design
from utsearch.tuning import count, fits, known_designs, peers


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
            larger = [Design.parse(str(design).replace(f"({rank}", f"({rank + more}")) for more in (1, 2)]
            assert all(count(one, backbone) > limit for one in larger if fits(one, backbone))
            assert any(fits(one, backbone) for one in larger)


def test_every_family_is_there_once_when_there_is_room() -> None:
    backbone = load_backbone(pretrained=False)
    families = {one.name.rstrip("0123456789").rstrip("-") for one in known_designs()}
    assert {name.rstrip("0123456789").rstrip("-") for name in peers(backbone, 100_000)} == families
