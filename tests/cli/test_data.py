"""Data sets on the command line: list, check, and a search on a subset that reopens as it was."""

import json
from pathlib import Path

from command_line import Run
from image_trees import write_cub, write_image


def test_list(run: Run) -> None:
    code, out, _ = run("data", "list")
    assert code == 0
    assert "CUB-200-2011 (200 classes; 5,994 train, 5,794 test)" in out
    code, out, _ = run("data", "list", "--json")
    rows = {row["name"]: row for row in json.loads(out)["readers"]}
    assert {"cub", "nabirds", "flowers", "dogs", "cars", "cifar100", "vtab", "vpt", "folder", "list"} <= set(rows)
    assert rows["nabirds"]["classes"] == 555
    assert [name for name, row in rows.items() if row["fetch"]] == ["cifar100", "cub", "dogs", "flowers"]


def test_check_exits_with_1_where_a_set_is_not_whole(run: Run, tmp_path: Path) -> None:
    base = write_cub(tmp_path / "set")
    next((base / "images").rglob("*.jpg")).write_bytes(b"")
    code, out, err = run("data", "check", "cub", "--root", str(base))
    assert (code, err) == (1, "")
    assert "differs: 15 train images; officially 5,994" in out
    assert "unreadable: " in out
    code, out, _ = run("data", "check", "cub", "--root", str(base), "--json")
    assert code == 1
    assert json.loads(out)["good"] is False


def test_check_of_a_good_folder(run: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        for i in range(3):
            write_image(tmp_path / "set" / name / f"{i}.png")
    code, out, _ = run("data", "check", "folder", "--root", "set")
    assert code == 0
    assert out.endswith("ready to use\n")


def test_a_broken_image_ends_a_search_with_the_way_on(run: Run, tmp_path: Path) -> None:
    for name in ("grey wren", "jay"):
        for i in range(8):
            write_image(tmp_path / "set" / name / f"{i}.png")
    (tmp_path / "set/jay/3.png").write_bytes(b"")
    code, _, err = run("search", "--dataset", "set", "--budget", "1", "--device", "cpu")
    assert code == 2
    assert "set/jay/3.png" in err
    assert "--readable GOOD.csv" in err
    assert not Path("studies").exists()
    code, _, err = run("data", "check", "set", "--readable", "good.csv")
    assert code == 1
    assert err == "wrote good.csv: 15 readable images; use --dataset list:good.csv\n"
    code, _, err = run("search", "--dataset", "list:good.csv", "--budget", "1", "--device", "cpu")
    assert (code, err) == (0, "")


def test_search_on_a_subset_reopens_as_it_was(run: Run, tmp_path: Path) -> None:
    base = write_cub(tmp_path / "CUB_200_2011", classes=4, train=8)
    words = ("--classes", "3", "--shots", "5", "--subset-seed", "1", "--protocol", "vpt", "--device", "cpu")
    code, _, err = run("search", "--dataset", f"cub:{base}", "--budget", "1", *words)
    assert (code, err) == (0, "")
    assert [path.stem for path in Path("studies").glob("*.db")] == ["CUB_200_2011-vit_mini-mini"]
    code, _, err = run("export", "--out", "tuner")
    assert (code, err) == (0, "")
    card = json.loads(Path("tuner/design.json").read_text())
    assert len(card["class_names"]) == 3
    assert card["preprocessing"] | {"mean": 0, "std": 0} == {
        "resize": 73, "crop": 64, "interpolation": "bilinear", "protocol": "vpt", "mean": 0, "std": 0
    }  # fmt: skip
    code, out, err = run("train", "--config", "tuner", "--device", "cpu")
    assert (code, err) == (0, "")
    assert "the same" in out
    code, _, err = run("search", "--dataset", f"cub:{base}", "--budget", "1", "--device", "cpu", *words[:4])
    assert code == 2
    assert "subset" in err
