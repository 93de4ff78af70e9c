"""The synthetic sets: deterministic, balanced, in separate streams, and not to be told apart by colour."""

import pytest
import torch

from utsearch.data import open_dataset, procedural


@pytest.mark.parametrize("name", procedural.NAMES)
def test_rendering_is_deterministic_and_a_prefix_of_more(name: str) -> None:
    few, few_labels = procedural.render(name, "train", n=40)
    more, labels = procedural.render(name, "train", n=90)
    assert torch.equal(few, more[:40])
    assert torch.equal(few_labels, labels[:40])
    assert few.shape == (40, 3, 64, 64)
    assert few.dtype == torch.uint8


@pytest.mark.parametrize("name", procedural.NAMES)
def test_splits_and_seeds_are_separate_streams(name: str) -> None:
    draws = [procedural.render(name, split, n=40)[0] for split in ("train", "val", "test")]
    draws.append(procedural.render(name, "train", n=40, seed=1)[0])
    rows = torch.cat(draws).flatten(1)
    assert len(rows.unique(dim=0)) == 160


@pytest.mark.parametrize("name", procedural.NAMES)
def test_sizes_and_balance(name: str) -> None:
    sizes = procedural.SIZES[name]
    assert sizes["val"] >= 2000
    classes = procedural.class_names(name)
    assert 30 <= len(classes) == len(set(classes)) <= 60
    for size in sizes.values():
        counts = (torch.arange(size) % len(classes)).bincount()
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("name", procedural.NAMES)
def test_classes_differ_in_at_least_two_parts(name: str) -> None:
    table = torch.from_numpy(procedural.GENERA[name].classes())
    different = (table[:, None] != table[None]).sum(-1) + 9 * torch.eye(len(table), dtype=torch.long)
    assert different.min() >= 2
    for column, values in zip(table.T, procedural.GENERA[name].traits.values(), strict=True):
        assert set(column.tolist()) == set(range(len(values)))


@pytest.mark.parametrize("name", procedural.NAMES)
def test_colour_alone_says_next_to_nothing(name: str) -> None:
    """Nearest class mean of the mean colours: chance is 2.5%."""
    train, labels = procedural.render(name, "train", n=800)
    val, val_labels = procedural.render(name, "val", n=400)
    colours, val_colours = (x.float().mean((2, 3)) for x in (train, val))
    centres = torch.stack([colours[labels == c].mean(0) for c in range(40)])
    right = torch.cdist(val_colours, centres).argmin(1) == val_labels
    assert right.float().mean() < 0.08


@pytest.mark.parametrize("name", procedural.NAMES)
def test_images_are_neither_dark_nor_blown_out(name: str) -> None:
    pixels = procedural.render(name, "val", n=200)[0].float()
    assert 60 < pixels.mean() < 190
    assert (pixels.std((1, 2, 3)) > 15).float().mean() > 0.95


def test_opened_as_a_data_set() -> None:
    data = open_dataset("mini-flowers", img_size=64)
    assert data.synthetic
    assert data.n_classes == 40
    assert data.train.pixels.shape == (2000, 3, 72, 72)
    assert torch.equal(data.val.pixels[:, :, 4:-4, 4:-4], procedural.render("mini-flowers", "val")[0])


def test_another_size_is_resized() -> None:
    assert open_dataset("mini-flowers", img_size=32).train.pixels.shape[-1] == 36


def test_unknown_names_list_what_exists() -> None:
    with pytest.raises(ValueError, match="no synthetic set 'mini-fish'; there are mini-birds"):
        procedural.render("mini-fish", "train")
    with pytest.raises(ValueError, match="no split 'holdout' of mini-birds; there are train, val, test"):
        procedural.render("mini-birds", "holdout")
