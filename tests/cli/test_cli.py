"""The command line as a user meets it: the README's own commands, and one clear line for every mistake."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Run
from PIL import Image

ROOT = Path(__file__).parents[2]


def images(folder: Path, classes: int = 3, each: int = 8) -> Path:
    for c in range(classes):
        (folder / f"kind{c}").mkdir(parents=True)
        for i in range(each):
            colour = (60 + 80 * c, 20 * i, 255 - 80 * c)
            Image.new("RGB", (70, 64), colour).save(folder / f"kind{c}" / f"{i}.png")
    return folder


def readme_commands() -> list[list[str]]:
    """The words after `cli.py` of each command in the README's first block."""
    block = (ROOT / "README.md").read_text().split("```sh\n")[1].split("```")[0]
    return [shlex.split(part)[2:] for part in re.split(r"&&|\n", block) if "cli.py" in part]


@pytest.mark.timeout(280)
def test_the_readmes_own_commands(run: Run, tmp_path: Path) -> None:
    """On a small folder of images and for three trials, but otherwise as written."""
    folder = images(tmp_path / "data")
    commands = readme_commands()
    assert [words[0] for words in commands] == ["search", "pareto", "export", "sample", "predict"]
    search, pareto, export, sample, predict = commands
    search[search.index("--budget") + 1] = "3"
    code, out, err = run(*search, "--dataset", str(folder), "--device", "cpu")
    assert (code, err) == (0, "")
    assert "The budget is used up" in out
    code, out, err = run(*pareto)
    assert (code, err) == (0, "")
    page = Path(out.rsplit("page: ", 1)[1].strip())
    assert 10_000 < page.stat().st_size < 6_000_000
    code, out, err = run(*export)
    assert (code, err) == (0, "")
    assert "wrote my-tuner" in out
    code, out, err = run(*sample, "--dataset", str(folder))
    assert (code, err) == (0, "")
    files = [str(path) for path in sorted(Path("images").glob("*.png"))]
    assert files
    assert predict[-1] == "images/*.png"
    code, out, err = run(*predict[:-1], *files)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == len(files)
    assert all(re.search(r"kind\d \d+\.\d%", line) for line in out.splitlines())


