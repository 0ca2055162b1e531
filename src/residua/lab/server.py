"""The process of the lab: it serves the page until Ctrl-C or SIGTERM, and then lets jobs save."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from fastapi import FastAPI
from uvicorn import Config
from uvicorn import Server as UvicornServer

from residua.lab.state import Lab
from residua.serve.server import STOP, address_of, connection_config, handled_signals


def run(app: FastAPI, sock: socket.socket, *, log: Callable[[str], None]) -> None:
    """Serve the lab until a signal to stop.

    Args:
        app: From `lab_app`.
        sock: It listens.
        log: Receives the line `lab ADDRESS`, and one when jobs are stopped.
    """
    lab: Lab = app.state.lab
    try:
        _LabServer(connection_config(app, lab.limits), lab, log).run([sock])
    finally:
        lab.close()


class _LabServer(UvicornServer):
    """uvicorn's server, which ends what takes long before it waits for responses."""

    def __init__(self, config: Config, lab: Lab, log: Callable[[str], None]) -> None:
        super().__init__(config)
        self._lab, self._log = lab, log

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals while the server runs."""
        with handled_signals(STOP, self.handle_exit):
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop; a second signal does not wait for responses."""
        self.force_exit = self.should_exit
        self.should_exit = self._lab.is_draining = True

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second: end streams of events and computations once the server is to stop."""
        if self.should_exit:
            self._lab.end_responses()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections, and print the address."""
        await super().startup(sockets)
        token = f"/?token={self._lab.token}" if self._lab.is_token_needed else ""
        self._log(f"lab       {address_of((sockets or [])[0])}{token}")
