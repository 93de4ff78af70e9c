"""Every command in README and docs, parsed by the real command line; snippets, links and generated pages."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import typer
from PIL import Image

from utsearch.cli import app
from utsearch.forms import info
from utsearch.space import load_space

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
SHELL = re.compile(r"```sh\n(.*?)```|^((?:    .*\n)+)|`([^`]+)`", re.DOTALL | re.MULTILINE)
GIVEN = {"NAME": "birds", "STUDY": "birds"}  # placeholders of the text


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Page and words of each command: in shell blocks, indented blocks and between backticks."""
    for page in PAGES:
        for fenced, indented, inline in SHELL.findall(page.read_text()):
            text = (fenced or indented).replace("\\\n", " ") or " ".join(inline.split())
            for line in re.split(r"\n|&&", text):
                _, told, rest = line.partition("python cli.py ")
                if told and "…" not in rest:
                    yield page.name, tuple(GIVEN.get(word, word) for word in shlex.split(rest, comments=True))


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
            yield page.name, found[1]


FOUND = sorted(set(commands()))


@pytest.mark.parametrize(("page", "words"), FOUND, ids=[f"{page}: {' '.join(words)}" for page, words in FOUND])
def test_every_command_is_one(page: str, words: tuple[str, ...]) -> None:
    """Names of commands and options, and the types of their values, without running anything."""
    command: click.Command = typer.main.get_command(app)
    rest = list(words)
    context = click.Context(command)
    while isinstance(command, click.Group):
        if not rest or rest[0].startswith("-"):
            return  # `python cli.py --help`
        name, found, rest = command.resolve_command(context, rest)
        assert found is not None, f"{page}: there is no command {name}"
        command, context = found, click.Context(found, parent=context)
    if len(words) == 1 and any(p.required for p in command.params):
        return  # a command named in a sentence
    command.make_context(command.name, rest, parent=context.parent)


def test_there_are_many() -> None:
    """So that a change of style does not hide them."""
    assert len(FOUND) > 25
    assert {words[0] for _, words in FOUND} >= {"search", "pareto", "report", "confirm", "export", "predict", "data"}


def test_the_space_file_of_the_docs_is_one(tmp_path: Path) -> None:
    texts = [text for page, text in blocks("toml") if page == "space-files.md"]
    assert texts
    for text in texts:
        (tmp_path / "my-space.toml").write_text(text)
        assert load_space(str(tmp_path / "my-space.toml"), info()).title


def test_python_of_concepts_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """README's and the export's snippets run in tests of their own, on an export."""
    texts = [text for page, text in blocks("python") if page == "concepts.md"]
    assert texts
    for text in texts:
        exec(compile(text, "concepts.md", "exec"), {})
    assert int(capsys.readouterr().out) > 1000


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            if not target.startswith(("http", "mailto")):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_pictures_of_the_docs_are_pictures() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    for path in pictures:
        with Image.open(path) as image:
            image.verify()  # raises where it is none


def test_the_page_of_the_library_is_what_the_docstrings_say() -> None:
    spec = importlib.util.spec_from_file_location("make_api_doc", ROOT / "tools" / "make_api_doc.py")
    assert spec
    assert spec.loader
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert (ROOT / "docs" / "api.md").read_text() == tool.api_doc(), "run python tools/make_api_doc.py"
