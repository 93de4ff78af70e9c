"""Pushing to a stub of the hub on the loopback, through huggingface_hub's own client."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from utsearch.card import BackboneCard, Card, Metrics, PreprocessingCard
from utsearch.errors import UserError
from utsearch.export import write_export
from utsearch.hub import push


@dataclass
class Stub:
    """What the hub was sent; `refuse` is the status it answers to a new repository."""

    address: str = ""
    refuse: int = 0
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    files: dict[str, bytes] = field(default_factory=dict)
    made: dict[str, object] = field(default_factory=dict)


@pytest.fixture
def hub() -> Iterator[Stub]:
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            stub.asked.append(self.path)
            stub.tokens.add(self.headers.get("Authorization", ""))
            if self.path == "/api/repos/create":
                stub.made = json.loads(body)
                self._answer({"url": f"{stub.address}/me/tuner"}, stub.refuse or 200)
            elif self.path == "/api/validate-yaml":
                self._answer({"errors": [], "warnings": []})
            elif "/preupload/" in self.path:
                files = [{"path": f["path"], "uploadMode": "regular"} for f in json.loads(body)["files"]]
                self._answer({"files": [{**f, "shouldIgnore": False} for f in files]})
            elif "/commit/" in self.path:
                lines = [json.loads(line) for line in body.splitlines()]
                stub.files = {
                    line["value"]["path"]: base64.b64decode(line["value"]["content"])
                    for line in lines
                    if line["key"] == "file"
                }
                self._answer({"success": True, "commitOid": "0" * 40, "commitUrl": f"{stub.address}/me/tuner/commit/0"})
            else:
                self._answer({}, 404)

        def _answer(self, value: object, status: int = 200) -> None:
            content = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None:
            """Quietly."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    stub.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield stub
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(b"tensors")
    card = Card(
        format=1,
        design="ffn:adapter(4)@all",
        backbone=BackboneCard(name="vit_mini", weights="vit_mini 1", fingerprint="f" * 16, img_size=64),
        class_names=["wren", "jay"],
        preprocessing=PreprocessingCard(resize=64, crop=64, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
        metrics=Metrics(val_top1=0.5, standard_error=0.01, n_params=10, n_head=3, epoch=9, seconds=1.0, seeds=1),
        provenance={"study": "test"},
    )
    write_export(tmp_path / "out", card, tmp_path / "weights")
    (tmp_path / "out" / ".secret").write_text("mine")
    return tmp_path / "out"


def test_what_arrives_is_the_folder(hub: Stub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    assert push(folder, "me/tuner", private=True, endpoint=hub.address) == f"{hub.address}/me/tuner"
    assert hub.files == {p.name: p.read_bytes() for p in folder.iterdir() if p.name != ".secret"}
    assert set(hub.files) == {"README.md", "design.json", "tuner.safetensors"}
    assert hub.tokens == {"Bearer hf_mine"}
    assert "private" in json.dumps(hub.made)  # a field in older versions of the client, a value in newer ones


def test_what_goes_wrong_is_one_line(hub: Stub, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(UserError, match="not logged in"):
        push(folder, "me/tuner", endpoint=hub.address)
    assert not hub.asked
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_mine")
    monkeypatch.setenv("HF_TOKEN", "hf_mine")
    with pytest.raises(UserError, match="is no export of utsearch"):
        push(tmp_path, "me/tuner", endpoint=hub.address)
    with pytest.raises(UserError, match="is no name of a repository"):
        push(folder, "me/tu ner?", endpoint=hub.address)
    hub.refuse = 403
    with pytest.raises(UserError, match=r"the hub refuses me/tuner: .*403") as caught:
        push(folder, "me/tuner", endpoint=hub.address)
    assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(UserError, match=r"cannot reach the hub at http://127\.0\.0\.1:9"):
        push(folder, "me/tuner", endpoint="http://127.0.0.1:9")
