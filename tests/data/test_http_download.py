"""Downloads of one file: interrupted, moved, refused, too long, silent, without ranges, behind proxies."""

import errno
import http.server
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from file_server import FileServer, content, served, status
from residua.data import http_download, partial_file
from residua.data.http_download import Patience, RemoteFile, download_file
from residua.data.http_hosts import check_address, next_address
from residua.data.partial_file import Mark, PartialFile
from residua.errors import ConfigError, DataError, ResourceError, UnreachableError
from residua.events import DownloadProgress, Event, Note

pytestmark = pytest.mark.usefixtures("online")
CONTENT = bytes(range(256)) * 4096
SHORT = Patience(seconds=0.2, attempts=3, pause=0.01, longest_wait=1)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with served(files={"/net.pth": CONTENT}) as state:
        yield state


@pytest.fixture
def part(tmp_path: Path) -> PartialFile:
    return PartialFile(tmp_path / "net.pth.partial")


def fetched(
    server: FileServer, part: PartialFile, listen: Callable[[Event], None] = print, **words: Any
) -> str:
    """What `download_file` gives, after a look at what has arrived."""
    remote = RemoteFile(f"{server.address}/net.pth", "net.pth", **words)
    promised = download_file(remote, part, listen=listen, patience=SHORT)
    assert part.path.read_bytes() == CONTENT
    return promised


def test_a_file_arrives_whole_and_progress_is_reported(server: FileServer, part: PartialFile) -> None:
    heard: list[Event] = []
    assert fetched(server, part, heard.append) == ""
    assert heard[-1] == DownloadProgress("net.pth", len(CONTENT), len(CONTENT))
    assert server.ranges == [""]


def test_a_connection_that_breaks_twice_is_resumed_where_it_broke(
    server: FileServer, part: PartialFile
) -> None:
    server.cuts = [300_000, 200_000]
    heard: list[Event] = []
    fetched(server, part, heard.append)
    assert server.ranges == ["", "bytes=300000-", "bytes=500000-"]
    assert len([event for event in heard if isinstance(event, Note)]) == 2


