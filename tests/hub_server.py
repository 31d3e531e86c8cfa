"""A server on loopback that speaks the hub's API: repositories of models and data sets, with commits that may move.

Only what ``huggingface_hub``, ``transformers`` and ``datasets`` ask for while they load: information on a revision, a
tree of files, and files with the hub's headers; and what goes wrong: nothing there, gated, cut off on the way.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

_API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<name>[^/]+?(?:/[^/]+?)?)(?:/(?P<what>revision|tree|paths-info)/(?P<rest>.*))?$"
)
_FILE = re.compile(r"/(?P<kind>datasets/)?(?P<name>[^/]+(?:/[^/]+)?)/resolve/(?P<revision>[^/]+)/(?P<path>.+)$")


@dataclass
class Repository:
    """A repository.

    Attributes:
        commits: Files of each commit by its id, the oldest first.
        gated: Whether nobody may read its files.
        cut: Names of files of which half is sent.
    """

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    gated: bool = False
    cut: set[str] = field(default_factory=set)

    def commit(self, revision: str) -> str | None:
        """The commit that a branch or an id stands for."""
        if revision == "main":
            return list(self.commits)[-1]
        return revision if revision in self.commits else None


class Hub:
    """The server, from when it is made until :meth:`close`.

    Attributes:
        repositories: Those that there are, by kind and name.
        asked: Paths of all requests so far.
        down: Whether every request fails.
    """

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.asked: list[str] = []
        self.down = False
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Value of ``HF_ENDPOINT``."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def push(self, kind: str, name: str, files: dict[str, bytes] | Path) -> str:
        """Add a commit to a repository, which is made where it is not there.

        Args:
            kind: ``models`` or ``datasets``.
            name: ``owner/name``.
            files: All files of the commit by name, or a folder.

        Returns:
            The commit's id.
        """
        if isinstance(files, Path):
            files = {str(file.relative_to(files)): file.read_bytes() for file in files.rglob("*") if file.is_file()}
        repository = self.repositories.setdefault((kind, name), Repository())
        digest = hashlib.sha1(json.dumps([name, len(repository.commits)]).encode())
        for path in sorted(files):
            digest.update(path.encode() + files[path])
        repository.commits[digest.hexdigest()] = files
        return digest.hexdigest()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: ClassVar[Hub]

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(self.rfile.read(length))

    def _answer(self, body: bytes = b"") -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append(f"{self.command} {self.path}")
        if self.hub.down:
            self._send(503, b"down")
        elif (api := _API.match(path)) is not None:
            self._api(**api.groupdict(), body=body)
        elif (file := _FILE.match(path)) is not None:
            self._file(**file.groupdict())
        else:
            self._error(404, "", "Not Found")

    def _api(self, kind: str, name: str, what: str | None, rest: str | None, body: bytes) -> None:
        repository = self.hub.repositories.get((kind, name))
        if repository is None:
            return self._error(401, "RepoNotFound", "Invalid username or password.")
        revision, _, folder = (rest or "main").partition("/")
        commit = repository.commit(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        files = repository.commits[commit]
        if what == "tree":
            found = _tree(files, folder, recursive="recursive=true" in self.path.lower())
            return self._json(found) if found or not folder else self._error(404, "EntryNotFound", "Entry not found")
        if what == "paths-info":
            wanted = _posted_paths(self.headers.get("Content-Type", ""), body)
            return self._json([entry for entry in _tree(files, "", recursive=True) if entry["path"] in wanted])
        return self._json(
            {
                "id": name,
                "modelId": name,
                "sha": commit,
                "private": False,
                "gated": "manual" if repository.gated else False,
                "disabled": False,
                "tags": [],
                "downloads": 0,
                "likes": 0,
                "siblings": [{"rfilename": path} for path in files],
            }
        )

    def _file(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repository = self.hub.repositories.get(("datasets" if kind else "models", name))
        if repository is None:
            return self._error(401, "RepoNotFound", "Repository not found")
        commit = repository.commit(revision)
        if commit is None:
            return self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        if repository.gated:
            return self._error(401, "GatedRepo", f"Access to model {name} is restricted.")
        content = repository.commits[commit].get(path)
        if content is None:
            return self._error(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        headers = {
            "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
            "X-Repo-Commit": commit,
            "Accept-Ranges": "bytes",
        }
        status, start = 200, 0
        if (asked := re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))) is not None:
            status, start = 206, int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return self._send(status, content[start:], headers, cut=path in repository.cut)

    def _json(self, content: Any) -> None:
        self._send(200, json.dumps(content).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self._send(
            status, b"", {**({"X-Error-Code": code} if code else {}), "X-Error-Message": message, **(headers or {})}
        )

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut and self.command != "HEAD":
            self.close_connection = True


def _tree(files: dict[str, bytes], folder: str, *, recursive: bool) -> list[dict[str, Any]]:
    """What lies in a folder: files, and folders where these are not opened."""
    start = f"{folder}/" if folder else ""
    inside = {path: content for path, content in files.items() if path.startswith(start)}
    found: dict[str, dict[str, Any]] = {}
    for path, content in inside.items():
        below, _, rest = path.removeprefix(start).partition("/")
        if rest and not recursive:
            found[start + below] = {"type": "directory", "path": start + below, "size": 0, "oid": "0"}
        else:
            oid = hashlib.sha1(content).hexdigest()
            found[path] = {"type": "file", "path": path, "size": len(content), "oid": oid}
    return list(found.values())


def _posted_paths(kind: str, body: bytes) -> set[str]:
    if "json" in kind:
        return set(json.loads(body)["paths"])
    from urllib.parse import parse_qs

    return set(parse_qs(body.decode()).get("paths", []))
