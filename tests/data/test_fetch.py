"""`fetch` against a server of our own: resumed, checked, unpacked safely."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from image_trees import write_cub, write_dogs, write_flowers

from utsearch.data import DataError
from utsearch.data.fetch import download, fetch, unpack
from utsearch.data.reader import Archive, Reader
from utsearch.data.readers import reader, readers


class Server:
    """Serves files from memory, with ranges if wanted; remembers what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[tuple[str, str | None]] = []
        self.ranges, self.cut_at = True, 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        name, asked = handler.path.lstrip("/"), handler.headers.get("Range")
        self.asked.append((name, asked))
        if name not in self.files:
            handler.send_error(404)
            return
        content = self.files[name]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(content):
            handler.send_error(416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        handler.wfile.write(content[start : self.cut_at or None])


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    thread = threading.Thread(target=found.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield found
    found.http.shutdown()
    thread.join()
    found.http.server_close()


def tar(source: Path, *names: str, mode: str = "w:gz") -> bytes:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as archive:  # type: ignore[call-overload]
        for name in names:
            archive.add(source / name, name)
    return memory.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def served(name: str, server: Server, files: dict[str, bytes]) -> Reader:
    """The reader with the same archives at our server."""
    found = reader(name)
    server.files |= files
    names = [archive.url.rsplit("/", 1)[-1] for archive in found.archives]
    assert sorted(names) == sorted(files)
    archives = [
        replace(archive, url=f"{server.url}/{file}", md5=md5(files[file]))
        for archive, file in zip(found.archives, names, strict=True)
    ]
    return replace(found, archives=tuple(archives))


def test_cub(server: Server, tmp_path: Path) -> None:
    write_cub(tmp_path / "theirs/CUB_200_2011")
    cub = served("cub", server, {"CUB_200_2011.tgz": tar(tmp_path / "theirs", "CUB_200_2011")})
    seen: list[str] = []
    assert fetch(cub, tmp_path / "ours", lambda what, done, total: seen.append(what))
    assert len(cub.read(str(tmp_path / "ours")).splits["train"]) == 15
    assert [path.name for path in (tmp_path / "ours").iterdir()] == ["CUB_200_2011"]
    assert set(seen) == {"downloading CUB_200_2011.tgz", "unpacking CUB_200_2011.tgz"}
    assert not fetch(cub, tmp_path / "ours")  # there already
    assert len(server.asked) == 1


def test_flowers_of_three_files(server: Server, tmp_path: Path) -> None:
    theirs = write_flowers(tmp_path / "theirs")
    plain = {name: (theirs / name).read_bytes() for name in ("imagelabels.mat", "setid.mat")}
    flowers = served("flowers", server, {"102flowers.tgz": tar(theirs, "jpg")} | plain)
    assert fetch(flowers, tmp_path / "ours")
    assert len(flowers.read(str(tmp_path / "ours")).splits["test"]) == 6
    assert not (tmp_path / "ours/102flowers.tgz").exists()


def test_dogs_of_two_archives_of_which_one_fails(server: Server, tmp_path: Path) -> None:
    theirs = write_dogs(tmp_path / "theirs")
    files = {
        "images.tar": tar(theirs, "Images", mode="w"),
        "lists.tar": tar(theirs, "train_list.mat", "test_list.mat", mode="w"),
    }
    dogs = served("dogs", server, files)
    lists = server.files.pop("lists.tar")
    with pytest.raises(DataError, match=r"lists.tar: the server answers 404"):
        fetch(dogs, tmp_path / "ours")
    server.files["lists.tar"] = lists
    assert fetch(dogs, tmp_path / "ours")
    assert [name for name, _ in server.asked] == ["images.tar", "lists.tar", "lists.tar"]
    assert len(dogs.read(str(tmp_path / "ours")).splits["train"]) == 8


@pytest.mark.parametrize("ranges", [True, False])
def test_broken_download_goes_on_or_starts_again(server: Server, tmp_path: Path, ranges: bool) -> None:
    content = bytes(range(256)) * 100
    server.files["a.bin"], server.ranges, server.cut_at = content, ranges, 10_000
    get = partial(download, f"{server.url}/a.bin", tmp_path / "a.bin", md5(content))
    with pytest.raises(DataError, match=r"the connection ended after 10,000 of 25,600 bytes.*goes on where it stopped"):
        get()
    server.cut_at = 0
    get()
    assert (tmp_path / "a.bin").read_bytes() == content
    assert server.asked == [("a.bin", None), ("a.bin", "bytes=10000-")]
    assert [path.name for path in tmp_path.iterdir()] == ["a.bin"]


def test_part_that_is_whole_already(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = b"content"
    (tmp_path / "a.bin.part").write_bytes(b"content")
    download(f"{server.url}/a.bin", tmp_path / "a.bin", md5(b"content"))
    assert (tmp_path / "a.bin").read_bytes() == b"content"


def test_wrong_checksum_is_removed(server: Server, tmp_path: Path) -> None:
    server.files["a.bin"] = b"something else"
    with pytest.raises(DataError, match=r"has MD5 \w{32}, expected .* the file was removed"):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", md5(b"content"))
    assert list(tmp_path.iterdir()) == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot download http://127.0.0.1:9/a"):
        download("http://127.0.0.1:9/a", tmp_path / "a", "0" * 32)


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/utsearch-outside.txt", "link"])
def test_archive_cannot_leave_its_folder(tmp_path: Path, name: str) -> None:
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("fine.txt"))
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "../../outside"
        archive.addfile(member)
    (tmp_path / "a.tar").write_bytes(memory.getvalue())
    if name.startswith("/"):
        unpack(tmp_path / "a.tar", tmp_path / "in")  # the leading slash is cut off, as tar does
        assert (tmp_path / "in" / name.lstrip("/")).is_file()
    else:
        with pytest.raises(DataError, match=r"cannot unpack .*a.tar"):
            unpack(tmp_path / "a.tar", tmp_path / "in")
        assert list((tmp_path / "in").iterdir()) == []
    assert not Path("/tmp/utsearch-outside.txt").exists()
    assert not (tmp_path / "outside.txt").exists()


def test_damaged_archive(tmp_path: Path) -> None:
    write_cub(tmp_path / "set")
    (tmp_path / "a.tgz").write_bytes(tar(tmp_path, "set")[:-500])
    with pytest.raises(DataError, match=r"cannot unpack .*a.tgz: .*remove it and try again"):
        unpack(tmp_path / "a.tgz", tmp_path / "in")
    assert list((tmp_path / "in").iterdir()) == []


@pytest.mark.parametrize("name", ["cars", "nabirds"])
def test_what_cannot_be_downloaded_says_where_to_get_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match=r"cannot be downloaded for you: .*(Kaggle|allaboutbirds).*; expected \["):
        fetch(reader(name), tmp_path)


def test_archives_have_checksums() -> None:
    archives: list[Archive] = [archive for found in readers().values() for archive in found.archives]
    assert len(archives) == 7
    assert all(len(archive.md5) == 32 and int(archive.md5, 16) for archive in archives)
