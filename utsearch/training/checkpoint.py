"""What a run that was left early needs to go on: written beside its weights, checked before it is used."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from utsearch.errors import UserError
from utsearch.files import read_within, write_atomic
from utsearch.tensors import read_header

ABOUT = "about"  # key of the file's metadata
MOST_BYTES = 2**30  # tuners have a few million parameters at most, a checkpoint four times their bytes


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, or of another run."""


@dataclass(frozen=True)
class Checkpoint:
    """A run after some epochs.

    Attributes:
        epoch: epochs trained.
        tensors: what `Stepper.state` gave then.
    """

    epoch: int
    tensors: Mapping[str, Tensor]


def beside(weights: Path) -> Path:
    """Where the checkpoint of a run is kept whose weights are at a path."""
    return weights.with_suffix(".resume.safetensors")


def write_checkpoint(path: Path, checkpoint: Checkpoint, about: Mapping[str, str]) -> None:
    """Write one, atomically; `about` is what the run must have in common with the one that goes on."""
    told = {ABOUT: json.dumps({**about, "epoch": str(checkpoint.epoch)})}
    write_atomic(path, save(dict(checkpoint.tensors), metadata=told))


def read_checkpoint(path: Path, about: Mapping[str, str]) -> Checkpoint:
    """Read one of a run that is about the same.

    Raises:
        CheckpointError: one line that says what is wrong.
    """
    try:
        told = _metadata(path)
        tensors = load(read_within(path, MOST_BYTES))
        epoch = int(told["epoch"])
    except (OSError, UserError, SafetensorError, ValueError, TypeError, KeyError) as error:
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path.name} cannot be read ({why})") from error
    for key, value in about.items():
        if told.get(key) != value:
            raise CheckpointError(f"{path.name} is of another {key}: {str(told.get(key))[:60]}, not {value[:60]}")
    return Checkpoint(epoch, tensors)


def _metadata(path: Path) -> dict[str, str]:
    """Of a file whose header agrees with its length."""
    read_header(path)
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    told = json.loads(header["__metadata__"][ABOUT])
    if not isinstance(told, dict):
        raise ValueError("its metadata is no table")
    return told
