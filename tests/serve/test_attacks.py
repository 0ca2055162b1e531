"""Requests of strangers that did harm to other servers: each is refused, and the server serves on.

The advisories are those of python-multipart, Starlette, Triton, h11 and others, listed in
docs/explanation/attacks.md.
"""

import json
import random
import socket
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from attacked import INFER, MIB, PICTURE, SECRET, Attacked, Canary, check_refused, encoded
from raw_sockets import chunked, connect, connections, exchange, receive, request

pytestmark = pytest.mark.usefixtures("unharmed")

CHUNKED = {"Transfer-Encoding": "chunked", "Content-Length": ""}

# What is not HTTP, or is HTTP to one server and something else to the next

HOST = b"Host: localhost\r\n"
POST = b"POST /predict HTTP/1.1\r\n" + HOST
NOT_HTTP = {
    "a length and chunks": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a length of other digits": POST + "Content-Length: \u0665\r\n\r\nhello".encode(),
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a size that is no number": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
    "a negative size": POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "a size of 100 digits": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n",
    "a chunk without its end": POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhelloXX0\r\n\r\n",
    "NUL in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n",
    "NUL in the address": b"GET /\0 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a space before the colon": b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
    "a line break in a header": b"GET / HTTP/1.1\r\n" + HOST + b"X: a\rb\r\n\r\n",
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\n" + HOST + b"Host: evil.test\r\n\r\n",
    "a header of 1 MiB": b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"a" * MIB + b"\r\n\r\n",
    "a trailer of 1 MiB": POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"a" * MIB + b"\r\n\r\n",
    "an extension of 1 MiB": POST + b"Transfer-Encoding: chunked\r\n\r\n5;" + b"a" * MIB + b"\r\nhello\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(200),
}


@pytest.mark.parametrize("name", NOT_HTTP)
def test_what_is_not_http_is_refused_and_the_connection_closed(name: str, attacked: Attacked) -> None:
    reply = exchange(attacked.port, NOT_HTTP[name])
    assert reply.statuses in ([], [400], [403, 400], [431])  # none: the client still sent when it was closed
    assert reply.is_closed


def test_random_bytes_end_the_connection(attacked: Attacked) -> None:
    bits = random.Random(0)
    for _ in range(100):
        reply = exchange(attacked.port, bits.randbytes(bits.randrange(1, 2000)) + b"\r\n\r\n")
        assert reply.statuses == [400]
        assert reply.is_closed


LARGE_HEADS = {
    "101 headers": request("/", method="GET", more=b"X: y\r\n" * 101),
    "10,000 headers": request("/", method="GET", more=b"X: y\r\n" * 10_000),
    "an address of 64 KiB": request("/" + "a" * (1 << 16), method="GET"),
    "a header of 20 KiB": request("/", method="GET", headers={"Cookie": "a" * 20_000}),
    "a method of 20,000 letters": request("/", method="A" * 20_000),
}


@pytest.mark.parametrize("name", LARGE_HEADS)
def test_headers_beyond_the_limit_are_refused(name: str, attacked: Attacked) -> None:
    check_refused(exchange(attacked.port, LARGE_HEADS[name]), 400, 431)


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_no_other_protocol_is_spoken(upgrade: str, attacked: Attacked) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": upgrade, "Sec-WebSocket-Version": "13"}
    reply = exchange(attacked.port, request("/health/live", method="GET", headers=headers), ends=True)
    assert reply.status in (200, 400)  # Upgrade is ignored or refused, never obeyed


def test_a_body_holds_no_second_request(attacked: Attacked) -> None:
    hidden = request("/metrics", method="GET")
    reply = exchange(attacked.port, request("/predict", hidden, headers={"Connection": "keep-alive"}))
    check_refused(reply, 400)
    assert reply.statuses == [400]


def test_the_server_is_no_proxy(attacked: Attacked, canary: "Canary") -> None:
    for line in (b"GET %s/ HTTP/1.1", b"POST %s/predict HTTP/1.1", b"CONNECT %s HTTP/1.1"):
        address = canary.address if b"CONNECT" not in line else canary.address.removeprefix("http://")
        sent = line % address.encode() + b"\r\n" + HOST + b"Connection: close\r\n\r\n"
        assert exchange(attacked.port, sent).status in range(400, 500)
    assert canary.visits == 0


# Bodies without end, compressed, or in a million pieces


def pieces(size: int) -> Iterator[bytes]:
    """A body of `size` bytes in parts of 64 KiB."""
    return (b"a" * (1 << 16) for _ in range(size >> 16))


