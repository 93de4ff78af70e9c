"""The engines by name. An engine's library is imported when its launcher is made."""

from collections.abc import Sequence
from pathlib import Path

from utsearch.launch.launcher import Launcher, LauncherError, read_options

NAMES = ("local", "ray", "slurm")


def make_launcher(name: str, options: Sequence[str], *, device: str, folder: Path) -> Launcher:
    """The launcher of a name.

    Args:
        name: one of `NAMES`.
        options: `key=value` words, which each engine has of its own.
        device: the workers are asked to use; an engine that hands out GPUs is asked for one unless it is the CPU.
        folder: where an engine keeps its own files, the same path on every machine.

    Raises:
        LauncherError: no such engine or option, or its library is not installed.
    """
    if name == "local":
        from utsearch.launch.local import LocalLauncher

        read_options("local", options, {})
        return LocalLauncher()
    if name == "ray":
        from utsearch.launch.ray import RayLauncher

        return RayLauncher.of(options, device)
    if name == "slurm":
        from utsearch.launch.slurm import SlurmLauncher

        return SlurmLauncher.of(options, device, folder)
    raise LauncherError(f"no launcher {name!r}; there are {', '.join(NAMES)}")
