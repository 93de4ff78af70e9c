"""Progress of what runs before a search: one bar on a terminal, nothing in a pipe."""

from collections.abc import Callable


def filling(what: str) -> Callable[[float], None]:
    """A function of the share that is done, 0…1; the bar is gone at the end."""
    from rich.console import Console
    from rich.progress import Progress

    progress: list[Progress] = []

    def show(share: float) -> None:
        console = Console()
        if not console.is_terminal:
            return
        if not progress:
            progress.append(Progress(console=console, transient=True))
            progress[0].start()
            progress[0].add_task(what, total=1.0)
        progress[0].update(progress[0].task_ids[0], completed=share)
        if share >= 1:
            progress.pop().stop()

    return show
