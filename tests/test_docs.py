"""Every command in README and docs, parsed by the real command line; snippets, links and generated pages."""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from doc_commands import PAGES, ROOT, commands
from PIL import Image
from typer.core import TyperGroup

from utsearch.cli import app
from utsearch.forms import info
from utsearch.space import load_space


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for page in PAGES:
        for found in re.finditer(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL):
            yield page.name, found[1]


FOUND = sorted({(page.name, words) for page in PAGES for words in commands(page)})


@pytest.mark.parametrize(("page", "words"), FOUND, ids=[f"{page}: {' '.join(words)}" for page, words in FOUND])
def test_every_command_is_one(page: str, words: tuple[str, ...]) -> None:
    """Names of commands and options, and the types of their values; test_docs_run.py runs them."""
    command = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup):
        if not rest or rest[0].startswith("-"):
            return  # `python cli.py --help`
        assert rest[0] in command.commands, f"{page}: there is no command {rest[0]}"
        command = command.commands[rest.pop(0)]
    if not rest and any(each.required for each in command.params):
        return  # a command named in a sentence
    command.make_context(words[0], rest)


def test_there_are_many() -> None:
    """So that a change of style does not hide them."""
    assert len(FOUND) > 25
    assert {words[0] for _, words in FOUND} >= {"search", "pareto", "report", "confirm", "export", "predict", "data"}


@pytest.mark.parametrize("wrong", ["serch", "search --bugdet 3", "search --workers two"])
def test_a_wrong_command_would_be_found(wrong: str) -> None:
    with pytest.raises(Exception, match=r"serch|bugdet|valid integer"):
        test_every_command_is_one("page", tuple(wrong.split()))


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


@pytest.mark.parametrize(("tool", "page"), [("make_api_doc", "api.md"), ("make_results", "results.md")])
def test_a_written_page_is_what_its_tool_writes(tool: str, page: str) -> None:
    """From the docstrings, and from the reference studies."""
    spec = importlib.util.spec_from_file_location(tool, ROOT / "tools" / f"{tool}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / page).read_text() == module.page(), f"run python tools/{tool}.py"
