"""Servers that stream without end, send what unpacks, or redirect elsewhere: one line, and little memory."""

import http.server
import socket
import threading
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from residua.data import hub, ranges
from residua.data.items import Members
from residua.data.open import find
from residua.data.sources.shards import list_shards
from residua.errors import DataError, UnreachableError

pytest.importorskip("aiohttp")
CHUNK = b" " * (1 << 16)
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]


class Server(http.server.ThreadingHTTPServer):
    """Gives every request to `answer`, and notes its path."""

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        self.paths: list[str] = []
        seen = self.paths

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(self.path)
                try:
                    answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Server]]:
    servers: list[Server] = []

    def start(answer: Answer) -> Server:
        servers.append(server := Server(answer))
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def little_memory() -> Iterator[None]:
    """The test allocates less than 80 MiB at once: twice the longest index and some."""
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 80 << 20


def reply(request: http.server.BaseHTTPRequestHandler, status: int, **headers: object) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), str(value))
    request.end_headers()


def endless(request: http.server.BaseHTTPRequestHandler) -> None:
    reply(request, 200)
    while True:
        request.wfile.write(CHUNK)


def huge(request: http.server.BaseHTTPRequestHandler) -> None:
    reply(request, 200, Content_Length=1 << 40)
    while True:
        request.wfile.write(CHUNK)


def packed_bomb(request: http.server.BaseHTTPRequestHandler) -> None:
    """Sent although nobody accepts it: it becomes a thousand times as long."""
    packer = zlib.compressobj(wbits=31)
    body = b"".join(packer.compress(CHUNK) for _ in range(1 << 11)) + packer.flush()
    reply(request, 200, Content_Encoding="gzip", Content_Length=len(body))
    request.wfile.write(body)


@pytest.mark.usefixtures("little_memory")
@pytest.mark.parametrize("answer", [endless, huge, packed_bomb])
def test_an_index_has_a_limit(serve: Callable[[Answer], Server], answer: Answer) -> None:
    server = serve(answer)
    with pytest.raises(DataError, match=r"index\.json is (larger|sent)") as caught:
        find(server.address)
    assert caught.value.exit_code == 4
    assert len(server.paths) == 1  # it would be no better at a second attempt


def test_an_index_that_trickles_is_given_up(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def trickle(request: http.server.BaseHTTPRequestHandler) -> None:
        reply(request, 200)
        while not over.wait(0.05):
            request.wfile.write(b" ")

    monkeypatch.setattr(ranges, "_SECONDS", 0.4)
    with pytest.raises(UnreachableError, match="no answer"):
        find(serve(trickle).address)
    over.set()


@pytest.mark.usefixtures("little_memory")
def test_a_range_is_no_longer_than_was_asked_for(serve: Callable[[Answer], Server], packed: Path) -> None:
    """By a server that knows ranges and sends another one, without end."""

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if "Range" in request.headers:
            reply(request, 206)
            while True:
                request.wfile.write(CHUNK)
        body = (packed / request.path[1:]).read_bytes()
        reply(request, 200, Content_Length=len(body))
        request.wfile.write(body)

    images = list_shards(serve(answer).address).train
    assert isinstance(images.files, Members)
    images.prefetch(images.labels[:0].copy())
    with pytest.raises(DataError, match="whole"):
        images.image(0, "rgb")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_to_another_server_is_not_followed(serve: Callable[[Answer], Server], host: str) -> None:
    """Nor to another name of the same one: a page inside a network may listen there."""
    other = serve(endless)

    def away(request: http.server.BaseHTTPRequestHandler) -> None:
        reply(request, 302, Location=f"http://{host}:{other.server_port}/index.json", Content_Length=0)

    with pytest.raises(DataError, match=f"redirects to http://{host}"):
        find(serve(away).address)
    assert other.paths == []


@pytest.mark.parametrize("target", ["https://127.0.0.1:{port}/index.json", "file:///etc/hostname", "//h/x"])
def test_a_redirect_to_another_scheme_is_not_followed(serve: Callable[[Answer], Server], target: str) -> None:
    server = serve(
        lambda request: reply(
            request, 307, Location=target.format(port=request.server.server_port), Content_Length=0
        )
    )
    with pytest.raises(DataError, match="redirects to"):
        find(server.address)
    assert len(server.paths) == 1


def test_a_redirect_on_the_same_server_is_followed_a_few_times(
    serve: Callable[[Answer], Server], packed: Path
) -> None:
    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if not request.path.startswith("/moved/"):
            reply(request, 301, Location=f"/moved{request.path}", Content_Length=0)
            return
        body = (packed / request.path.removeprefix("/moved/")).read_bytes()
        reply(request, 200, Content_Length=len(body))
        request.wfile.write(body)

    assert find(serve(answer).address).train.classes == ("cat", "dog")
    circle = serve(lambda request: reply(request, 302, Location=request.path, Content_Length=0))
    with pytest.raises(DataError, match="redirects without end"):
        find(circle.address)
    assert len(circle.paths) < 10


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("state", ["gone", "later", "silent"])
def test_a_hub_that_does_not_answer_is_asked_once(
    serve: Callable[[Answer], Server], state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its libraries ask for a minute, and wait as long as a server tells them to."""
    pytest.importorskip("huggingface_hub")
    over = threading.Event()

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        if state == "silent":
            over.wait(20)
        reply(request, 503, Retry_After=100_000, Content_Length=0)

    server = serve(answer)
    address = server.address
    if state == "gone":
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    monkeypatch.setenv("HF_ENDPOINT", address)
    monkeypatch.setattr(hub, "_SECONDS", 0.3)
    with pytest.raises(UnreachableError, match="someone/photos") as caught:
        hub.check_hub("dataset", "someone/photos")
    over.set()
    assert caught.value.exit_code == 7
    assert "\n" not in str(caught.value)
    assert len(server.paths) <= 2  # its client connects once more


def test_a_dataset_of_a_hub_is_not_asked_for_where_downloads_are_forbidden(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library knows its own variable alone."""
    pytest.importorskip("datasets")
    server = serve(endless)
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE"):
        find("hf:someone/photos")
    assert server.paths == []


@pytest.mark.usefixtures("online")
@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "RESIDUA_OFFLINE"])
def test_a_hub_is_not_asked_by_who_is_offline(
    serve: Callable[[Answer], Server], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip("huggingface_hub")
    server = serve(endless)
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    hub.check_hub("dataset", "someone/photos")
    assert server.paths == []
