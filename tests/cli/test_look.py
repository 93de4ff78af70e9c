"""The commands that look at stored studies, on a made-up search."""

import json
import math
import re
from pathlib import Path

import pytest
from command_line import Run, caller
from fake_problem import FakeProblem, run_fake

from utsearch.cli.printing import print_json

FOLDER = "studies"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    (home / FOLDER).mkdir()
    run_fake(FakeProblem(), home / FOLDER, "5", "one", sampler="random")
    run_fake(FakeProblem(), home / FOLDER, "5", "two", sampler="random", seed=3)
    return home


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path) -> Run:
    monkeypatch.chdir(home)
    return caller(monkeypatch, capsys)


def test_studies_are_listed(run: Run) -> None:
    code, out, err = run("studies")
    assert (code, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["two", "one"]
    code, out, _ = run("studies", "--json")
    assert [each["name"] for each in json.loads(out)] == ["two", "one"]


def test_a_trial_is_shown(run: Run) -> None:
    code, out, err = run("show", "1", "--study", "one")
    assert (code, err) == (0, "")
    for words in ("trial #1", "lora-4 ffn:lora(4)", "epoch", "lora of size 4 on ffn in every block", "weights: "):
        assert words in out
    assert json.loads(run("show", "1", "--study", "one", "--json")[1])["design"] == "ffn:lora(4)"


def test_two_studies_are_compared(run: Run) -> None:
    code, out, err = run("compare", "one", "two")
    assert (code, err) == (0, "")
    assert "design in both" in out
    found = json.loads(run("compare", "one", "two", "--json")[1])
    assert found["studies"] == ["one", "two"]
    assert all(0 < volume < 1 for volume in found["volumes"])


def test_spaces_are_checked_and_counted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = run("spaces")
    assert (code, err) == (0, "")
    assert {"mini", "utuning"} <= {line.split()[0] for line in out.splitlines()}
    (tmp_path / "wrong.toml").write_text("title = 3")
    monkeypatch.setattr("utsearch.space_file._folder", lambda: tmp_path)
    code, out, err = run("spaces", "--json")
    assert code == 2
    assert "wrong.toml" in json.loads(out)[0]["error"]
    assert err == "error: wrong cannot be used\n"


def test_pareto_draws_the_front_in_the_terminal(run: Run) -> None:
    code, out, _ = run("pareto", "--study", "one")
    assert code == 0
    assert "val top-1 % over parameters" in out


def test_a_report_of_two_studies(run: Run, tmp_path: Path) -> None:
    out_path = tmp_path / "both.html"
    code, out, err = run("report", "--study", "one", "--study", "two", "--out", str(out_path))
    assert (code, err, out) == (0, "", f"page: {out_path}\n")
    assert "2 studies" in out_path.read_text()


LOOKING = (["studies"], ["show", "0"], ["compare", "bad", "bad"], ["report"], ["dashboard"], ["pareto"])


@pytest.mark.parametrize("words", LOOKING, ids=lambda words: words[0])
def test_no_studies_and_a_damaged_one_are_one_clear_line(run: Run, words: list[str], tmp_path: Path) -> None:
    code, out, err = run(*words, "--studies", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith("error: no stud")
    assert len(err.splitlines()) == 1
    (tmp_path / "bad.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5000)
    code, out, err = run(*words, "--studies", str(tmp_path))
    assert code == 2
    assert err.startswith("error: cannot ")
    assert len(err.splitlines()) == 1
    assert "Traceback" not in out + err


def test_an_unknown_trial_says_which_there_are(run: Run) -> None:
    code, _, err = run("show", "999", "--study", "one")
    assert code == 2
    assert err.startswith("error: study 'one' has no trial 999; there are 0 to ")


def strict(text: str) -> object:
    """What a parser by the standard makes of it: NaN and Infinity are no JSON."""

    def refused(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refused)


AS_JSON = (["studies"], ["show", "0"], ["compare", "one", "two"], ["pareto"], ["spaces"], ["designs"], ["data", "list"])


@pytest.mark.parametrize("words", AS_JSON, ids=lambda words: words[0])
def test_json_is_json(run: Run, words: list[str]) -> None:
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    assert strict(out)


def test_a_diverged_loss_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"loss": math.nan, "rungs": ({"top1": 0.5}, [math.inf])})
    assert strict(capsys.readouterr().out) == {"loss": None, "rungs": [{"top1": 0.5}, [None]]}


@pytest.mark.parametrize(("columns", "colour"), [(80, False), (150, False), (80, True), (150, True)])
def test_the_front_fits_the_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, columns: int, colour: bool) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("FORCE_COLOR" if colour else "NO_COLOR", "1")  # the former makes a terminal of a pipe
    out = run("pareto", "--study", "one")[1]
    drawn = out[out.index("\n\n") :].strip("\n").split("\n\n")[0].splitlines()
    assert len(drawn) == 20, "the plot, its axis, what it shows, and what the letters mean"
    assert columns - 40 < max(map(len, drawn)) < columns
    assert ("\x1b[" in out) == colour
    assert not any("\x1b" in line for line in drawn), "the drawing says by its letters what colour would"
    table = re.sub(r"\x1b\[[\d;]*m", "", out[: out.index("\n\n")]).splitlines()
    assert all(len(line) <= columns for line in table)
