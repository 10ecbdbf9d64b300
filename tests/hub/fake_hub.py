"""A Hub on 127.0.0.1: the protocol that the unmodified clients speak, real commits, and failures on request.

    python tests/hub/fake_hub.py            starts one and prints the environment to set

Large files go to a second origin, as on the real Hub, which must never see a token.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml
from buckets import Buckets  # beside this file

# Token -> (user, role). The role says whether it may write.
TOKENS = {
    "hf_writerSECRETwriter": ("user", "write"),
    "hf_readerSECRETreader": ("user", "read"),
    "hf_otherSECRETother": ("other", "write"),
}
INJECTED = "injected"  # what an answer says that a test has asked for
LIMITS = {"Retry-After": "1"}  # what an answer 429 says of them
LFS_ENDINGS = (".parquet", ".png", ".jpg", ".arrow", ".zip")
GIT_ATTRIBUTES = b"*.parquet filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n"


@dataclass(frozen=True)
class File:
    """A file of a commit: small ones by their content, large ones by their SHA-256."""

    size: int
    content: bytes | None = None
    sha256: str | None = None

    @property
    def oid(self) -> str:
        body = self.content if self.content is not None else f"lfs {self.sha256}".encode()
        return hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()

    @property
    def etag(self) -> str:
        return self.sha256 or self.oid


@dataclass(frozen=True)
class Commit:
    id: str
    parent: str | None
    title: str
    message: str
    author: str
    files: dict[str, File]


@dataclass
class Repo:
    """Commits, one branch and tags."""

    kind: str
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, tuple[str, str]] = field(default_factory=dict)
    large: set[str] = field(default_factory=set)

    def add(self, files: dict[str, File], title: str, author: str, message: str = "") -> Commit:
        parent = self.branches.get("main")
        text = json.dumps([parent, title, author, len(self.commits), {name: f.oid for name, f in files.items()}])
        commit = Commit(hashlib.sha1(text.encode()).hexdigest(), parent, title, message, author, files)
        self.commits[commit.id] = commit
        self.branches["main"] = commit.id
        return commit

    def find(self, revision: str) -> Commit | None:
        name = self.branches.get(revision) or self.tags.get(revision, (None,))[0] or revision
        return self.commits.get(name)


@dataclass(frozen=True)
class Seen:
    """One request, as it was answered."""

    number: int
    method: str
    path: str
    status: int | str
    received: int
    authorized: bool
    origin: str

    def __str__(self) -> str:
        return f"{self.number:3} {self.method:4} {self.path} -> {self.status}"


class Answer(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, code: str = "", message: str = "", headers: dict[str, str] | None = None) -> None:
        self.status, self.code, self.message, self.headers = status, code, message, headers or {}


# Given the number, method and path of a request: what is to go wrong with it.
#   an int       this status instead of doing it
#   "drop"       the connection is closed before anything is done
#   "lost"       it is done, but the connection is closed instead of an answer
#   "html"       status 502 with a page for people
#   "truncate"   half of the body of the answer
#   a callable   called first (for example to commit as somebody else)
Fault = int | str | Callable[[], None]


class FakeHub:
    """Start with `with FakeHub(folder) as hub`; `hub.url` is the endpoint."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or Path(tempfile.mkdtemp(prefix="fake-hub-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.repos: dict[tuple[str, str], Repo] = {}
        self.buckets = Buckets(self.folder)
        self.log: list[Seen] = []
        self.fault: Callable[[int, str, str], Fault | None] = lambda *_: None
        self.lock = threading.RLock()
        self.count = 0
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), self._handler(origin)) for origin in ("hub", "storage")]
        for server in self.servers:
            server.daemon_threads = True
        self.url, self.storage = (f"http://127.0.0.1:{server.server_port}" for server in self.servers)

    def __enter__(self) -> FakeHub:  # noqa: PYI034 - Self needs Python 3.11
        for server in self.servers:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def reset(self) -> None:
        """Forget the log and all faults; what is stored stays."""
        with self.lock:
            self.log, self.count, self.fault = [], 0, lambda *_: None

    def fail(self, number: int, fault: Fault) -> None:
        """Let exactly the request with this number (from 1) go wrong."""
        self.fault = lambda count, *_: fault if count == number else None

    def repo(self, name: str) -> Repo:
        return self.repos["datasets", name]

    def commit_as_somebody(self, name: str, path: str = "notes.txt", content: bytes = b"hello") -> None:
        """A commit by somebody else, such as from the website."""
        with self.lock:
            repo = self.repo(name)
            files = repo.commits[repo.branches["main"]].files
            repo.add({**files, path: File(len(content), content)}, f"Upload {path}", "somebody")

    def content(self, file: File) -> bytes:
        return file.content if file.content is not None else (self.folder / str(file.sha256)).read_bytes()

    @property
    def uploaded(self) -> list[str]:
        """The SHA-256 of every large file that arrived, in order, since the last reset."""
        return [seen.path.rpartition("/")[2] for seen in self.log if seen.method == "PUT" and seen.received]

    def _handler(self, origin: str) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body go out in two pieces, of which the second would wait 40 ms for the first to be received.
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                _Exchange(hub, self, origin).run()

            do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        return Handler