@pytest.mark.timeout(280)
def test_evaluate_after_a_search_and_train_again_from_an_export(run: Run, tmp_path: Path) -> None:
    folder = str(images(tmp_path / "data"))
    assert run("search", "--dataset", folder, "--budget", "9", "--study", "mine", "--device", "cpu")[0] == 0
    code, out, err = run("evaluate", "--study", "mine", "--seeds", "2", "--no-front", "--trial", "1", "--device", "cpu")
    assert (code, err) == (0, "")
    assert re.search(r"full, seed 1001: \d+\.\d % test top-1", out)
    assert "No new design was retrained" in out
    code, out, err = run("evaluate", "--study", "mine", "--seeds", "2", "--no-front", "--json")
    found = json.loads(out)
    assert {row["name"] for row in found["results"]} > {"linear", "lora-8", "full"}
    assert all(len(row["runs"]) == 2 for row in found["results"])
    assert run("export", "--study", "mine", "--out", "first", "--pick", "trial=1")[0] == 0
    code, out, err = run("train", "--config", "first", "--out", "second", "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("the same")
    assert Path("first/tuner.safetensors").read_bytes()[-500:] == Path("second/tuner.safetensors").read_bytes()[-500:]
    code, out, err = run("train", "--design", "ffn:adapter(2)@last/2", "--dataset", folder, "--device", "cpu")
    assert (code, err) == (0, "")
    assert re.search(r"epoch 5: .* % val top-1 \(balanced .* %\), loss .*, ECE .* %, .* images/s", out)


@pytest.mark.timeout(280)
def test_confirm_in_two_parts_and_what_report_and_export_then_say(run: Run, tmp_path: Path) -> None:
    folder = str(images(tmp_path / "data"))
    options = ["--recipe", "epochs=2", "--device", "cpu", "--study", "mine"]
    assert run("search", "--dataset", folder, "--budget", "3", "--sampler", "random", *options)[0] == 0
    words = [
        "confirm",
        "--study",
        "mine",
        "--no-front",
        "--design",
        "ffn:lora(2)@last/3",
        "--seeds",
        "2",
        "--rates",
        "1",
    ]
    for part in ("1/2", "2/2"):
        code, out, err = run(*words, "--part", part)
        assert (code, err) == (0, "")
        assert f"part {part} is done" in out
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "seed 1000:" not in out  # both parts had trained everything
    assert re.search(r"Of 1 new design, .*known form", out)
    found = json.loads(run(*words, "--json")[1])
    own = next(row for row in found["results"] if not row["known"])
    rivals = {c["other"] for c in found["comparisons"]}
    assert rivals >= {"linear"}
    assert all(row["n_params"] <= own["n_params"] for row in found["results"])
    assert own["interval"][0] <= own["test_top1"] <= own["interval"][1]
    assert run("report", "--study", "mine", "--out", "report.html")[0] == 0
    assert found["verdicts"][0] in Path("report.html").read_text()
    assert run("export", "--study", "mine", "--out", "one", "--pick", "trial=1")[0] == 0
    assert "was not confirmed" in Path("one/README.md").read_text()
    code, out, err = run("confirm", "--study", "mine", "--no-front", "--trial", "1", "--seeds", "2", "--rates", "1")
    assert (code, err) == (0, "")
    code, out, err = run("export", "--study", "mine", "--out", "sure", "--pick", "trial=1")
    assert "% test top-1 over 2 seeds" in out
    assert "mean of 2 fresh seeds" in " ".join(Path("sure/README.md").read_text().split())
    assert Path("sure/front.png").stat().st_size < 100_000


@pytest.mark.timeout(280)
def test_from_a_subset_at_another_size_and_pooling_to_the_whole_set(run: Run, tmp_path: Path) -> None:
    folder = str(images(tmp_path / "data"))
    options = ["--shots", "4", "--img-size", "32", "--pool", "avg", "--recipe", "jitter=0.2, flip=false, epochs=2"]
    code, out, err = run("search", "--dataset", folder, "--budget", "5", "--study", "sub", "--device", "cpu", *options)
    assert (code, err) == (0, "")
    shutil.copytree("studies", "again")
    words = ["evaluate", "--study", "sub", "--seeds", "1", "--no-front", "--no-bounds", "--json"]
    once, twice = (json.loads(run(*words, "--studies", place)[1])["results"] for place in ("studies", "again"))
    assert [row["runs"] for row in once] == [row["runs"] for row in twice]  # to the last bit
    code, out, err = run(*words, "--full")
    found = json.loads(out)
    assert all(row["runs"] for row in found["results"])
    assert found["rank_correlation"] is None or -1 <= found["rank_correlation"]["rho"] <= 1
    assert run("export", "--study", "sub", "--out", "small", "--pick", "trial=1")[0] == 0
    kept = json.loads(Path("small/design.json").read_text())["backbone"]
    assert (kept["img_size"], kept["pool"]) == (32, "avg")
    code, out, err = run("train", "--config", "small", "--device", "cpu")
    assert (code, err) == (0, "")
    assert out.rstrip().endswith("the same")
    assert run("predict", "small", str(next(Path(folder).rglob("*.png"))))[0] == 0


def test_designs_lists_the_known_methods_and_what_they_cost(run: Run) -> None:
    code, out, err = run("designs")
    assert (code, err) == (0, "")
    assert re.search(r"bitfit .*linears\|norms\|stem\|tail:bias", out)
    code, out, err = run("designs", "--backbone", "test_vit", "--json")
    found = {row["name"]: row for row in json.loads(out)["designs"]}
    assert found["linear"]["n_params"] == 0
    assert found["lora-8"]["n_params"] == 6 * 4 * 64 * 8  # depth 6, width 64
    assert found["lora-8"]["merges"]
    assert not found["prefix-10"]["merges"]
    assert found["prefix-10"]["does_not_fit"] is None
    code, out, err = run("designs", "--backbone", "beit_base_patch16_224", "--json")
    found = {row["name"]: row for row in json.loads(out)["designs"]}
    assert "no site 'qkv'" in found["lora-8"]["does_not_fit"]
    assert found["lora-8"]["n_params"] is None


def damaged_study(folder: Path) -> list[str]:
    (folder / "studies").mkdir()
    (folder / "studies" / "mine.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    return ["pareto", "--study", "mine"]


def misspelt_space(folder: Path) -> list[str]:
    text = (ROOT / "search_spaces" / "mini.toml").read_text()
    (folder / "my.toml").write_text(text.replace("[slots.ffn.forms.adapter]", "[slots.ffn.forms.adaptor]"))
    return ["search", "--space", "my.toml"]


def folder_without_images(folder: Path) -> list[str]:
    (folder / "empty" / "train").mkdir(parents=True)
    return ["search", "--dataset", "empty"]


def truncated_export(folder: Path) -> list[str]:
    (folder / "out").mkdir()
    (folder / "out" / "design.json").write_text('{"format": 1, "design": "linear"')
    return ["predict", "out", "a.png"]


MISTAKES: dict[str, tuple[list[str] | Callable[[Path], list[str]], str]] = {
    "budget": (["search", "--budget", "banana"], r"'banana' is neither a number of trials"),
    "train what": (["train"], r"give either --design, .* or --config"),
    "train a design": (["train", "--design", "mha:lroa(8)"], r"'lroa'"),
    "designs of what": (["designs", "--backbone", "vit_mni"], r"no model 'vit_mni'"),
    "pool": (["train", "--design", "linear", "--pool", "men"], r"vit_mini cannot pool by 'men'; its own is token"),
    "jitter": (["search", "--recipe", "jitter=2"], r"jitter=2\.0 is not from 0 to 1"),
    "flip": (["search", "--recipe", "flip=perhaps"], r"flip='perhaps' is no bool"),
    "rates": (["evaluate", "--rates", "2"], r"--rates 2 is none of 1, 3, 5"),
    "part": (["confirm", "--part", "3/2"], r"--part '3/2' is none: 1/2 is the first"),
    "push": (["push", "nothing", "me/x"], r"nothing is no export of utsearch"),
    "nothing to evaluate": (["evaluate"], r"no studies in studies"),
    "sampler": (["search", "--sampler", "tpee"], r"no sampler 'tpee'; did you mean tpe"),
    "max-params": (["search", "--max-params", "few"], r"'few' is no number of parameters"),
    "misspelt form": (misspelt_space, r"my\.toml:\d+: .*no form 'adaptor'; did you mean adapter"),
    "missing space": (["search", "--space", "nowhere.toml"], r"no space 'nowhere\.toml'"),
    "unknown data": (["search", "--dataset", "mini-fish"], r"no data set or folder 'mini-fish'; there are mini-birds"),
    "no images": (folder_without_images, r"found images of 0 classes"),
    "backbone": (["search", "--backbone", "vit_mni"], r"no model 'vit_mni'"),
    "protocol": (["search", "--protocol", "vtp"], r"no protocol 'vtp'; there are vpt, timm"),
    "subset": (["search", "--shots", "3", "--fraction", "0.5"], r"takes shots or a fraction, not both"),
    "reader": (["data", "check", "cup", "--root", "."], r"no reader 'cup'; did you mean cub\?"),
    "latency": (["search", "--max-latency", "fast"], r"--max-latency 'fast' is neither a time of an image"),
    "set's place": (["data", "check", "cub"], r"where is CUB-200-2011\? write cub:ROOT"),
    "fetch": (["data", "fetch", "cars", "--root", "."], r"cannot be downloaded for you: .*Kaggle"),
    "device": (["search", "--device", "banana"], r"no device 'banana'"),
    "study": (["pareto", "--study", "nothing"], r"no study 'nothing'"),
    "no studies": (["pareto"], r"no studies in studies"),
    "damaged study": (damaged_study, r"cannot use the database .*mine\.db"),
    "database": (["pareto", "--storage", "sqlite:////no/folder/x.db"], r"unable to open database file"),
    "export": (["predict", "nothing", "a.png"], r"nothing is no export of utsearch"),
    "truncated export": (truncated_export, r"design\.json is damaged"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_a_line_or_two_and_a_non_zero_exit(run: Run, tmp_path: Path, name: str) -> None:
    words, message = MISTAKES[name]
    code, out, err = run(*(words(tmp_path) if callable(words) else words))
    assert code == 2, out
    assert re.search(message, err)
    assert err.startswith("error: ")
    assert 1 <= len(err.strip().splitlines()) <= 3
    assert "Traceback" not in out + err


def test_settings_that_changed_are_refused_with_the_difference(run: Run, tmp_path: Path) -> None:
    for name in ("one", "two"):
        folder = str(images(tmp_path / name, classes=2 if name == "one" else 3))
        code, _, err = run("search", "--budget", "1", "--study", "mine", "--dataset", folder, "--device", "cpu")
        assert code == (0 if name == "one" else 2), err
    assert "dataset.classes: 2 → 3" in err


def test_exit_code_reaches_the_shell() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), "search", "--budget", "banana"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: --budget 'banana'")


@pytest.mark.parametrize(
    "command",
    [
        "",
        "search",
        "confirm",
        "push",
        "pareto",
        "export",
        "predict",
        "sample",
        "designs",
        "data list",
        "data check",
        "data fetch",
    ],
)
def test_help_imports_nothing_heavy_and_shows_an_example(command: str) -> None:
    code = (
        "import sys; sys.argv = ['cli.py', *sys.argv[1:], '--help']\n"
        "import utsearch.cli\n"
        "try: utsearch.cli.main()\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'timm', 'optuna', 'plotly', 'numpy', 'sqlalchemy', 'PIL'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    words = command.split()
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    assert not command or "Example: python cli.py" in " ".join(done.stdout.split())


def test_a_budget_spent_before_the_first_trial_says_so(run: Run, tmp_path: Path) -> None:
    folder = str(images(tmp_path / "data"))
    code, out, _ = run("search", "--dataset", folder, "--budget", "0.01s", "--study", "short", "--device", "cpu")
    assert code == 0
    assert re.search(r"no trial has ended: reading and preparing took \d+ s; give a larger --budget", out)
