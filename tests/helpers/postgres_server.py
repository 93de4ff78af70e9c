"""A PostgreSQL server of the tests' own: Debian's programs, a new folder, a free loopback port."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

DEBIAN = Path("/usr/lib/postgresql")
OWNER = "postgres"  # the server refuses to run as root
SETTINGS = ("fsync=off", "full_page_writes=off", "max_connections=200", "unix_socket_directories=")


@dataclass
class Server:
    """A running server; its databases are gone with its folder."""

    programs: Path
    folder: Path
    port: int
    host: str = "127.0.0.1"

    def url(self, database: str = "postgres", user: str = OWNER) -> str:
        """For `--storage`."""
        return f"postgresql+psycopg://{user}@{self.host}:{self.port}/{database}"

    def start(self) -> None:
        """Again, after a stop."""
        options = " ".join(f"-c {s}" for s in (*SETTINGS, f"port={self.port}", f"listen_addresses={self.host}"))
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is a crash."""
        self._control("stop", "-m", mode)

    def restart(self, pause: float = 0.0) -> None:
        """Crash, stay away for a while, and come back."""
        self.stop()
        time.sleep(pause)
        self.start()

    def sql(self, text: str) -> None:
        """Run a statement as the owner of everything."""
        import psycopg

        with psycopg.connect(host=self.host, port=self.port, user=OWNER, autocommit=True) as connection:
            connection.execute(text.encode())

    def _control(self, *words: str) -> None:
        run_as_owner([str(self.programs / "pg_ctl"), "-w", "-t", "60", "-D", str(self.folder / "data"), *words])


def run_as_owner(command: Sequence[str]) -> None:
    """As `postgres` where this is root."""
    as_owner = ["runuser", "-u", OWNER, "--", *command] if os.geteuid() == 0 else list(command)
    done = subprocess.run(as_owner, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd="/", check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")


def programs() -> Path | None:
    """The newest PostgreSQL of this machine, or None."""
    found = sorted(DEBIAN.glob("*/bin/pg_ctl"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def postgres(host: str = "127.0.0.1") -> Iterator[Server]:
    """A server in a folder of its own, as pytest's are private; skips where there is no PostgreSQL, except in CI."""
    where = programs()
    if where is None:
        assert not os.environ.get("CI"), "CI must have PostgreSQL: see .ci/run"
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="utsearch-postgres-"))
    if os.geteuid() == 0:
        owner = pwd.getpwnam(OWNER)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    run_as_owner(
        [str(where / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", OWNER, "--no-sync", "-E", "UTF8"]
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(where, folder, port, host)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
