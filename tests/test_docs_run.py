"""Every command of README and docs is run, on something tiny; those that cannot be are named with the reason."""

import shutil
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import Run, caller
from doc_commands import ALONE, NOT_RUN, PAGES, ROOT, commands, reason, tiny
from PIL import Image

from utsearch.cli import main

RUN = {
    page: [w for w in dict.fromkeys(commands(page)) if (len(w) > 1 or w[0] in ALONE) and not reason(w)]
    for page in PAGES
}


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return caller(monkeypatch, capsys)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images, a space file of one's own, two studies and an export, as the pages take them to be there."""
    home = tmp_path_factory.mktemp("home")
    for kind in range(3):
        for i in range(8):
            path = home / "data" / f"kind{kind}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (70, 64), (60 + 80 * kind, 20 * i, 255 - 80 * kind)).save(path)
    shutil.copy(ROOT / "search_spaces" / "mini.toml", home / "my-space.toml")
    (home / "studies").mkdir()
    for path in (ROOT / "studies").glob("reference-*.db"):
        shutil.copy(path, home / "studies")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        search = ["search", "--dataset", "data", "--recipe", "epochs=1", "--device", "cpu", "--sampler", "random"]
        for words in (
            [*search, "--budget", "4", "--study", "birds"],
            [*search, "--budget", "2", "--study", "cars"],
            ["export", "--study", "birds", "--pick", "trial=1", "--out", "my-tuner"],
            ["sample", "--dataset", "data", "--out", "images"],
        ):
            patch.setattr(sys, "argv", ["utsearch", *words])
            with suppress(SystemExit):
                main()
    assert (home / "my-tuner" / "design.json").exists()
    return home


@pytest.mark.timeout(280)
@pytest.mark.parametrize("page", [page for page in PAGES if RUN[page]], ids=lambda page: page.stem)
def test_every_command_of_a_page_runs(
    page: Path, run: Run, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the page's order, in one folder, so that a command finds what those before it have made."""
    shutil.copytree(home, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for number, words in enumerate(RUN[page]):
        asked = tiny(words, Path(), number)
        code, out, err = run(*asked)
        assert code == 0, f"python cli.py {' '.join(asked)}\n{out}\n{err}"


def test_every_reason_not_to_run_one_is_needed() -> None:
    told = [words for page in PAGES for words in commands(page)]
    given = {reason(words) for words in told}
    assert {why for name, why in NOT_RUN.items() if name != "dashboard"} <= given
    assert sum(map(len, RUN.values())) > 25