@pytest.mark.parametrize("target", ["/predict", INFER])
@pytest.mark.parametrize("size", [9 * MIB, 40 * MIB])
def test_a_body_that_is_too_large_is_not_kept(size: int, target: str, attacked: Attacked) -> None:
    before = attacked.memory
    head = request(target, headers={"Content-Length": str(size)})
    reply = exchange(attacked.port, iter([head, *pieces(size)]))
    assert reply.status in (0, 413)  # 0: the client still sent when the server closed
    head = request(target, headers=CHUNKED)
    reply = exchange(attacked.port, iter([head, *chunked(pieces(size)), b"0\r\n\r\n"]))
    assert reply.status in (0, 413)
    assert attacked.memory - before < 16 * MIB


def test_a_body_that_says_it_is_huge_is_refused_at_once(attacked: Attacked) -> None:
    for size in ("10737418240", "9" * 19):
        check_refused(attacked.send(headers={"Content-Length": size}), 413)


def test_a_compressed_body_is_not_unpacked(attacked: Attacked) -> None:
    bomb = zlib.compress(bytes(64 * MIB), 9)
    for coding in ("gzip", "deflate", "br", "zstd"):
        check_refused(attacked.send(body=bomb, headers={"Content-Encoding": coding}), 415)


def test_a_hundred_thousand_chunks_of_one_byte_take_no_memory(attacked: Attacked) -> None:
    """CVE-2025-23310: Triton's stack overflowed."""
    before = attacked.memory
    body = b"".join(chunked([b"a"] * 100_000)) + b"0\r\n\r\n"
    reply = exchange(attacked.port, request(headers=CHUNKED) + body)
    assert reply.status in (0, 400, 413)
    assert attacked.memory - before < 16 * MIB


# Addresses

PATHS = [
    "/assets/../page.css",
    "/assets/..%2fapp.py",
    "/assets/%2e%2e%2fapp.py",
    "/assets/..%5capp.py",
    "/assets/..\\app.py",
    "/assets/....//app.py",
    "/assets/%00",
    "/assets/page.css%00.png",
    "/assets/%c0%ae%c0%ae/app.py",
    "/assets//etc/passwd",
    "//etc/passwd",
    "/etc/passwd",
    "/../../../../etc/passwd",
    "/%2e%2e/%2e%2e/etc/passwd",
    "/assets/",
    "/assets",
    "/v2/models/../../../etc/passwd",
    "/v2/models/colours%2f..%2fother",
    "/v2/models/colours.onnx",
    "/docs",
    "/.env",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_address_leads_out_of_the_package(path: str, attacked: Attacked) -> None:
    check_refused(attacked.send(path, method="GET"), 400, 404)


def test_ranges_are_ignored(attacked: Attacked) -> None:
    """CVE-2025-62727: Starlette took quadratic time for many ranges."""
    for count in (1, 1500):
        ranges = "bytes=" + ",".join(f"{first}-" for first in range(count))
        for target in ("/openapi.json", "/"):
            whole = attacked.send(target, method="GET")
            reply = attacked.send(target, method="GET", headers={"Range": ranges})
            assert (reply.status, reply.body) == (whole.status, whole.body)


def test_addresses_of_strangers_make_no_metrics(attacked: Attacked) -> None:
    def ask(number: int) -> set[bytes]:
        attacked.send(f"/{SECRET}/{number}", method="GET")
        attacked.send("/predict", method=f"BREW{number}")
        attacked.send(f"/v2/models/{SECRET}{number}", method="GET")
        text = attacked.send("/metrics", method="GET").body
        return {line.rpartition(b" ")[0] for line in text.splitlines()}

    ask(0)
    before = ask(1)  # which has the line of /metrics itself
    for number in range(2, 50):
        ask(number)
    assert ask(50) == before
    assert SECRET.encode() not in b"".join(before)


# Clients that go


def test_clients_that_go_leave_nothing_behind(attacked: Attacked) -> None:
    whole = request(body=encoded("JPEG", 600))
    for number in range(100):
        with connect(attacked.port) as peer:
            peer.sendall(whole if number % 2 else whole[: len(whole) // 2])
            if number % 3:  # a reset instead of an end
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def test_clients_that_never_read_do_not_keep_others_out(attacked: Attacked) -> None:
    before = attacked.memory
    asks = request("/openapi.json", method="GET", headers={"Connection": "keep-alive"}) * 200
    with connections(attacked.port, 20) as peers:
        for peer in peers:
            peer.setblocking(False)
            try:
                peer.send(asks)
            except BlockingIOError:
                continue
        assert attacked.is_live()
        assert attacked.predict()
        assert attacked.memory - before < 64 * MIB


def test_a_client_that_asks_for_permission_gets_it(
    attacked: Attacked, expected: list[dict[str, Any]]
) -> None:
    body = PICTURE
    head = request(headers={"Expect": "100-continue", "Content-Length": str(len(body))})
    with connect(attacked.port) as peer:
        peer.sendall(head)
        assert peer.recv(100).startswith(b"HTTP/1.1 100 ")
        peer.sendall(body)
        assert json.loads(receive(peer).body)["predictions"] == expected
