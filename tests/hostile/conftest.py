"""What a stranger's dataset could reach on this machine: a private picture, a key, a server that notes who asks."""

import io
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from hf_rap.engines.base import Completion

CANARY = b"CANARY-bytes-of-a-private-file"


def png(colour="red", text=None, size=(16, 16)):
    """The bytes of a PNG file, with a text in it that compression does not hide."""
    file, info = io.BytesIO(), PngInfo()
    if text:
        info.add_text("Comment", text)
    Image.new("RGB", size, colour).save(file, "PNG", pnginfo=info)
    return file.getvalue()


PRIVATE = png("blue", CANARY.decode())


@dataclass(frozen=True)
class Knows:
    """An engine that always says the same, and keeps what it was asked."""

    reply: str = "4"
    seen: list = field(default_factory=list, compare=False)

    def describe(self):
        return {"model": "knows"}

    def complete(self, requests, sampling):
        self.seen.extend(requests)
        return [[Completion(self.reply, 3, False) for _ in range(request.attempts)] for request in requests]


@dataclass
class Machine:
    """A folder of a dataset with one picture of its own, and what lies around it."""

    top: Path
    own: Path
    private: Path
    key: Path


@pytest.fixture
def machine(tmp_path):
    """Nothing of `private` or `key` may leave it."""
    top = tmp_path / "CANARY-path"
    own = top / "set"
    (own / "sub").mkdir(parents=True)
    (own / "fine.png").write_bytes(png("red"))
    private = top / "private.png"
    private.write_bytes(PRIVATE)
    key = top / "id_rsa"
    key.write_bytes(b"-----BEGIN KEY----- " + CANARY)
    return Machine(top, own, private, key)


@pytest.fixture
def listener():
    """(URL, the paths that were asked for): a server that gives a picture to whoever asks."""
    asked = []

    class Gives(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(PRIVATE)

        do_HEAD = do_POST = do_GET

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Gives)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()
    thread.join()
