"""Workers as jobs of Slurm, through submitit; `cluster=local` runs the same jobs on this machine, to try them.

submitit writes each job as a pickle into its folder and reads the result as one: the folder is the user's own, in the
study's (docs/security.md). The storage's URL is not in it: jobs inherit it with the environment, as sbatch hands it on.
"""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from utsearch.launch.launcher import LauncherError, Option, count, read_options, word
from utsearch.launch.process import Ended, Start, WorkerProcess

try:
    import submitit
except ImportError as error:
    raise LauncherError("submitit is not installed; pip install 'utsearch[slurm]'") from error

PATIENCE = 90.0  # seconds in which a job sees the stop file; network file systems keep "not there" for up to a minute
LOOK = 1.0  # seconds between two looks at the stop file


def _cluster(text: str) -> str:
    if text not in ("slurm", "local"):
        raise ValueError(text)
    return text


OPTIONS = {
    "cluster": Option(_cluster, "slurm, or local to try the same on this machine"),
    "partition": Option(word, "of the jobs"),
    "minutes": Option(count, "time limit of each job, a whole number; default 1440"),
    "cpus": Option(count, "cores of each worker, a whole number; default 1"),
    "gpus": Option(count, "GPUs of each worker, a whole number; default 1, or 0 with --device cpu"),
    "memory": Option(count, "GB of each worker, a whole number"),
    "account": Option(word, "that pays"),
    "qos": Option(word, "quality of service"),
    "constraint": Option(word, "features of the nodes, such as a100"),
}
SLURM_ONLY = ("partition", "account", "qos", "constraint")


class SlurmLauncher:
    """Workers as an array of jobs.

    Args:
        cluster: slurm or local.
        folder: for submitit's files and logs, on a file system that the nodes share.
        cpus: cores of each worker.
        parameters: of submitit's executor.
    """

    def __init__(self, cluster: str, folder: Path, cpus: int, parameters: dict[str, Any]) -> None:
        self.cpus: int | None = cpus
        self._local = cluster == "local"
        self._stop = folder / f"stop-{os.getpid()}-{time.time_ns()}"
        self._jobs: list[Any] = []
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
        except RuntimeError as error:
            raise LauncherError(
                "there is no Slurm here: srun is not found; run this on a login node, or try cluster=local"
            ) from error
        self._executor.update_parameters(name="utsearch", cpus_per_task=cpus, **parameters)

    @classmethod
    def of(cls, options: Sequence[str], device: str, folder: Path) -> "SlurmLauncher":
        """From `key=value` words."""
        asked: dict[str, Any] = read_options("slurm", options, OPTIONS)
        parameters = {
            "timeout_min": max(1, asked.get("minutes", 1440)),
            "gpus_per_node": asked.get("gpus", 0 if device == "cpu" else 1),
        }
        if "memory" in asked:
            parameters["mem_gb"] = asked["memory"]
        parameters |= {f"slurm_{key}": asked[key] for key in SLURM_ONLY if key in asked}
        return cls(asked.get("cluster", "slurm"), folder.absolute(), max(1, asked.get("cpus", 1)), parameters)

    def one_machine(self) -> bool:
        """Only where Slurm is not asked."""
        return self._local

    def start(self, starts: Sequence[Start]) -> None:
        """Submit them as one array; they start when Slurm has room."""
        open_words = [(start.command, start.folder) for start in starts]
        with _environment(starts), _slurm_errors(), self._executor.batch():
            self._jobs = [self._executor.submit(work, *words, str(self._stop)) for words in open_words]

    def alive(self) -> bool:
        """Whether any of them works or waits."""
        return any(not job.done() for job in self._jobs)

    def complaints(self) -> list[str]:
        """The last line of each failed worker, or what became of its job."""
        return [told for job in self._jobs if job.done() and (told := _complaint(job))]

    def stop(self) -> None:
        """Jobs that wait are cancelled; those that run see the stop file and give back what they train."""
        left = [job for job in self._jobs if not job.done()]
        if left:
            self._stop.touch()
        for job in left:
            if job.state in ("PENDING", "REQUEUED"):
                job.cancel(check=False)
        deadline = time.monotonic() + PATIENCE
        while any(not job.done() for job in left) and time.monotonic() < deadline:
            time.sleep(0.2)
        for job in left:
            if not job.done():
                job.cancel(check=False)
        self._jobs.clear()  # submitit's jobs complain if they outlive the interpreter's modules
        self._stop.unlink(missing_ok=True)


def work(command: tuple[str, ...], folder: str, stop: str) -> Ended:
    """The job: run a worker until it ends or the stop file is there.

    However this ends (submitit raises here before the time limit and on preemption), the worker is asked to give back
    its trial first.
    """
    process = WorkerProcess(Start(command, {}, folder))
    try:
        while (ended := process.ended()) is None and not os.path.exists(stop):
            time.sleep(LOOK)
    finally:
        process.interrupt()
        last = process.wait()
    return ended or last


@contextmanager
def _environment(starts: Sequence[Start]) -> Iterator[None]:
    """What the workers need to know, for the moment of submitting: jobs inherit the environment of their submission."""
    added = {key: value for start in starts for key, value in start.environment.items()}
    before = {key: os.environ.get(key) for key in added}
    os.environ.update(added)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                os.environ.pop(key, None)
            else:
                os.environ[key] = value


@contextmanager
def _slurm_errors() -> Iterator[None]:
    try:
        yield
    except submitit.core.utils.FailedJobError as error:
        raise LauncherError(f"Slurm did not take the jobs: {str(error).strip().splitlines()[-1]}") from error


def _complaint(job: Any) -> str | None:
    try:
        ended: Ended = job.result()
    except (submitit.core.utils.UncompletedJobError, submitit.core.utils.FailedJobError) as error:
        return f"job {job.job_id}: {str(error).strip().splitlines()[-1]}"
    return ended.complaint
