"""Buckets of the Hub on this machine: files by their path, whose bytes hf_xet keeps in a folder.

The client sends the bytes of a bucket through hf_xet alone. A stand-in for its server is part of hf_xet: where the Hub names
a folder (`local://...`) as the server, it stores chunks there. Only one process can have that folder open: client and Hub are
the same process.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from pathlib import Path

TIME = "2026-01-01T00:00:00.000Z"


class Buckets:
    """Buckets by name, each with the hash and the size of the file at every path."""

    def __init__(self, folder: Path) -> None:
        self.store = f"local://{folder / 'xet'}"
        self.files: dict[str, dict[str, dict[str, Any]]] = {}

    def create(self, name: str) -> None:
        self.files[name] = {}

    def info(self, name: str) -> dict[str, Any]:
        files = self.files[name]
        size = sum(file["size"] for file in files.values())
        return {"id": name, "private": True, "createdAt": TIME, "size": size, "totalFiles": len(files)}

    def connection(self) -> dict[str, Any]:
        """What a client of hf_xet is told about where its server is."""
        return {"casUrl": self.store, "exp": int(time.time()) + 3600, "accessToken": "xet"}

    def tree(self, name: str, prefix: str, *, recursive: bool) -> list[dict[str, Any]]:
        prefix = f"{unquote(prefix).strip('/')}/".lstrip("/")
        found: dict[str, dict[str, Any]] = {}
        for path, file in sorted(self.files[name].items()):
            if path == prefix.rstrip("/"):
                found[path] = _entry(path, file)
            if not path.startswith(prefix):
                continue
            inner, _, deeper = path[len(prefix) :].partition("/")
            if deeper and not recursive:
                folder = f"{prefix}{inner}"
                found[folder] = {"type": "directory", "path": folder, "uploadedAt": TIME}
            else:
                found[path] = _entry(path, file)
        return list(found.values())

    def batch(self, name: str, body: bytes) -> dict[str, Any]:
        """Every line adds or removes a file; a name that is there is replaced."""
        for line in map(json.loads, body.splitlines()):
            if line["type"] == "addFile":
                content = self.read(line["xetHash"])
                self.files[name][line["path"]] = {"hash": line["xetHash"], "size": len(content)}
            else:
                self.files[name].pop(line["path"], None)
        return {"failed": []}

    def read(self, xet_hash: str) -> bytes:
        import hf_xet

        with hf_xet.XetSession().new_download_stream_group(endpoint=self.store) as group:
            return b"".join(group.download_stream(hf_xet.XetFileInfo(xet_hash)))


def _entry(path: str, file: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "file",
        "path": path,
        "size": file["size"],
        "xetHash": file["hash"],
        "mtime": TIME,
        "uploadedAt": TIME,
    }
