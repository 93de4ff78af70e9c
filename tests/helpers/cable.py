"""A cable between workers and a server, which can be cut."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Cable:
    """Forwards a free loopback port to another one."""

    def __init__(self, to: int) -> None:
        self._to, self._open, self._ends = to, True, set[socket.socket]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """All connections break, and new ones do too."""
        self._open = False
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """New connections hold again."""
        self._open = True

    def close(self) -> None:
        """For ever."""
        self.cut()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            far = self._connected()
            if far is None:
                near.close()
                continue
            self._ends |= {near, far}
            for pair in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=pair, daemon=True).start()

    def _connected(self) -> socket.socket | None:
        """None while the cable is cut, or nobody listens at its other end."""
        with suppress(OSError):
            return socket.create_connection(("127.0.0.1", self._to)) if self._open else None
        return None

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while content := source.recv(65536):
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends -= {source, sink}
        source.close()


@contextmanager
def cable(to: int) -> Iterator[Cable]:
    """A cable for as long as it is needed."""
    made = Cable(to)
    try:
        yield made
    finally:
        made.close()
