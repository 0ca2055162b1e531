"""The server process: it listens, reloads its network on SIGHUP, and drains on SIGTERM and SIGINT.

    listening --SIGTERM or SIGINT--> draining --all accepted requests responded, or 10 s--> ended, exit code 0
              --SIGHUP--> the file is loaded again in a thread; its gate decides which network serves on

While it drains it listens on, so that health checks see 503 at once; a second SIGINT ends it at once.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType

from fastapi import FastAPI
from uvicorn import Config
from uvicorn import Server as UvicornServer

from residua.data.decode import one_line
from residua.errors import ConfigError, ResiduaError
from residua.serve.connection import GuardedProtocol, Waiting
from residua.serve.limits import Limits
from residua.serve.model import ServedModel
from residua.serve.service import Service
from residua.serve.speed import measure_batches

BACKLOG = 512
"""Connections that the system keeps until the server accepts them."""
STOP = (signal.SIGINT, signal.SIGTERM)
"""Signals after which the server drains."""
RELOAD = tuple(number for name, number in signal.Signals.__members__.items() if name == "SIGHUP")
"""Signals after which it loads its network again; none on Windows."""
LINGER = 1.0
"""Seconds after a signal to stop in which open connections get a 503; a reset would look like a loss."""
Log = Callable[[str], None]
"""Receives plain lines about what happens."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: Address or name of this machine.
        port: 0 for any free one.

    Raises:
        ConfigError: The address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        sock = socket.socket(family, kind, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such name"
        raise ConfigError(
            f"{host} port {port} cannot be used ({reason}): give another --host or --port"
        ) from None
    return sock


def address_of(sock: socket.socket) -> str:
    """`http://127.0.0.1:8000` of a socket that listens."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, sock: socket.socket, *, load: Callable[[], ServedModel], log: Log) -> None:
    """Serve an application until a signal to stop.

    Args:
        app: From `create_app`.
        sock: It listens.
        load: Loads the network again, on SIGHUP.
        log: Receives the line `serving ADDRESS`, and lines about reloads and draining.
    """
    service: Service = app.state.service
    server = _Server(connection_config(app, service.limits), service, load, log)
    service.metrics.connections.set_function(lambda: len(server.server_state.connections))
    server.run([sock])


def connection_config(app: FastAPI, limits: Limits) -> Config:
    """How uvicorn speaks with clients: connections with deadlines, nothing logged, no header of a proxy
    believed.

    Args:
        app: The application.
        limits: Deadlines, and the number of connections.
    """
    waiting = Waiting(limits)
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it logs bytes of strangers
    return Config(
        app,
        http=type("ServedProtocol", (GuardedProtocol,), {"waiting": waiting}),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level=logging.CRITICAL,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=min(5, int(limits.receive_seconds) or 1),
        timeout_graceful_shutdown=max(1, int(limits.drain_seconds)),
        h11_max_incomplete_event_size=limits.header_bytes,
        backlog=BACKLOG,
    )


@contextmanager
def handled_signals(
    numbers: Iterable[int], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    """Take signals while inside; unlike uvicorn, do not raise them again at the end."""
    handlers = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, before in handlers.items():
            signal.signal(number, before)


class _Server(UvicornServer):
    """uvicorn's server with our signals."""

    def __init__(self, config: Config, service: Service, load: Callable[[], ServedModel], log: Log) -> None:
        super().__init__(config)
        self._service, self._load, self._log = service, load, log
        self._drain_start = 0.0
        self._is_drain_logged = False
        self._reload: Thread | None = None
        self._is_reload_wanted = False

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while the server runs."""
        with handled_signals((*STOP, *RELOAD), self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin what a signal asks for; `on_tick` goes on with it."""
        if sig in RELOAD:
            self._is_reload_wanted = True
        elif not self._service.is_draining:
            self._service.is_draining = True
            self._drain_start = time.monotonic()
        elif sig == signal.SIGINT:
            self.force_exit = self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: reload, or end once everything accepted is responded to."""
        if self._is_reload_wanted and not (self._reload and self._reload.is_alive()):
            self._is_reload_wanted = False
            self._reload = Thread(
                target=self._load_again,
                args=(asyncio.get_running_loop(),),
                name="residua-reload",
                daemon=True,
            )
            self._reload.start()
        if self._service.is_draining:
            if not self._is_drain_logged:  # not in the handler: it may interrupt another line
                self._is_drain_logged = True
                self._log("draining  accepted requests finish")
            return self._is_drained() or await super().on_tick(counter)
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and say so."""
        await super().startup(sockets)
        self._log(f"serving   {address_of((sockets or [])[0])}")

    def _is_drained(self) -> bool:
        """Whether everything accepted is responded to, and clients who call again had time to see a 503."""
        now = time.monotonic()
        if self._service.admission.accepted:
            return now > self._drain_start + self._service.limits.drain_seconds
        return not self.server_state.connections or now > self._drain_start + LINGER

    def _load_again(self, loop: asyncio.AbstractEventLoop) -> None:
        """Load the network again; the old one serves on where the new one fails."""
        service = self._service
        try:
            model = self._load()
            times = measure_batches(model)
        except Exception as error:  # engines and a lack of memory raise their own
            service.metrics.reloads.labels("failed").inc()
            known = isinstance(error, (ResiduaError, OSError))
            reason = " ".join(str(error).split()) if known else f"{type(error).__name__}, {one_line(error)}"
            self._log(f"reload    failed, the old network serves on: {reason}")
            return
        changed = len(model.classes) != len(service.model.classes)
        note = f", {len(model.classes)} classes instead of {len(service.model.classes)}" if changed else ""
        loop.call_soon_threadsafe(service.replace, model, times)
        service.metrics.reloads.labels("done").inc()
        self._log(f"reload    done, {model.engine}{note}")
