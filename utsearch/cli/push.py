"""`push`: an export on the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import typer


def push(
    folder: Annotated[Path, typer.Argument(help="A folder that `export` wrote.")],
    repo: Annotated[str, typer.Argument(help="The repository: user/name, or name for one's own.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
) -> None:
    """Upload an export to the Hugging Face hub, with its model card; log in first with `hf auth login`.

    Example: python cli.py push my-tuner me/birds-tuner --private
    """
    from utsearch.hub import push as upload

    print(f"pushed {folder} to {upload(folder, repo, private=private)}")