def test_a_later_call_resumes_what_an_interrupted_one_left(server: FileServer, part: PartialFile) -> None:
    def interrupt(event: Event) -> None:
        assert isinstance(event, DownloadProgress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetched(server, part, interrupt)
    arrived = part.size()
    assert 0 < arrived < len(CONTENT)
    fetched(server, part)
    assert server.ranges == ["", f"bytes={arrived}-"]


def test_a_whole_part_is_not_asked_for_again(server: FileServer, part: PartialFile) -> None:
    server.headers = {"X-Linked-Etag": '"' + "ab" * 32 + '"'}
    assert fetched(server, part) == "ab" * 32
    assert fetched(server, part) == "ab" * 32
    assert len(server.requests) == 1


def test_another_version_is_fetched_from_its_beginning(server: FileServer, part: PartialFile) -> None:
    part.path.write_bytes(b"old" * 1000)
    PartialFile.begin(
        other := PartialFile(part.path), Mark(f"{server.address}/net.pth", len(CONTENT), '"old"')
    )
    other.path.write_bytes(b"old" * 1000)
    fetched(server, part)
    assert server.ranges == ["bytes=3000-"]


@pytest.mark.parametrize("etag", ['"one"', None])
def test_a_server_without_ranges_sends_it_again(
    server: FileServer, part: PartialFile, etag: str | None
) -> None:
    server.has_ranges, server.etag, server.cuts = False, etag, [300_000]
    fetched(server, part)
    assert len(server.requests) == 2


@pytest.mark.parametrize("cuts", [100, 300_000])
def test_a_server_that_always_breaks_off_is_given_up(
    server: FileServer, part: PartialFile, cuts: int
) -> None:
    """Also one without ranges, of which much arrives each time and nothing new."""
    server.has_ranges, server.cuts = False, [cuts] * 20
    with pytest.raises(UnreachableError, match="breaks off"):
        fetched(server, part)
    assert len(server.requests) == SHORT.attempts


def test_without_a_mark_and_a_digest_parts_are_not_joined(server: FileServer, part: PartialFile) -> None:
    server.etag, server.cuts = None, [300_000]
    fetched(server, part, has_digest=False)
    assert server.ranges == ["", ""]


def test_a_damaged_description_begins_again(server: FileServer, part: PartialFile) -> None:
    for text in ("", "[]", '{"total": "x"}', '{"validator": "a\\r\\nb", "total": 5}', "{" * 10_000):
        part.path.write_bytes(b"???")
        part.path.with_name(f"{part.path.name}.json").write_text(text)
        assert part.mark() == Mark()
    fetched(server, part)
    assert server.ranges == [""]


def test_a_server_that_miscounts_is_asked_again(server: FileServer, part: PartialFile) -> None:
    server.cuts = [300_000]

    def wrong(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(206)
        request.send_header("Content-Range", f"bytes 7-9/{len(CONTENT)}")
        request.end_headers()

    server.script = [content, wrong]
    fetched(server, part)
    assert server.ranges == ["", "bytes=300000-", ""]


@pytest.mark.parametrize("code", [429, 503])
def test_a_server_that_asks_to_come_again_is_waited_for(
    server: FileServer, part: PartialFile, code: int
) -> None:
    server.script = [status(code, Retry_After="0"), status(code)]
    fetched(server, part)
    assert len(server.requests) == 3


@pytest.mark.parametrize("after", ["100000", "Fri, 31 Dec 2100 23:59:59 GMT"])
def test_a_server_that_asks_for_a_long_wait_is_given_up(
    server: FileServer, part: PartialFile, after: str
) -> None:
    server.script = [status(429, Retry_After=after)]
    with pytest.raises(UnreachableError, match="429"):
        fetched(server, part)
    assert len(server.requests) == 1


def test_the_wait_that_a_server_asks_for_is_kept(
    server: FileServer, part: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    server.script = [status(429, Retry_After="1"), status(500), status(429, Retry_After="soon")]
    with pytest.raises(UnreachableError, match="429"):
        fetched(server, part)
    assert waits == [1, 0.02]


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_a_refusal_is_not_repeated(server: FileServer, part: PartialFile, code: int) -> None:
    server.script = [status(code)]
    with pytest.raises(DataError, match=str(code)) as caught:
        fetched(server, part)
    assert not isinstance(caught.value, UnreachableError)
    assert len(server.requests) == 1


def silent(_request: object) -> None:
    time.sleep(0.5)


def trickle(request: Any) -> None:
    """Fast enough for the time-out, and too slow for the patience."""
    request.send_response(200)
    request.send_header("Content-Length", str(len(CONTENT)))
    request.end_headers()
    for _ in range(40):
        request.wfile.write(b"x")
        time.sleep(0.02)


@pytest.mark.parametrize(("answer", "word"), [(silent, "timed out"), (trickle, "slow")])
def test_a_silent_and_a_slow_server_are_given_up(
    server: FileServer, part: PartialFile, answer: Callable[[Any], None], word: str
) -> None:
    server.script = [answer] * 5
    with pytest.raises(UnreachableError, match=word):
        fetched(server, part)


def test_a_server_that_falls_silent_is_resumed(server: FileServer, part: PartialFile) -> None:
    def half(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.send_header("ETag", '"one"')
        request.end_headers()
        request.wfile.write(CONTENT[:1000])
        request.wfile.flush()
        time.sleep(0.4)

    server.script = [half]
    fetched(server, part)
    assert server.ranges == ["", "bytes=1000-"]


def test_no_server_is_tried_twice(part: PartialFile) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        address = f"http://127.0.0.1:{gone.getsockname()[1]}/net.pth"
    notes: list[Event] = []
    with pytest.raises(UnreachableError, match=r"net\.pth"):
        download_file(RemoteFile(address, "net.pth"), part, listen=notes.append, patience=SHORT)
    assert len(notes) == 1


def endless(request: Any) -> None:
    request.send_response(200)
    request.end_headers()
    while True:
        request.wfile.write(b" " * 65536)


def test_a_file_without_end_is_cut_at_its_limit(server: FileServer, part: PartialFile) -> None:
    server.script = [endless]
    with pytest.raises(DataError, match="more than"):
        fetched(server, part, most=1 << 20)
    assert part.size() == 0


def test_a_longer_file_than_is_known_is_refused_before_it_arrives(
    server: FileServer, part: PartialFile
) -> None:
    with pytest.raises(DataError, match=r"1,048,576 .* 1,048,575"):
        fetched(server, part, size=len(CONTENT) - 1)
    with pytest.raises(DataError, match="at most 1,000"):
        fetched(server, part, most=1000)
    assert part.size() == 0


def test_a_length_that_nobody_says_needs_a_digest(server: FileServer, part: PartialFile) -> None:
    def without(request: Any) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT)

    server.script = [without, without]
    with pytest.raises(DataError, match="how long"):
        fetched(server, part, has_digest=False)
    fetched(server, part)


def test_a_packed_response_is_refused(server: FileServer, part: PartialFile) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(DataError, match="gzip"):
        fetched(server, part)


def test_a_redirect_on_the_same_server_is_followed_with_its_range(
    server: FileServer, part: PartialFile
) -> None:
    server.files["/a b/net.pth"] = server.files.pop("/net.pth")
    server.files["/a%20b/net.pth"] = server.files.pop("/a b/net.pth")
    server.moves, server.cuts = {"/net.pth": "/a b/net.pth"}, [300_000]
    fetched(server, part)
    assert server.paths == ["/net.pth", "/a%20b/net.pth"] * 2
    assert server.ranges == ["", "", "bytes=300000-", "bytes=300000-"]


def test_redirects_end(server: FileServer, part: PartialFile) -> None:
    server.moves = {"/net.pth": "/net.pth"}
    with pytest.raises(DataError, match="without end"):
        fetched(server, part)
    assert len(server.requests) < 10


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_redirect_to_another_server_is_not_followed(
    server: FileServer, part: PartialFile, host: str
) -> None:
    with served(files=server.files) as other:
        server.moves = {"/net.pth": other.address.replace("127.0.0.1", host) + "/net.pth"}
        with pytest.raises(DataError, match=f"redirects to http://{host}"):
            fetched(server, part)
        assert other.requests == []


@pytest.mark.parametrize(
    ("first", "location", "is_followed"),
    [
        ("https://huggingface.co/a/b", "https://cdn-lfs.hf.co/x", True),
        ("https://huggingface.co/a/b", "https://cas-bridge.xethub.hf.co/x?y=z", True),
        ("https://huggingface.co/a/b", "/c/d", True),
        ("https://huggingface.co/a/b", "http://cdn-lfs.hf.co/x", False),
        ("https://huggingface.co/a/b", "https://cdn-lfs.hf.co:8443/x", False),
        ("https://huggingface.co/a/b", "https://evilhf.co/x", False),
        ("https://huggingface.co/a/b", "https://evil.example/.hf.co", False),
        ("https://huggingface.co/a/b", "https://evil.example\\.hf.co/x", False),
        ("https://huggingface.co/a/b", "https://evil.example#.hf.co", False),
        ("https://huggingface.co/a/b", "https://user@cdn.hf.co/x", False),
        ("https://huggingface.co/a/b", "//evil.example/x", False),
        ("https://huggingface.co/a/b", "file:///etc/passwd", False),
        ("https://huggingface.co/a/b", "http://127.0.0.1/x", False),
        ("https://github.com/o/r", "https://objects.githubusercontent.com/x", True),
        ("https://github.com/o/r", "https://cdn-lfs.hf.co/x", False),
        ("https://drive.google.com/uc?id=1", "https://drive.usercontent.google.com/download", True),
        ("https://download.pytorch.org/models/x", "https://github.com/x", False),
        ("https://download.pytorch.org/models/x", "https://download.pytorch.org/y", True),
        ("http://127.0.0.1:80/x", "https://cdn-lfs.hf.co/x", False),
    ],
)
def test_a_redirect_is_followed_to_hosts_of_the_first_one(
    first: str, location: str, *, is_followed: bool
) -> None:
    if is_followed:
        assert next_address(first, first, location).startswith("https://")
    else:
        with pytest.raises(DataError, match="redirects to"):
            next_address(first, first, location)


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/x",
        "ftp://a/b",
        "file:///x",
        "https://",
        "x",
        "https://u:p@h/x",
        "http://127.0.0.1.a/",
    ],
)
def test_only_https_is_opened_and_http_on_this_machine(address: str, part: PartialFile) -> None:
    with pytest.raises(ConfigError, match="https"):
        check_address(address)
    with pytest.raises(ConfigError, match="https"):
        download_file(RemoteFile(address, "x"), part, listen=print, patience=SHORT)
    check_address("https://example.org/x")
    check_address("http://localhost:8000/x")


def test_a_proxy_of_the_environment_is_used(
    server: FileServer, part: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    monkeypatch.setenv("no_proxy", "")
    remote = RemoteFile("http://localhost:9/net.pth", "net.pth")
    download_file(remote, part, listen=print, patience=SHORT)
    assert server.requests == [("localhost:9", "/net.pth", "")]


def test_a_proxy_that_refuses_is_named(
    server: FileServer, part: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", server.address)  # which does not connect others
    with pytest.raises(UnreachableError, match=r"example\.org .*501"):
        download_file(RemoteFile("https://example.org/x", "x"), part, listen=print, patience=SHORT)


def test_a_disk_without_room_is_told_before_anything_is_written(
    server: FileServer, part: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(partial_file.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResourceError, match="XDG_CACHE_HOME"):
        fetched(server, part)
    assert part.size() == 0


def test_a_disk_that_fills_up_ends_in_one_line_and_what_arrived_stays(
    server: FileServer, part: PartialFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = partial_file._Tail.write, 0

    def full(tail: Any, chunk: bytes) -> None:
        nonlocal written
        written += len(chunk)
        if written > 500_000:
            with tail.part._written():
                raise OSError(errno.ENOSPC, "No space left on device")
        write(tail, chunk)

    monkeypatch.setattr(partial_file._Tail, "write", full)
    with pytest.raises(ResourceError, match="No space") as caught:
        fetched(server, part)
    assert caught.value.exit_code == 7
    assert 0 < part.size() <= 500_000
    monkeypatch.undo()
    fetched(server, part)
    assert server.ranges[-1].startswith("bytes=")


def test_a_link_in_the_place_of_the_part_is_not_written_through(
    server: FileServer, part: PartialFile, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("mine")
    part.path.symlink_to(tmp_path / "precious")
    fetched(server, part)
    assert (tmp_path / "precious").read_text() == "mine"


def test_what_users_wait_is_bounded() -> None:
    patience = http_download.PATIENCE
    waits = sum(patience.pause * 2**attempt for attempt in range(patience.attempts - 1))
    assert waits + patience.attempts * patience.seconds < 150
