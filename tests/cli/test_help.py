"""Every command explains itself at once, with an example that is right; the shell completes what has a name."""

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from utsearch.cli import app
from utsearch.cli.completing import READERS, SYNTHETIC
from utsearch.data import procedural
from utsearch.data.readers import readers
from utsearch.space import spaces
from utsearch.tuning import known_designs

HEAVY = ("torch", "timm", "optuna", "plotly", "numpy", "sqlalchemy")


def commands(group: TyperGroup, before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], TyperCommand]]:
    for name, command in group.commands.items():
        path = (*before, name)
        if isinstance(command, TyperGroup):
            yield from commands(command, path)
        else:
            assert isinstance(command, TyperCommand)
            yield path, command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))


def examples(command: TyperCommand) -> list[str]:
    paragraphs = (command.help or "").replace("\b", "").split("\n\n")
    found = [part.split("Example: ", 1)[1] for part in paragraphs if "Example: " in part]
    return [" ".join(text.split()) for text in found]


def test_there_are_commands_in_groups_too() -> None:
    assert ("search",) in COMMANDS
    assert ("data", "check") in COMMANDS


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_an_example_that_parses(path: tuple[str, ...]) -> None:
    given = examples(COMMANDS[path])
    assert given, f"{' '.join(path)} --help shows no example"
    for text in given:
        python, file, *words = shlex.split(text)
        assert (python, file) == ("python", "cli.py")
        assert tuple(words[: len(path)]) == path
        COMMANDS[path].make_context(path[-1], words[len(path) :])


def test_help_imports_nothing_heavy() -> None:
    """All commands in one process, since starting Python takes longer than the help."""
    calls = [[*path, "--help"] for path in COMMANDS]
    code = f"""
import sys
import utsearch.cli
for words in {calls!r}:
    sys.argv = ["cli.py", *words]
    try: utsearch.cli.main()
    except SystemExit as ended: assert ended.code == 0, words
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "heavy: []" in done.stdout
    assert done.stdout.count("Example: python cli.py") >= len(COMMANDS)


def completed(words: list[str], home: Path) -> tuple[set[str], str]:
    """What bash would offer for the last word, and the heavy libraries that it took."""
    code = (
        "import sys\nfrom utsearch.cli import app\n"
        "try: app(prog_name='utsearch')\n"
        f"finally: print([n for n in {HEAVY!r} if n in sys.modules], file=sys.stderr)"
    )
    told = {
        "_UTSEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["utsearch", *words[:-1]]) + f" {words[-1]}",
        "COMP_CWORD": str(len(words)),
        "_TYPER_COMPLETE_ARGS": shlex.join(["utsearch", *words]),
    }
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=home, capture_output=True, text=True, check=False, env={**os.environ, **told}
    )
    return set(done.stdout.split()), done.stderr.strip().splitlines()[-1]


KNOWN = {one.name for one in known_designs()}
OFFERED = [
    (["stu"], {"studies"}),
    (["pareto", "--stu"], {"--study", "--studies"}),
    (["pareto", "--study", "b"], {"birds", "bugs"}),
    (["report", "--study", "birds", "--study", "c"], {"cars"}),
    (["compare", "birds", ""], {"birds", "bugs", "cars"}),
    (["pareto", "--studies", "elsewhere", "--study", ""], {"far"}),
    (["search", "--space", "mi"], {name for name in spaces() if name.startswith("mi")}),
    (["search", "--dataset", "mini-"], set(SYNTHETIC)),
    (["train", "--design", "lora"], {name for name in KNOWN if name.startswith("lora")}),
    (["data", "fetch", "c"], {"cars", "cifar100", "cub"}),
]


@pytest.mark.parametrize(
    ("words", "offered"),
    OFFERED,
    ids=lambda value: " ".join(sorted(value)) if isinstance(value, set) else " ".join(value) or "nothing",
)
def test_the_shell_completes(words: list[str], offered: set[str], tmp_path: Path) -> None:
    for name in ("studies/birds", "studies/bugs", "studies/cars", "elsewhere/far"):
        path = tmp_path / f"{name}.db"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    assert offered
    assert completed(words, tmp_path) == (offered, "[]")


def test_what_is_completed_is_what_there_is() -> None:
    assert procedural.NAMES == SYNTHETIC
    assert tuple(readers()) == READERS


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_shown(shell: str) -> None:
    code = "from utsearch.cli import app; app(prog_name='utsearch')"
    words = [sys.executable, "-c", code, "--show-completion", shell]
    told = {**os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=told)
    assert "_UTSEARCH_COMPLETE" in done.stdout
