"""Clients that send slowly, not at all, or never read: they are cut at a deadline and keep nobody else out.

the deadline is 1.5 s here, 10 s in the command; the cap 60 connections, 512 in the command
"""

import resource
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from attacked import PICTURE, Attacked, limited
from raw_sockets import connections, receive, request

from server_process import Server

CAP, BODIES = 60, 16
"""Connections, and bodies that arrive at the same time."""
DEADLINE = 1.5
"""Seconds that a client has for a request."""
MIB = 1 << 20
HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def hasty(onnx_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A server that waits for nobody."""
    folder = tmp_path_factory.mktemp("hasty")
    with limited(onnx_file, folder, receive_seconds=DEADLINE, connections=CAP, bodies=BODIES) as running:
        yield running


@pytest.fixture(scope="module")
def in_the_command(server: Server) -> Attacked:
    """A server with the limits of the command."""
    return Attacked(server.port, server.process.pid, server.log)


def trickle(peers: list[socket.socket], server: Attacked, part: bytes = b"a", limit: float = 60.0) -> int:
    """Send a little on each connection, again and again, with honest requests between.

    Args:
        peers: The connections.
        server: The server.
        part: What is sent each time.
        limit: Seconds after which the test fails.

    Returns:
        Honest requests that were served, when all connections are closed.
    """
    served, until = 0, time.monotonic() + limit
    opened = {peer: peer.setblocking(False) for peer in peers}
    while opened:
        assert time.monotonic() < until, f"{len(opened)} connections are still open"
        for peer in [*opened]:
            if is_closed(peer, part):
                del opened[peer]
        assert server.is_live()
        server.predict()
        served += 1
        time.sleep(0.05)
    return served


def is_closed(peer: socket.socket, part: bytes) -> bool:
    """Whether the server closed a connection, on which a little is sent."""
    try:
        peer.send(part)
        while peer.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@pytest.mark.parametrize(
    ("begin", "part"),
    [
        (b"", b""),
        (b"", b"G"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", b"a"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n"),
        (HEAD + b"Content-Length: 100000\r\n\r\n", b"a"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"\x16\x03\x01\x02\x00", b"\x01"),
    ],
    ids=["nothing", "a method", "a header", "headers", "a body", "chunks", "trailers", "TLS"],
)
def test_clients_that_send_slowly_are_cut_and_keep_nobody_out(
    begin: bytes, part: bytes, hasty: Attacked
) -> None:
    open_before = hasty.descriptors
    with connections(hasty.port, CAP) as peers:
        for peer in peers:
            peer.sendall(begin)
        assert trickle(peers, hasty, part) > 1
    assert hasty.settles(open_before)


def test_more_slow_bodies_than_may_arrive_keep_no_honest_one_out(hasty: Attacked) -> None:
    with connections(hasty.port, 2 * BODIES) as peers:
        for peer in peers:
            peer.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))
        for _ in range(5):
            hasty.predict()


def test_bodies_that_find_no_room_are_told_to_come_again(hasty: Attacked) -> None:
    """Honest clients who come all at once are not too slow: they are too many."""
    with connections(hasty.port, BODIES + 1) as peers:
        for peer in peers:
            peer.sendall(HEAD + b"Content-Length: 1000000\r\n\r\n" + bytes(1000))
        replies = [receive(peer) for peer in peers]
    assert {reply.status for reply in replies} == {408, 429}
    refused = [reply for reply in replies if reply.status == 429]
    assert all("retry-after" in reply.head for reply in refused)
    assert len(refused) == 1


def test_idle_connections_beyond_the_cap_are_closed(hasty: Attacked) -> None:
    open_before = hasty.descriptors
    with connections(hasty.port, 5 * CAP):
        for _ in range(5):
            assert hasty.is_live()
        hasty.predict()
        assert hasty.descriptors < open_before + CAP + 5
    assert hasty.settles(open_before)


def test_idle_connections_beyond_the_cap_cut_no_upload(hasty: Attacked) -> None:
    """The upload is the oldest connection, and goes on while 2 * CAP others come."""
    whole = request(body=PICTURE)
    size, idle = 1 + len(whole) // 4, CAP // 2
    with connections(hasty.port, 1) as (upload,), ExitStack() as others:
        for start in range(0, len(whole), size):
            upload.sendall(whole[start : start + size])
            assert hasty.is_live()
            others.enter_context(connections(hasty.port, idle))
        assert receive(upload).status == 200


def test_clients_that_never_read_are_closed_at_the_deadline(hasty: Attacked) -> None:
    open_before, memory = hasty.descriptors, hasty.memory
    asks = request("/openapi.json", method="GET", headers={"Connection": "keep-alive"}) * 1000
    with connections(hasty.port, 2) as peers:  # a few hundred responses fill the buffers
        for peer in peers:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            with suppress(BlockingIOError):
                peer.send(asks)
        assert hasty.is_live()
        hasty.predict()
        assert hasty.settles(open_before)
        assert hasty.memory - memory < 64 * MIB


def test_an_honest_client_may_wait_between_its_requests(hasty: Attacked) -> None:
    whole = request(body=PICTURE, headers={"Connection": "keep-alive"})
    with connections(hasty.port, 1) as (peer,):
        for _ in range(4):
            peer.sendall(whole)
            reply = receive(peer)
            assert (reply.status, reply.is_closed) == (200, False)
            time.sleep(DEADLINE / 3)


def test_a_client_that_is_refused_early_sees_why(hasty: Attacked) -> None:
    with connections(hasty.port, 1) as (peer,):
        peer.sendall(HEAD + b"Content-Length: 9000000\r\n\r\n" + bytes(100_000))
        reply = receive(peer)
        assert reply.status == 413
        assert b"error" in reply.body


@pytest.mark.battery
@pytest.mark.parametrize(
    ("begin", "part"),
    [(HEAD + b"X: ", b"a"), (HEAD + b"Content-Length: 100000\r\n\r\n", b"a"), (b"", b"")],
    ids=["headers", "bodies", "nothing"],
)
@pytest.mark.timeout(300)
def test_300_slow_clients_are_cut_by_the_command(begin: bytes, part: bytes, in_the_command: Attacked) -> None:
    open_before, start = in_the_command.descriptors, time.monotonic()
    with connections(in_the_command.port, 300) as peers:
        for peer in peers:
            peer.sendall(begin)
        assert trickle(peers, in_the_command, part) > 10
    assert 5 < time.monotonic() - start < 25
    assert in_the_command.settles(open_before)


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_8000_idle_connections_keep_no_health_check_out(in_the_command: Attacked) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if min(value for value in (soft, hard) if value != resource.RLIM_INFINITY) < 9000:
        pytest.skip("this system lets a process open fewer than 9,000 files")
    open_before, memory = in_the_command.descriptors, in_the_command.memory
    with connections(in_the_command.port, 8000):
        for _ in range(20):
            start = time.monotonic()
            assert in_the_command.is_live()
            assert time.monotonic() - start < 1
        assert in_the_command.descriptors < open_before + 600
        assert in_the_command.memory - memory < 64 * MIB
        in_the_command.predict()
    assert in_the_command.settles(open_before)


@pytest.mark.battery
@pytest.mark.timeout(300)
def test_a_million_chunks_of_one_byte_delay_no_health_check(in_the_command: Attacked) -> None:
    memory, slowest = in_the_command.memory, 0.0
    body = b"1\r\na\r\n" * 1_000_000
    with connections(in_the_command.port, 1) as (peer,), selectors.DefaultSelector() as selector:
        peer.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        peer.setblocking(False)
        selector.register(peer, selectors.EVENT_WRITE)
        sent = 0
        with suppress(OSError):
            while sent < len(body):
                if selector.select(0.01):
                    sent += peer.send(body[sent : sent + (1 << 16)])
                start = time.monotonic()
                assert in_the_command.is_live()
                slowest = max(slowest, time.monotonic() - start)
    assert slowest < 1
    assert in_the_command.memory - memory < 16 * MIB
