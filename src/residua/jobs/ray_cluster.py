"""A Ray cluster, joined by its address; the error is one line where there is none."""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from residua.errors import ConfigError

CONNECT_SECONDS = 5.0
"""How long a cluster has to accept a connection."""
START_HINT = "start one with `ray start --head`, or give --ray local"


@contextmanager
def joined_cluster(address: str) -> Iterator[Any]:
    """Join a cluster, and leave it at the end unless this process had joined one before.

    Args:
        address: `auto`, `local` (a cluster of this machine, for this process) or host:port.

    Yields:
        The module `ray`.

    Raises:
        ConfigError: Ray is not installed, or there is no cluster at `address`.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # else a cluster of this machine reports its use
    try:
        import ray
    except ImportError:
        raise ConfigError("--ray needs the package ray: pip install 'residua[ray]'") from None
    if ray.is_initialized():
        yield ray
        return
    _require_reachable(address)
    try:
        ray.init(None if address == "local" else address, log_to_driver=False, logging_level=logging.ERROR)
    except ConnectionError:
        raise ConfigError(f"no Ray cluster at {address}: {START_HINT}") from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_reachable(address: str) -> None:
    """ConfigError unless `address` accepts a connection; Ray itself would take minutes to notice."""
    if address in ("auto", "local"):
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        raise ConfigError(f"--ray {address}: give auto, local, or host:port")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError:
        raise ConfigError(f"no answer from {address}: {START_HINT}") from None
