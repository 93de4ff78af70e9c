"""Labels never cover each other, at any size."""

import random
from itertools import combinations

import pytest

from utsearch.report.labels import Anchor, Box, Obstacle, box, leader, place


@pytest.mark.parametrize(("width", "height"), [(300, 320), (700, 420), (1040, 430)])
@pytest.mark.parametrize("seed", range(5))
def test_no_label_covers_another_or_leaves_the_plot(width: int, height: int, seed: int) -> None:
    rng = random.Random(seed)
    anchors = [Anchor(rng.gauss(width / 2, width / 9), rng.gauss(height / 2, 30), "catalogue-name") for _ in range(16)]
    offsets = place(anchors, [], width, height)
    boxes = [box(anchor, offset) for anchor, offset in zip(anchors, offsets, strict=True) if offset]
    assert len(boxes) >= 12
    assert all(found.within(width, height) for found in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_a_lone_label_is_near_its_point_and_needs_no_leader() -> None:
    (offset,) = place([Anchor(200, 200, "#7")], [], 400, 400)
    assert offset is not None
    assert offset.near
    assert offset.dy < 0


def test_labels_keep_off_points() -> None:
    wall = [Obstacle(Box(100 + 20 * i, 180, 110 + 20 * i, 190), 400) for i in range(10)]
    (offset,) = place([Anchor(200, 200, "lora-8")], wall, 400, 400)
    assert offset is not None
    assert not any(box(Anchor(200, 200, "lora-8"), offset).overlaps(part.box) for part in wall)


def test_a_crowded_label_goes_far_and_gets_a_leader_that_starts_beside_the_marker() -> None:
    anchor, crowd = Anchor(200, 200, "lora-8"), [Obstacle(Box(165, 165, 235, 235), 400)]
    (offset,) = place([anchor], crowd, 400, 400)
    assert offset is not None
    assert not offset.near
    assert all(abs(part.left - 200) + abs(part.top - 200) > 8 for part in leader(anchor, offset))


def test_where_nothing_is_free_a_label_is_left_out() -> None:
    anchors = [Anchor(20, 10, "name")] * 5
    assert place(anchors, [], 45, 20).count(None) >= 4
