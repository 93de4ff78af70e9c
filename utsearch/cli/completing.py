"""Values for the shell's completion: quick, so from names and files, without importing what would use them."""

from pathlib import Path

import typer

STUDIES = Path("studies")  # also the default of --studies
# a test compares them with what can be read; the readers themselves would load torch
SYNTHETIC = ("mini-birds", "mini-cars", "mini-flowers")
READERS = (
    "cars",
    "cifar100",
    "cub",
    "dogs",
    "flowers",
    "folder",
    "list",
    "nabirds",
    "timm",
    "torchvision",
    "vpt",
    "vtab",
)


def complete_study(context: typer.Context, incomplete: str) -> list[str]:
    """Names of studies in the folder of --studies."""
    folder = Path(context.params.get("studies") or STUDIES)
    return sorted(path.stem for path in folder.glob("*.db") if path.stem.startswith(incomplete))


def complete_space(incomplete: str) -> list[str]:
    """Files of search_spaces/."""
    from utsearch.space import spaces

    return sorted(name for name in spaces() if name.startswith(incomplete))


def complete_dataset(incomplete: str) -> list[str]:
    """Synthetic sets, and readers with the colon after which the path comes."""
    return [name for name in (*SYNTHETIC, *(f"{reader}:" for reader in READERS)) if name.startswith(incomplete)]


def complete_reader(incomplete: str) -> list[str]:
    """Names of readers."""
    return [name for name in READERS if name.startswith(incomplete)]


def complete_design(incomplete: str) -> list[str]:
    """Names of known designs."""
    import tomllib
    from importlib.resources import files

    text = files("utsearch").joinpath("tuning", "known_designs.toml").read_text(encoding="utf-8")
    return sorted(row["name"] for row in tomllib.loads(text)["design"] if row["name"].startswith(incomplete))
