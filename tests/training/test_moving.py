"""Where stored tensors lie, and that training is the same wherever that is."""

import pytest
import torch
from toy_problem import toy_problem

from utsearch.training.moving import SHARE, home, rows
from utsearch.training.source import Images, Material

GPU, HOST = torch.device("cuda:0"), torch.device("cpu")
ELSEWHERE = torch.device("cpu:0")  # torch holds it for another device than "cpu", so rows are moved here too


class Far(Material):
    """Images on another device than the one that computes, as far as can be told."""

    @property
    def device(self) -> torch.device:
        return ELSEWHERE


@pytest.mark.parametrize(("n_bytes", "where"), [(0, GPU), (int(1000 * SHARE), GPU), (int(1000 * SHARE) + 1, HOST)])
def test_a_gpu_gives_half_of_what_is_free(n_bytes: int, where: torch.device) -> None:
    assert home(n_bytes, GPU, free=1000) == where


def test_a_cpu_always_has_room() -> None:
    assert home(10**15, HOST) == HOST


@pytest.mark.parametrize("device", [HOST, ELSEWHERE])
def test_rows_are_those_of_indexing(device: torch.device) -> None:
    stored = torch.arange(60, dtype=torch.uint8).reshape(10, 2, 3)
    chosen = torch.tensor([7, 0, 7, 3])
    assert torch.equal(rows(stored, chosen, device), stored[chosen])


def test_images_from_the_host_are_those_of_the_device() -> None:
    problem = toy_problem()
    near = problem.material
    far = Far(near.bank, near.labels, near.val)
    assert far.device != near.device
    chosen = torch.tensor([3, 1, 2])
    first, second = (Images(problem.backbone, material) for material in (near, far))
    assert torch.equal(first.batch(1, chosen), second.batch(1, chosen))
    assert torch.equal(torch.cat([*first.val()]), torch.cat([*second.val()]))
    assert torch.equal(torch.cat([*first.val(chosen)]), torch.cat([*first.val()])[chosen])
