"""Threads that take turns, so that code written for one thread serves several."""

import threading
from collections import deque


class Turns:
    """Held in a with block by one thread at a time, in the order in which they asked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: deque[int] = deque()

    def __enter__(self) -> None:
        own = threading.get_ident()
        with self._changed:
            self._queue.append(own)
            self._changed.wait_for(lambda: self._queue[0] == own)

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()

    def pass_on(self) -> None:
        """Let every thread that waits have its turn, and come back."""
        self.__exit__()
        self.__enter__()
