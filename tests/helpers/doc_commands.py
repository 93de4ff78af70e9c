"""The commands of README and docs, and how a test runs each on something tiny."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
TOLD = re.compile(r"^(?:\S*python )?cli\.py ")
GIVEN = {
    "NAME": "birds",
    "STUDY": "birds",
    "DIR": "data",
    "URL": "sqlite:///studies/birds.db",
}  # the text's placeholders

# What no test can run here in seconds, why, and where it is tested instead. Whatever is not named here is run.
NOT_RUN = {
    "data fetch": "downloads an archive; tests/data fetches one from a server of its own",
    "data check cub": "reads a set that has to be downloaded; tests/data checks made-up ones in its layout",
    "data check flowers": "the same",
    "push": "needs a login; tests/test_hub.py pushes to a made-up hub",
    "proxy": "serves until it is stopped; tests/search/test_shelf.py and tests/launch use it",
    "dashboard": "serves until it is stopped; tests/search/test_plain_optuna.py asks it",
    "worker": "joins a search on a database server; tests/search/test_postgres.py has one",
    "--launcher": "needs Ray or Slurm; tests/launch has both",
    "--workers": "starts several processes; tests/cli/test_workers.py does",
}
# The same command on less: an option's value instead of the documented one, which needs hours, images or weights.
INSTEAD = {
    "--budget": ["--budget", "2"],
    "--backbone": ["--backbone", "vit_mini"],
    "--classes": ["--classes", "2"],
    "--shots": ["--shots", "4"],
    "--seeds": ["--seeds", "2"],
    "--trial": ["--design", "norms:bias@0"],
    "--most": ["--no-front", "--design", "norms:bias@0"],  # few known forms are as small
    "--also": ["--also", "timm"],  # all four, read back by their libraries: tests/test_formats.py
}
ALONE = ("pareto", "designs", "spaces", "doctor")  # commands that need no words besides
# One epoch of a few images, on the processor
BESIDES = {
    "search": ["--recipe", "epochs=1", "--device", "cpu", "--sampler", "random"],
    "train": ["--device", "cpu"],
    "confirm": ["--rates", "1", "--device", "cpu"],
    "evaluate": ["--no-front", "--no-bounds", "--device", "cpu"],
    "predict": ["--device", "cpu"],
}


def commands(page: Path) -> Iterator[tuple[str, ...]]:
    """The words after `cli.py` of every command, in the page's order: in shell blocks, indented ones, and backticks."""
    for text in snippets(page.read_text()):
        for line in re.split(r"\n|&&", text.replace("\\\n", " ")):
            if (told := TOLD.match(line.strip())) and "…" not in line:
                words = shlex.split(line.strip()[told.end() :], comments=True)
                yield tuple(_given(option, word) for option, word in zip(["", *words], words, strict=False))


def _given(option: str, word: str) -> str:
    return "regret" if (option, word) == ("--pruner", "NAME") else GIVEN.get(word, word)


def snippets(text: str) -> Iterator[str]:
    """Code in the order of the page, a paragraph's backticks one by one, since a line may end in the middle of them."""
    for i, part in enumerate(re.split(r"^```(.*\n[\s\S]*?)^```$", text, flags=re.MULTILINE)):
        if i % 2:
            language, _, code = part.partition("\n")
            if language == "sh":
                yield code
            continue
        for paragraph in re.split(r"\n\s*\n", part):
            if paragraph.strip("\n").startswith("    "):
                yield paragraph
            else:
                yield from (" ".join(inline.split()) for inline in re.findall(r"`([^`]+)`", paragraph))


def reason(words: tuple[str, ...]) -> str | None:
    """Why a command is not run, or None."""
    line = f"{' '.join(words)} "
    return next((why for told, why in NOT_RUN.items() if line.startswith(f"{told} ") or f" {told} " in line), None)


def _kept(home: Path, study: str) -> bool:
    return (home / f"studies/{study}.db").exists()


def tiny(words: tuple[str, ...], home: Path, number: int) -> list[str]:
    """The command on little data and for little time, with the files that its wildcards mean."""
    left, made = list(words), list[str]()
    while left:
        word = left.pop(0)
        if word in INSTEAD:
            left.pop(0)
            made += INSTEAD[word]
        elif word == "--dataset":
            made += [word, kept if (kept := left.pop(0)).startswith("list:") else "data"]
        elif word == "--study" and words[0] == "search" and "--shots" in words and _kept(home, left[0]):
            made += [word, f"{left.pop(0)}-{number}"]  # on a part of the data it is another study
        elif word == "--study" and words[0] != "search" and not _kept(home, left[0]):
            left.pop(0)
            made += [word, "birds"]
        else:
            made += sorted(map(str, home.glob(word))) or [word] if "*" in word else [word]
    if "--also" in words:
        made = made[: made.index("--also") + 2]
    made += BESIDES.get(words[0], []) if "--config" not in words else ["--device", "cpu"]
    if words[0] in ("search", "train", "sample") and not {"--dataset", "--config"} & set(words):
        made += ["--dataset", "data"]
    if words[0] == "search":
        made += [] if "--budget" in words else INSTEAD["--budget"]
        made += [] if "--study" in words else ["--study", f"search-{number}"]
    return made
