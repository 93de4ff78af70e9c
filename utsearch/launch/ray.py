"""Workers on a Ray cluster: one actor each, which holds the worker's cores and GPUs and starts its process.

Ray's parts trust each other: whoever reaches a cluster's ports may run code on it (docs/security.md).
"""

import logging
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from utsearch.launch.launcher import LauncherError, Option, count, read_options, word
from utsearch.launch.process import PATIENCE, Ended, Start, WorkerProcess

try:
    import ray
    from ray.exceptions import RayError
except ImportError as error:
    raise LauncherError("Ray is not installed; pip install 'utsearch[ray]'") from error

REACH = 10.0  # seconds for the head node to answer


def _placement(text: str) -> str:
    if text not in ("spread", "pack"):
        raise ValueError(text)
    return text


def _gpus(text: str) -> float:
    gpus = float(text)
    if not 0 <= gpus < 10_000:
        raise ValueError(text)
    return gpus


OPTIONS = {
    "address": Option(word, "of the cluster: 10.0.0.1:6379; default the running one, else a new one here"),
    "cpus": Option(count, "cores of each worker, a whole number; default 1"),
    "gpus": Option(_gpus, "GPUs of each worker, 0.5 for two on one; default 1 where the cluster has any"),
    "placement": Option(_placement, "spread (over the nodes, the default) or pack"),
}


class _Seat:
    """The actor: where a worker's process runs."""

    def __init__(self, start: Start) -> None:
        self._process = WorkerProcess(start)

    def result(self) -> Ended:
        """Blocks until the worker has ended; other calls are answered meanwhile."""
        return self._process.wait(None)

    def interrupt(self) -> None:
        """Ask the worker to give back its trial and to end."""
        self._process.interrupt()


class RayLauncher:
    """Workers as actors of a cluster that is there, or of one that Ray starts on this machine.

    Args:
        address: of the cluster; None for the running one.
        cpus: cores of each worker.
        gpus: GPUs of each worker; None asks for one where the cluster has any.
        placement: spread or pack.
    """

    def __init__(self, address: str | None, cpus: int, gpus: float | None, placement: str) -> None:
        self.cpus: int | None = cpus
        self._placement = placement
        self._address = address
        self._connect()
        have = sum(node.get("GPU", 0.0) for node in self._nodes())
        self._gpus = gpus if gpus is not None else float(have > 0)
        self._actors: list[Any] = []
        self._results: list[Any] = []

    @classmethod
    def of(cls, options: Sequence[str], device: str) -> "RayLauncher":
        """From `key=value` words; no GPU is asked for where the device is the CPU."""
        asked: dict[str, Any] = read_options("ray", options, OPTIONS)
        gpus = asked.get("gpus", 0.0 if device == "cpu" else None)
        return cls(asked.get("address"), max(1, asked.get("cpus", 1)), gpus, asked.get("placement", "spread"))

    def one_machine(self) -> bool:
        """Whether every node of the cluster has the same address."""
        return len({node["NodeManagerAddress"] for node in _alive_nodes()}) <= 1

    def start(self, starts: Sequence[Start]) -> None:
        """Ask for an actor for each; raises LauncherError where the cluster can never hold them all."""
        self._check_room(len(starts))
        strategy = "SPREAD" if self._placement == "spread" else "DEFAULT"
        seat: Any = ray.remote(_Seat)
        seat = seat.options(
            num_cpus=self.cpus, num_gpus=self._gpus, scheduling_strategy=strategy, max_concurrency=2, max_restarts=0
        )
        self._actors = [seat.remote(start) for start in starts]
        self._results = [actor.result.remote() for actor in self._actors]

    def alive(self) -> bool:
        """Whether any of them works or waits for room."""
        return bool(self._pending())

    def complaints(self) -> list[str]:
        """The last line of each failed worker, or what Ray says of a node that is gone."""
        pending = set(self._pending())
        return [told for result in self._results if result not in pending and (told := _complaint(result))]

    def stop(self) -> None:
        """Ask those still running to give back what they train, wait, and leave the cluster."""
        if not ray.is_initialized():
            return
        asked = [actor.interrupt.remote() for actor, result in self._waiting_for()]
        if asked:  # one without a place yet does not answer, and has nothing to give back
            answered, _ = ray.wait(asked, num_returns=len(asked), timeout=2.0)
            began = [result for (_, result), call in zip(self._waiting_for(), asked, strict=False) if call in answered]
            if began:
                ray.wait(began, num_returns=len(began), timeout=PATIENCE)
        for actor in self._actors:
            ray.kill(actor)
        ray.shutdown()

    def _waiting_for(self) -> list[tuple[Any, Any]]:
        pending = set(self._pending())
        return [(a, r) for a, r in zip(self._actors, self._results, strict=True) if r in pending]

    def _pending(self) -> list[Any]:
        if not self._results:
            return []
        _, pending = ray.wait(self._results, num_returns=len(self._results), timeout=0)
        return list(pending)

    def _connect(self) -> None:
        _check_reachable(self._address)
        try:
            ray.init(address=self._address, log_to_driver=False, logging_level=logging.ERROR)
        except (RayError, ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f" at {self._address}" if self._address else ""
            raise LauncherError(f"cannot reach the Ray cluster{where}: {str(error).splitlines()[0]}") from error

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in _alive_nodes()]

    def _check_room(self, n: int) -> None:
        """The time of a worker that waits for another's place would begin when the budget is used up."""
        nodes = self._nodes()
        room = sum(self._fits(node) for node in nodes)
        if room < n:
            asked = f"{self.cpus} cores" + (f" and {self._gpus:g} GPUs" if self._gpus else "")
            raise LauncherError(
                f"the Ray cluster of {len(nodes)} nodes has room for {room} workers of {asked}, not for {n}; "
                "give --workers, or --launcher-option cpus=… and gpus=…"
            )

    def _fits(self, node: Mapping[str, float]) -> int:
        fits = int(node.get("CPU", 0.0) // (self.cpus or 1))
        return min(fits, int(node.get("GPU", 0.0) // self._gpus)) if self._gpus else fits


def _check_reachable(address: str | None) -> None:
    """Ray itself tries for minutes; raises LauncherError where nothing listens at `host:port`."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal() or "/" in host:
        return  # the running cluster, or a client's address
    try:
        socket.create_connection((host, int(port)), timeout=REACH).close()
    except (OSError, OverflowError) as error:
        raise LauncherError(f"nothing answers at {address}: {error}; `ray status` says where a cluster runs") from error


def _alive_nodes() -> list[dict[str, Any]]:
    nodes: Any = ray.nodes  # Ray leaves it unannotated
    return [node for node in nodes() if node["Alive"]]


def _complaint(result: Any) -> str | None:
    try:
        ended: Ended = ray.get(result)
    except RayError as error:
        return f"Ray: {str(error).strip().splitlines()[0]}"
    return ended.complaint
