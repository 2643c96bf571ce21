"""A hub on this machine: as much of its HTTP interface as huggingface_hub needs to download."""

from __future__ import annotations

import hashlib
import threading
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    """What was asked: ``place`` is "hub" or "cdn"."""

    method: str
    place: str
    path: str
    start: int | None
    token: str | None


@dataclass
class FakeHub:
    """Files by (repository, path). Large ones are served, as on the real hub, by another host.

    ``failures`` by repository: (status, headers). ``lose_after``: bytes after which the next
    downloads are cut, one entry each. ``delay``: seconds before every answer.
    """

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    small: set[tuple[str, str]] = field(default_factory=set)
    failures: dict[str, tuple[int, dict[str, str]]] = field(default_factory=dict)
    lose_after: list[int] = field(default_factory=list)
    served_instead: bytes | None = None
    etag: str | None = None
    commit: str = "c0ffee" + "0" * 34
    tags: dict[str, str] = field(default_factory=dict)
    accept_ranges: bool = True
    announce_size: bool = True
    delay: float = 0.0
    port: int = 0
    requests: list[Request] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The endpoint."""
        return f"http://127.0.0.1:{self.port}"

    def downloads(self) -> list[Request]:
        """The requests for content."""
        return [request for request in self.requests if request.method == "GET"]

    def commits(self) -> dict[str, str]:
        """Commit by the names it can be asked by."""
        known = {"main": self.commit, **self.tags}
        return known | {commit: commit for commit in known.values()}


@contextmanager
def serving(hub: FakeHub) -> Iterator[FakeHub]:
    """Serve until the end of the block, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *arguments: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer("HEAD")

        def do_GET(self) -> None:
            self._answer("GET")

        def _answer(self, method: str) -> None:
            time.sleep(hub.delay)
            path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
            words = path.strip("/").split("/")
            place = "cdn" if words[0] == "cdn" else "hub"
            ranges = self.headers.get("Range")
            start = int(ranges.removeprefix("bytes=").rstrip("-")) if ranges else None
            token = self.headers.get("Authorization")
            hub.requests.append(Request(method, place, path, start, token))
            if place == "cdn":
                self._content(next(c for c in hub.files.values() if _sha(c) == words[1]), start)
                return
            repo, revision, name = "/".join(words[:2]), words[3], "/".join(words[4:])
            if repo in hub.failures:
                status, headers = hub.failures[repo]
                self._end(status, headers, b"<!doctype html><p>sorry")
                return
            if revision not in hub.commits():
                self._end(404, {"X-Error-Code": "RevisionNotFound"})
                return
            commit = {"X-Repo-Commit": hub.commits()[revision]}
            content = hub.files.get((repo, name))
            if content is None:
                known = any(repo == other for other, _ in hub.files)
                code = "EntryNotFound" if known else "RepoNotFound"
                self._end(404 if known else 401, {"X-Error-Code": code})
            elif (repo, name) in hub.small:
                headers = {"ETag": '"' + hashlib.sha1(content).hexdigest() + '"'}
                self._end(200, commit | headers, content, bodiless=method == "HEAD")
            else:
                headers = {
                    "X-Linked-Etag": f'"{hub.etag or _sha(content)}"',
                    "Location": f"http://localhost:{hub.port}/cdn/{_sha(content)}",
                }
                if hub.announce_size:
                    headers["X-Linked-Size"] = str(len(content))
                self._end(302, commit | headers)

        def _content(self, content: bytes, start: int | None) -> None:
            if hub.served_instead is not None:
                content = hub.served_instead
            headers, status = {}, 200
            if start is not None and hub.accept_ranges:
                if start >= len(content):
                    self._end(416, {})
                    return
                headers = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
                content, status = content[start:], 206
            lose = hub.lose_after.pop(0) if hub.lose_after else None
            self._end(status, headers, content, lose=lose)

        def _end(
            self,
            status: int,
            headers: dict[str, str],
            body: bytes = b"",
            *,
            bodiless: bool = False,
            lose: int | None = None,
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if not bodiless and self.command != "HEAD":
                self.wfile.write(body[:lose])
            if lose is not None:
                self.wfile.flush()
                self.close_connection = True

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up in the middle, as cancelling does, is no event."""

    server = Server(("127.0.0.1", 0), Handler)
    hub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
