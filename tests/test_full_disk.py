"""A disk that is full, for real: what is computed is kept, one line says so, and no temporary file stays."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_problem import FakeProblem, fake_space
from image_trees import write_cub
from safetensors.torch import save_file
from small_disk import FILLER, KINDS, ROOM, fill_up, may_mount, small_disk
from torch import Tensor
from toy_problem import toy_problem

from utsearch.card import BackboneCard, Card, Metrics, PreprocessingCard
from utsearch.cli import main
from utsearch.data import decode as decode_module
from utsearch.data import open_dataset
from utsearch.data.cache import Cache, Entry
from utsearch.design import Design
from utsearch.export import ExportError, write_export
from utsearch.files import write_atomic
from utsearch.search import Budget, StudyError, prepare, search
from utsearch.training.prefix import Storing

LARGE = (ROOM // 192 + 1, 3, 8, 8)


@pytest.fixture(params=KINDS)
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A folder on a small disk."""
    if request.param == "file system" and not may_mount():
        pytest.skip("mounting a file system is not allowed here; the limit of the process is tested in its place")
    with small_disk(tmp_path / "disk", request.param) as folder:
        yield folder


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Weights that do not fit; written before there is a limit."""
    save_file({"tuner.a": torch.zeros(ROOM)}, tmp_path / "large.safetensors")
    return tmp_path / "large.safetensors"


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk without a byte left."""
    if not may_mount():
        pytest.skip("mounting a file system is not allowed here")
    with small_disk(tmp_path / "disk", "file system") as folder:
        fill_up(folder)
        yield folder


def temporary(folder: Path) -> list[str]:
    """Files that a writer has left."""
    return [path.name for path in folder.rglob(".*") if path.is_file()]


def test_a_write_that_does_not_fit_leaves_the_old_file_and_names_its_own(disk: Path) -> None:
    write_atomic(disk / "file", "old")
    with pytest.raises(OSError, match=r"No space left|File too large") as error:
        write_atomic(disk / "file", bytes(ROOM + 1))
    assert error.value.filename == str(disk / "file")
    assert (disk / "file").read_text() == "old"
    assert os.listdir(disk) == ["file"]


def test_a_cache_that_does_not_fit_is_done_without(disk: Path) -> None:
    said: list[str] = []
    calls: list[Tensor] = []

    def fill(out: Tensor) -> None:
        calls.append(out)
        out.fill_(7)

    found = Cache(disk / "cache", 10**9, said.append).get("key", LARGE, fill)
    assert torch.equal(found, torch.full(LARGE, 7, dtype=torch.uint8))
    assert len(calls) == 1, "the want of room is found before anything is decoded"
    assert len(said) == 1
    assert str(disk) in said[0]
    assert not temporary(disk)
    assert Cache(disk / "cache", 10**9).read("key", Entry(LARGE)) is None


