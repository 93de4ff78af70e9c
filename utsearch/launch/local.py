"""Workers as processes of this machine."""

from collections.abc import Sequence

from utsearch.launch.process import Start, WorkerProcess, wait_all


class LocalLauncher:
    """Processes that end with the search."""

    def __init__(self) -> None:
        self.cpus: int | None = None
        self._processes: list[WorkerProcess] = []

    def one_machine(self) -> bool:
        """It is this one."""
        return True

    def start(self, starts: Sequence[Start]) -> None:
        """Start them all at once."""
        for start in starts:
            self._processes.append(WorkerProcess(start))

    def alive(self) -> bool:
        """Whether any of them still works."""
        return any(process.ended() is None for process in self._processes)

    def complaints(self) -> list[str]:
        """The last line that each failed worker said."""
        ends = [process.ended() for process in self._processes]
        return [ended.complaint for ended in ends if ended is not None and ended.complaint]

    def stop(self) -> None:
        """Ask those still running to give back what they train, and wait."""
        wait_all(self._processes)
        for process in self._processes:
            process.close()