class _Exchange:
    """One request and its answer."""

    def __init__(self, hub: FakeHub, handler: BaseHTTPRequestHandler, origin: str) -> None:
        self.hub, self.handler, self.origin = hub, handler, origin
        parts = urlsplit(handler.path)
        self.path = unquote(parts.path)
        self.query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        self.method = handler.command
        self.received = 0
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        self.has_token = bool(token)
        self.user, self.role = TOKENS.get(token, (None, None))

    def run(self) -> None:
        with self.hub.lock:
            self.hub.count += 1
            number = self.hub.count
        fault = self.hub.fault(number, self.method, self.path)
        if callable(fault):
            fault()
            fault = None
        body = self._body() if self.origin == "hub" else b""  # also of one that is dropped: unread it would be reset
        if fault == "drop":
            self._record(number, "drop")
            self._close()
            return
        status, headers, content = self._result(fault, body)
        self._record(number, "lost" if fault == "lost" else status)
        if fault == "lost":
            self._close()
            return
        self._answer(status, headers, content, cut=fault == "truncate")

    def _result(self, fault: Fault | None, body: bytes) -> tuple[int, dict[str, str], bytes | Path]:
        """What there is to answer."""
        if fault == "html":
            return 502, {"Content-Type": "text/html"}, b"<html><h1>502 Bad Gateway</h1></html>"
        try:
            if isinstance(fault, int):
                raise Answer(fault, message=INJECTED, headers=LIMITS if fault == 429 else {})
            if self.has_token and self.user is None and self.origin == "hub":
                raise Answer(401, message="Invalid credentials in Authorization header")
            return self._routed(body)
        except Answer as answer:
            headers = dict(answer.headers)
            if answer.code:
                headers["X-Error-Code"] = answer.code
            if answer.message:
                headers["X-Error-Message"] = answer.message
            return answer.status, headers, json.dumps({"error": answer.message or answer.code}).encode()

    def _record(self, number: int, status: int | str) -> None:
        with self.hub.lock:
            self.hub.log.append(
                Seen(number, self.method, self.path, status, self.received, self.has_token, self.origin)
            )

    def _close(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.close()

    def _answer(self, status: int, headers: dict[str, str], content: bytes | Path, *, cut: bool) -> None:
        handler = self.handler
        handler.send_response(status)
        size = content.stat().st_size if isinstance(content, Path) else len(content)
        start, end = 0, size
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range") or "")
        if wanted and status == 200:
            start, end = int(wanted[1]), min(size, int(wanted[2]) + 1 if wanted[2] else size)
            handler._headers_buffer.clear()
            handler.send_response(206)
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        headers.setdefault("Content-Type", "application/json")
        headers.setdefault("Content-Length", str(end - start))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if self.method == "HEAD":
            return
        if cut:
            end = start + (end - start) // 2
        if isinstance(content, Path):
            with content.open("rb") as file:
                file.seek(start)
                left = end - start
                while left and (piece := file.read(min(left, 1 << 20))):
                    handler.wfile.write(piece)
                    left -= len(piece)
        else:
            handler.wfile.write(content[start:end])
        if cut:
            self._close()

    def _chunks(self) -> Any:
        """The body, piece by piece."""
        headers, file = self.handler.headers, self.handler.rfile
        if "chunked" in (headers.get("Transfer-Encoding") or ""):
            while size := int(file.readline().split(b";")[0], 16):
                yield file.read(size)
                file.readline()
            file.readline()
            return
        left = int(headers.get("Content-Length") or 0)
        while left:
            piece = file.read(min(left, 1 << 20))
            if not piece:
                raise ConnectionError("the client went away")
            left -= len(piece)
            yield piece

    def _body(self) -> bytes:
        body = b"".join(self._chunks())
        self.received = len(body)
        return body

    # Routes

    def _routed(self, body: bytes) -> tuple[int, dict[str, str], bytes | Path]:
        if self.origin == "storage":
            return self._store()
        with self.hub.lock:
            for method, pattern, handle in ROUTES:
                match = re.fullmatch(pattern, self.path)
                if match and self.method in method:
                    found = handle(self, body, **{name: value or "" for name, value in match.groupdict().items()})
                    return found if isinstance(found, tuple) else (200, {}, json.dumps(found).encode())
        raise Answer(404, "EntryNotFound", f"no route for {self.method} {self.path}")

    def _store(self) -> tuple[int, dict[str, str], bytes | Path]:
        name = self.path.rpartition("/")[2]
        path = self.hub.folder / name
        if self.method != "PUT":
            if not path.exists():
                raise Answer(404)
            return 200, {"ETag": f'"{name}"', "Content-Type": "application/octet-stream"}, path
        partial = Path(tempfile.mkstemp(dir=self.hub.folder)[1])
        digest = hashlib.sha256()
        with partial.open("wb") as file:
            for piece in self._chunks():
                digest.update(piece)
                file.write(piece)
                self.received += len(piece)
        if digest.hexdigest() != name:
            raise Answer(400, message="the checksum is another one")
        partial.replace(path)
        return 200, {}, b""

    def _repo(self, kind: str, name: str, *, write: bool = False) -> Repo:
        repo = self.hub.repos.get((kind or "models", name))  # the pages of models have no prefix
        if repo is None or (repo.private and name.partition("/")[0] != self.user):
            raise Answer(404 if self.user else 401, "RepoNotFound", "Repository not found")
        if write:
            self._may_write(name.partition("/")[0])
        return repo

    def _may_write(self, namespace: str) -> None:
        if self.user is None:
            raise Answer(401, message="Invalid username or password.")
        if self.role != "write" or namespace != self.user:
            raise Answer(403, message=f"You don't have the rights to write under the namespace {namespace!r}")

    def _commit(self, repo: Repo, revision: str) -> Commit:
        commit = repo.find(revision)
        if commit is None:
            raise Answer(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return commit

    def whoami(self, _: bytes) -> Any:
        if self.user is None:
            raise Answer(401, message="Invalid username or password.")
        return {
            "type": "user",
            "name": self.user,
            "orgs": [],
            "auth": {"accessToken": {"displayName": "t", "role": self.role}},
        }

    def validate_yaml(self, _: bytes) -> Any:
        return {"errors": [], "warnings": []}

    def may_write(self, _: bytes, kind: str, name: str) -> Any:
        self._repo(kind, name, write=True)
        return {}

    def create(self, body: bytes) -> Any:
        asked = json.loads(body)
        owner = asked.get("organization") or self.user
        self._may_write(str(owner))
        key = (f"{asked.get('type', 'model')}s", f"{owner}/{asked['name']}")
        url = f"{self.hub.url}/{key[0]}/{key[1]}"
        if key in self.hub.repos:
            return 409, {}, json.dumps({"error": "You already created this dataset repo", "url": url}).encode()
        # The client says visibility since 1.0.
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.hub.repos[key] = Repo(*key, private=private)
        self.hub.repos[key].add({".gitattributes": File(len(GIT_ATTRIBUTES), GIT_ATTRIBUTES)}, "initial commit", owner)
        return {"url": url, "name": key[1]}

    def info(self, _: bytes, kind: str, name: str, revision: str = "main") -> Any:
        repo = self._repo(kind, name)
        commit = self._commit(repo, revision)
        return {
            "id": name,
            "sha": commit.id,
            "private": repo.private,
            "gated": False,
            "disabled": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "lastModified": "2026-01-01T00:00:00.000Z",
            "createdAt": "2026-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path} for path in commit.files],
            "cardData": _card_data(commit.files.get("README.md")),
        }

    def refs(self, _: bytes, kind: str, name: str) -> Any:
        repo = self._repo(kind, name)
        return {
            "branches": [
                {"name": one, "ref": f"refs/heads/{one}", "targetCommit": commit}
                for one, commit in repo.branches.items()
            ],
            "tags": [
                {"name": one, "ref": f"refs/tags/{one}", "targetCommit": commit}
                for one, (commit, _) in repo.tags.items()
            ],
            "converts": [],
        }

    def commits(self, _: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name)
        commit: Commit | None = self._commit(repo, revision)
        found = []
        while commit is not None:
            found.append(
                {
                    "id": commit.id,
                    "title": commit.title,
                    "message": commit.message,
                    "authors": [{"user": commit.author}],
                    "date": "2026-01-01T00:00:00.000Z",
                }
            )
            commit = repo.commits.get(commit.parent or "")
        return found

    def tree(self, _: bytes, kind: str, name: str, revision: str, path: str = "") -> Any:
        files = self._commit(self._repo(kind, name), revision).files
        prefix = f"{path.strip('/')}/" if path.strip("/") else ""
        below = {one: file for one, file in files.items() if one.startswith(prefix)}
        if prefix and not below:
            raise Answer(404, "EntryNotFound", f"{path} does not exist")
        folders = {
            one[: place.start()]
            for one in below
            for place in re.finditer("/", one)
            if place.start() >= len(prefix)
            and (self.query.get("recursive") == "true" or "/" not in one[len(prefix) : place.start()])
        }
        entries = [{"type": "directory", "oid": "0" * 40, "size": 0, "path": one} for one in sorted(folders)]
        shown = self.query.get("recursive") == "true"
        return entries + [_entry(one, file) for one, file in below.items() if shown or "/" not in one[len(prefix) :]]

    def paths_info(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        files = self._commit(self._repo(kind, name), revision).files
        if "json" in (self.handler.headers.get("Content-Type") or ""):
            asked = json.loads(body)["paths"]
        else:
            asked = parse_qs(body.decode())["paths"]
        found = []
        for path in [asked] if isinstance(asked, str) else asked:
            if path in files:
                found.append(_entry(path, files[path]))
            elif any(one.startswith(f"{path}/") for one in files):
                found.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": path})
        return found

    def preupload(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name, write=True)
        files = self._commit(repo, revision).files
        return {
            "files": [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if one["path"].endswith(LFS_ENDINGS) else "regular",
                    "shouldIgnore": self._is_ignored(files, one["path"]),
                    **({"oid": files[one["path"]].etag} if one["path"] in files else {}),
                }
                for one in json.loads(body)["files"]
            ]
        }

    def _is_ignored(self, files: dict[str, File], path: str) -> bool:
        """By the .gitignore of the branch: names, paths, folders, and `!` for what stays."""
        ignored = False
        for line in self.hub.content(files[".gitignore"]).decode().split() if ".gitignore" in files else ():
            pattern = line.removeprefix("!").strip("/")
            parts = path.split("/")
            places = [path, parts[-1], *("/".join(parts[:depth]) for depth in range(1, len(parts))), *parts[:-1]]
            if any(fnmatch(place, pattern) for place in places):
                ignored = not line.startswith("!")
        return ignored

    def batch(self, body: bytes, kind: str, name: str) -> Any:
        repo = self._repo(kind, name, write=True)
        objects = []
        for one in json.loads(body)["objects"]:
            there = (self.hub.folder / one["oid"]).exists()
            if there:
                repo.large.add(one["oid"])
            actions = {
                "upload": {"href": f"{self.hub.storage}/{one['oid']}"},
                "verify": {"href": f"{self.hub.url}/{kind}/{name}.git/info/lfs/objects/verify"},
            }
            objects.append({**one, **({} if there else {"actions": actions})})
        return {"transfer": "basic", "objects": objects}

    def verify(self, body: bytes, kind: str, name: str) -> Any:
        repo = self._repo(kind, name, write=True)
        asked = json.loads(body)
        path = self.hub.folder / asked["oid"]
        if not path.exists() or path.stat().st_size != asked["size"]:
            raise Answer(404, message="object not found")
        repo.large.add(asked["oid"])
        return {}

    def commit(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name, write=True)
        lines = [json.loads(line) for line in body.splitlines()]
        header = next(line["value"] for line in lines if line["key"] == "header")
        head = repo.branches["main"]
        if header.get("parentCommit") not in (None, head):
            raise Answer(412, message="A commit has happened since. Please refresh and try again.")
        files = dict(repo.commits[head].files)
        for line in lines:
            value, path = line["value"], line["value"].get("path", "")
            if line["key"] == "file":
                content = base64.b64decode(value["content"])
                files[path] = File(len(content), content)
            elif line["key"] == "lfsFile":
                stored = self.hub.folder / value["oid"]
                if not stored.exists():
                    raise Answer(400, message=f"LFS pointer of {path} points to nothing")
                # The client copies a file within a repository by its checksum alone.
                files[path] = File(stored.stat().st_size, sha256=value["oid"])
            elif line["key"] == "deletedFile":
                if path not in files:
                    raise Answer(400, message=f"{path} does not exist")
                del files[path]
            elif line["key"] == "deletedFolder":
                files = {one: file for one, file in files.items() if not one.startswith(path.rstrip("/") + "/")}
        made = repo.add(files, header["summary"], str(self.user), header.get("description", ""))
        return {"success": True, "commitOid": made.id, "commitUrl": f"{self.hub.url}/{kind}/{name}/commit/{made.id}"}

    def tag(self, body: bytes, kind: str, name: str, revision: str) -> Any:
        repo = self._repo(kind, name, write=True)
        asked = json.loads(body)
        commit = self._commit(repo, revision)
        if asked["tag"] in repo.tags:
            raise Answer(409, message="Tag reference exists already")
        repo.tags[asked["tag"]] = (commit.id, asked.get("message", ""))
        return {}

    def delete_tag(self, _: bytes, kind: str, name: str, revision: str) -> Any:
        self._repo(kind, name, write=True).tags.pop(revision, None)
        return {}

    def resolve(self, _: bytes, kind: str, name: str, revision: str, path: str) -> Any:
        commit = self._commit(self._repo(kind, name), revision)
        file = commit.files.get(path)
        if file is None:
            raise Answer(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit.id})
        headers = {"X-Repo-Commit": commit.id, "ETag": f'"{file.oid}"', "Accept-Ranges": "bytes"}
        if file.sha256:
            linked = {"X-Linked-Etag": f'"{file.sha256}"', "X-Linked-Size": str(file.size)}
            location = {"Location": f"{self.hub.storage}/{quote(file.sha256)}"}
            return 302, {**headers, **linked, **location}, b""
        return 200, {**headers, "Content-Type": "text/plain"}, file.content or b""

    def _bucket(self, name: str, *, write: bool = False) -> str:
        if name not in self.hub.buckets.files or name.partition("/")[0] != self.user:
            raise Answer(404 if self.user else 401, "RepoNotFound", "Bucket not found")
        if write:
            self._may_write(name.partition("/")[0])
        return name

    def bucket_create(self, _: bytes, name: str) -> Any:
        self._may_write(name.partition("/")[0])
        if name in self.hub.buckets.files:
            raise Answer(409, message="You already created this bucket")
        self.hub.buckets.create(name)
        return {"id": name, "name": name, "url": f"{self.hub.url}/buckets/{name}"}

    def bucket_info(self, _: bytes, name: str) -> Any:
        return self.hub.buckets.info(self._bucket(name))

    def bucket_tree(self, _: bytes, name: str, path: str) -> Any:
        recursive = self.query.get("recursive", "").lower() == "true"
        return self.hub.buckets.tree(self._bucket(name), path, recursive=recursive)

    def bucket_batch(self, body: bytes, name: str) -> Any:
        return self.hub.buckets.batch(self._bucket(name, write=True), body)

    def bucket_connection(self, _: bytes, name: str, kind: str) -> Any:
        self._bucket(name, write=kind == "write")
        return self.hub.buckets.connection()

    def bucket_file(self, _: bytes, name: str, path: str) -> Any:
        file = self.hub.buckets.files[self._bucket(name)].get(path)
        if file is None:
            raise Answer(404, "EntryNotFound", "Entry not found")
        return 200, {"Content-Type": "application/octet-stream"}, self.hub.buckets.read(file["hash"])


def _card_data(readme: File | None) -> Any:
    """The metadata above a README, as the Hub reads it."""
    head = re.match(rb"---\n(.*?)\n---", (readme.content or b"") if readme else b"", re.DOTALL)
    return yaml.safe_load(head[1]) if head else None


def _entry(path: str, file: File) -> dict[str, Any]:
    lfs = {"oid": file.sha256, "size": file.size, "pointerSize": 130} if file.sha256 else None
    return {"type": "file", "oid": file.oid, "size": file.size, "path": path, **({"lfs": lfs} if lfs else {})}


_REPO = r"/api/(?P<kind>datasets|models)/(?P<name>[^/]+/[^/]+)"
_PAGE = r"(?:/(?P<kind>datasets))?/(?P<name>[^/]+/[^/]+)"
_BUCKET = r"/api/buckets/(?P<name>[^/]+/[^/]+)"
_REV = r"/(?P<revision>[^/]+)"
ROUTES: list[tuple[str, str, Callable[..., Any]]] = [
    ("GET", "/api/whoami-v2", _Exchange.whoami),
    ("POST", "/api/validate-yaml", _Exchange.validate_yaml),
    ("POST", "/api/repos/create", _Exchange.create),
    ("GET", _REPO, _Exchange.info),
    ("GET", f"{_REPO}/revision{_REV}", _Exchange.info),
    ("GET", f"{_REPO}/auth-check/write", _Exchange.may_write),
    ("GET", f"{_REPO}/refs", _Exchange.refs),
    ("GET", f"{_REPO}/commits{_REV}", _Exchange.commits),
    ("GET", f"{_REPO}/tree{_REV}(?P<path>/.*)?", _Exchange.tree),
    ("POST", f"{_REPO}/paths-info{_REV}", _Exchange.paths_info),
    ("POST", f"{_REPO}/preupload{_REV}", _Exchange.preupload),
    ("POST", f"{_REPO}/commit{_REV}", _Exchange.commit),
    ("POST", f"{_REPO}/tag{_REV}", _Exchange.tag),
    ("DELETE", f"{_REPO}/tag{_REV}", _Exchange.delete_tag),
    ("POST", rf"{_PAGE}\.git/info/lfs/objects/batch", _Exchange.batch),
    ("POST", rf"{_PAGE}\.git/info/lfs/objects/verify", _Exchange.verify),
    ("POST", _BUCKET, _Exchange.bucket_create),
    ("GET", _BUCKET, _Exchange.bucket_info),
    ("GET", f"{_BUCKET}/tree(?P<path>/.*)?", _Exchange.bucket_tree),
    ("POST", f"{_BUCKET}/batch", _Exchange.bucket_batch),
    ("GET", f"{_BUCKET}/xet-(?P<kind>read|write)-token", _Exchange.bucket_connection),
    ("GET HEAD", r"/buckets/(?P<name>[^/]+/[^/]+)/resolve/(?P<path>.+)", _Exchange.bucket_file),
    ("GET HEAD", f"{_PAGE}/resolve{_REV}/(?P<path>.+)", _Exchange.resolve),
]


def main() -> None:
    """Run until interrupted."""
    with FakeHub(Path(sys.argv[1]) if len(sys.argv) > 1 else None) as hub:
        token = next(iter(TOKENS))
        print(f"export HF_ENDPOINT={hub.url} HF_TOKEN={token} HF_HUB_DISABLE_XET=1", flush=True)
        while True:
            time.sleep(3600)


if __name__ == "__main__":
    main()