def test_images_are_decoded_without_their_cache(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base = write_cub(tmp_path / "set", train=6)
    plain = open_dataset(f"cub:{base}", img_size=160)
    monkeypatch.setenv("UTSEARCH_CACHE", str(disk))
    monkeypatch.setattr(decode_module, "IN_MEMORY", 0)
    found = open_dataset(f"cub:{base}", img_size=160)
    assert torch.equal(found.train.pixels, plain.train.pixels)
    said = capsys.readouterr().err.splitlines()
    assert said
    assert all(line.startswith(f"decoded images stay in memory: {disk}") for line in said)
    assert not temporary(disk)


@pytest.mark.parametrize("disk", ["limit"], indirect=True)
def test_trials_train_without_the_prefix_cache_on_disk(disk: Path) -> None:
    said: list[str] = []
    problem, design = toy_problem(), Design.parse("ffn:adapter(2)@last/4")
    storing = Storing(disk=Cache(disk / "cache", 10**9, said.append))
    cached = replace(problem, cache=10**9, cuts=(3 * problem.depth // 4,), storing=storing)
    expected, found = (next(one.start(design, 0).rungs()) for one in (problem, cached))
    assert (found.top1, found.loss) == (expected.top1, expected.loss)
    assert cached.prefixes is not None
    assert cached.prefixes.nbytes > ROOM
    assert len(said) == 1
    assert not temporary(disk)


def test_weights_that_do_not_fit_end_the_search_and_lose_nothing(full: Path, tmp_path: Path) -> None:
    """The study's database is elsewhere; its weights go to the full disk."""
    problem, space = FakeProblem(), fake_space(tmp_path)
    url = f"sqlite:///{tmp_path / 'study.db'}"
    filler = full / FILLER
    filler.unlink()
    study = prepare(problem, space, "fake", storage_url=url, studies_dir=full)
    search(problem, space, study, Budget(trials=2), sampler="random")
    before = study.records()[:2]
    fill_up(full)
    with pytest.raises(StudyError, match=f"^cannot use {full}.*: No space left on device; mend that") as error:
        search(problem, space, study, Budget(trials=2), sampler="random")
    assert "\n" not in str(error.value)
    assert study.records()[:2] == before
    assert [r.reason for r in study.records() if r.status == "failed"] == ["No space left on device; queued again"]
    assert not temporary(full)
    filler.unlink()
    search(problem, space, study, Budget(trials=2), sampler="random")
    counted = [r for r in study.records() if r.status in ("finished", "stopped")]
    assert len(counted) == 4
    assert all(study.weights(r.number).is_file() for r in counted)


def test_a_checkpoint_that_does_not_fit_leaves_no_half_of_one(full: Path, tmp_path: Path) -> None:
    """The run goes on from memory: it can be saved elsewhere, or again when there is room."""
    run = toy_problem().start(Design.parse("ffn:adapter(4)@all"), 0)
    rungs = run.rungs()
    next(rungs)
    with pytest.raises(OSError, match="No space left"):
        run.save(full / "trial-0.safetensors")
    assert os.listdir(full) == [FILLER]
    run.save(tmp_path / "trial-0.safetensors")
    assert {path.name for path in tmp_path.glob("trial-0.*")} == {"trial-0.safetensors", "trial-0.resume.safetensors"}
    assert next(rungs).index == 1


def test_an_export_that_does_not_fit_is_removed_and_may_be_tried_again(large: Path, disk: Path, tmp_path: Path) -> None:
    card = Card(
        format=1,
        design="qkv:lora(2)@all",
        backbone=BackboneCard(name="vit_mini", weights="vit_mini", fingerprint="0", img_size=64),
        class_names=["a", "b"],
        preprocessing=PreprocessingCard(resize=64, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        metrics=Metrics(val_top1=0.5, standard_error=0.01, n_params=10, n_head=3, epoch=9, seconds=1.0, seeds=1),
        provenance={"study": "test"},
    )
    save_file({"tuner.a": torch.zeros(10)}, tmp_path / "small.safetensors")
    with pytest.raises(ExportError, match=f"^cannot write {disk}/out: (No space left on device|File too large)$"):
        write_export(disk / "out", card, large)
    with pytest.raises(ExportError, match="cannot write"):  # what did fit is removed as well
        write_export(disk / "out", card, tmp_path / "small.safetensors", picture=bytes(ROOM + 1))
    assert os.listdir(disk) == []
    write_export(disk / "out", card, tmp_path / "small.safetensors")
    assert (disk / "out" / "tuner.safetensors").is_file()


def test_the_command_line_says_it_in_one_line(
    full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = f"cub:{write_cub(tmp_path / 'set', train=6)}"
    monkeypatch.setattr(sys, "argv", ["utsearch", "sample", "--dataset", data, "--out", str(full / "images")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cannot write ")
    assert said.endswith(": No space left on device\n")
    assert said.count("\n") == 1
