"""Starting workers on an engine that exists: processes of this machine, Ray, Slurm. None of it schedules anything."""

from utsearch.launch.choose import NAMES, make_launcher
from utsearch.launch.launcher import Launcher, LauncherError, running
from utsearch.launch.process import Start, worker_start

__all__ = ["NAMES", "Launcher", "LauncherError", "Start", "make_launcher", "running", "worker_start"]
