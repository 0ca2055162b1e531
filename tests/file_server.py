"""A server of files on this machine that breaks off, moves and refuses, and plays any host behind a proxy."""

import http.server
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Answer = Callable[[Any], None]
"""Answers one request, in place of the file."""
NAMES = (
    "huggingface.co",
    "*.huggingface.co",
    "*.hf.co",
    "*.xethub.hf.co",
    "download.pytorch.org",
    "github.com",
    "*.githubusercontent.com",
    "drive.google.com",
    "drive.usercontent.google.com",
    "evil.example",
)
"""Hosts that the certificate is for."""


@dataclass
class FileServer:
    """What is served, and what was asked for."""

    files: dict[str, bytes] = field(default_factory=dict)
    """Path, or host and path, -> content."""
    moves: dict[str, str] = field(default_factory=dict)
    """Path, or host and path, -> address of a redirect."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with every response."""
    extra: dict[str, dict[str, str]] = field(default_factory=dict)
    """Path -> more headers, sent with its responses."""
    script: list[Answer] = field(default_factory=list)
    """Answers the first requests, one each."""
    cuts: list[int] = field(default_factory=list)
    """Bytes after which the first responses break off, one each."""
    etag: str | None = '"one"'
    """Mark of the version; None for none."""
    has_ranges: bool = True
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    """Host, path and range of each request."""
    address: str = ""

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]

    @property
    def ranges(self) -> list[str]:
        return [span for _, _, span in self.requests]


def status(code: int, **headers: object) -> Answer:
    """Answers with a status and without a body."""

    def answer(request: Any) -> None:
        request.send_response(code)
        for name, value in {"Content-Length": 0, **headers}.items():
            request.send_header(name.replace("_", "-"), str(value))
        request.end_headers()

    return answer


def page(text: str) -> Answer:
    """Answers with a page."""

    def answer(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/html; charset=utf-8")
        request.send_header("Content-Length", str(len(text.encode())))
        request.end_headers()
        request.wfile.write(text.encode())

    return answer


def content(request: Any) -> None:
    """Answers with the file: whole, the rest of it, or its beginning where the connection is to break off."""
    state: FileServer = request.server.state
    path, whole = _path(request), f"{request.headers.get('Host', '')}{_path(request)}"
    if target := state.moves.get(whole, state.moves.get(path)):
        return status(302, Location=target, **state.headers)(request)
    if (body := state.files.get(whole, state.files.get(path))) is None:
        return status(404)(request)
    start, size = _first_byte(request, state), len(body)
    if start >= size:
        return status(416, Content_Range=f"bytes */{size}")(request)
    request.send_response(206 if start else 200)
    if start:
        request.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    marks = {"ETag": state.etag} if state.etag else {}
    extra = {**state.headers, **state.extra.get(path, {})}
    for name, value in {**marks, **extra, "Content-Length": str(size - start)}.items():
        request.send_header(name, value)
    request.end_headers()
    if request.command == "HEAD":
        return None
    cut = state.cuts.pop(0) if state.cuts else size
    request.wfile.write(body[start : start + cut])
    return None


def _path(request: Any) -> str:
    """The path that is asked for; a proxy is asked for the whole address."""
    return re.sub(r"^https?://[^/]+", "", request.path)


def _first_byte(request: Any, state: FileServer) -> int:
    span = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    is_same = request.headers.get("If-Range", state.etag) == state.etag
    return int(span[1]) if span and state.has_ranges and is_same else 0


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """Clients that leave are no news."""


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        state: FileServer = self.server.state  # type: ignore[attr-defined]
        state.requests.append((self.headers.get("Host", ""), _path(self), self.headers.get("Range", "")))
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):
            (state.script.pop(0) if state.script else content)(self)
        self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 (the library's name)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(*, context: ssl.SSLContext | None = None, **words: Any) -> Iterator[FileServer]:
    """A server that runs meanwhile; `context` makes it speak TLS."""
    state = FileServer(**words)
    server = _Server(("127.0.0.1", 0), _Handler)
    server.state = state  # type: ignore[attr-defined]
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    state.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for all `NAMES` and its key, made by openssl."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    usage = "keyUsage=critical,digitalSignature,keyCertSign"  # without, Python 3.13 refuses it
    names = ",".join(f"DNS:{name}" for name in NAMES)
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test"
    )
    words = [
        *command.split(),
        "-addext",
        f"subjectAltName={names}",
        "-addext",
        usage,
        "-out",
        str(cert),
        "-keyout",
        str(key),
    ]
    subprocess.run(words, check=True, capture_output=True)
    return cert, key


@contextmanager
def proxy_to(port: int) -> Iterator[tuple[str, list[str]]]:
    """A proxy that connects every host with `port` of this machine: its address, and the hosts asked for."""
    hosts: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_CONNECT(self) -> None:
            hosts.append(self.path)
            self.send_response(200)
            self.end_headers()
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as there:
                threading.Thread(target=_pump, args=(self.connection, there), daemon=True).start()
                _pump(there, self.connection)
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", hosts
    finally:
        server.shutdown()
        server.server_close()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Carry bytes from one socket to the other until it ends."""
    with suppress(OSError):
        while chunk := source.recv(1 << 16):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)


@contextmanager
def the_world(folder: Path, **words: Any) -> Iterator[tuple[FileServer, dict[str, str]]]:
    """A server that plays every host of `NAMES`, and the variables with which a process takes it for them."""
    cert, key = certificate(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with served(context=context, **words) as server:
        port = int(server.address.rpartition(":")[2])
        with proxy_to(port) as (address, _):
            yield server, {"HTTPS_PROXY": address, "SSL_CERT_FILE": str(cert)}
