"""Which addresses are opened, and where they may redirect: https, and hosts that belong to the first one."""

import re
import urllib.parse
from collections.abc import Sequence

from residua.errors import ConfigError, DataError
from residua.spec.printable import printable

REDIRECTS = (301, 302, 303, 307, 308)
"""Statuses of a response that names another place."""
MOST_REDIRECTS = 5
"""Places that are tried after the first."""

HUB_HOSTS = (".huggingface.co", ".hf.co", "huggingface.co")
"""Hosts that a hub, or a mirror of it, redirects to for the content of files."""
HOSTS = {
    "huggingface.co": HUB_HOSTS,
    "drive.google.com": ("drive.usercontent.google.com",),
    "github.com": (".githubusercontent.com",),
}
"""Host -> other hosts that it may redirect to; one that begins with a dot is a whole domain."""

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SEPARATORS = "%/:=&?~#+!$,;'@()*[]"  # by quote(): what separates the parts of an address


def check_address(address: str, variable: str = "") -> None:
    """Check that `address`, which may come from a `variable`, is https, or http on this machine.

    Raises:
        ConfigError: It is not.
    """
    try:
        parts = urllib.parse.urlsplit(address)
        has_host = bool(parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        has_host = False
    is_local = has_host and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not (is_local or (has_host and parts.scheme == "https")):
        text = f"{variable}={printable(address[:200])}" if variable else printable(address[:200])
        raise ConfigError(f"{text} is no address: give https://..., or http://localhost for this machine")


def host_of(address: str) -> str:
    """Host and port of `address`, for messages."""
    return printable(urllib.parse.urlsplit(address).netloc[:200])


def next_address(first: str, here: str, location: str, hosts: Sequence[str] = ()) -> str:
    """Where a redirect leads.

    Args:
        first: Address that was asked for first.
        here: Address that redirects.
        location: Where to; it may be relative to `here`.
        hosts: Other hosts that `first` may redirect to, beside those in `HOSTS`.

    Returns:
        The next address: on the first server, or https on a host that belongs to it.

    Raises:
        DataError: It is on another host, port or scheme.
    """
    target = urllib.parse.urljoin(here, urllib.parse.quote(location, safe=_SEPARATORS))
    start, there = urllib.parse.urlsplit(first), urllib.parse.urlsplit(target)
    if (start.scheme, start.netloc) == (there.scheme, there.netloc):
        return target
    allowed = (*HOSTS.get(start.hostname or "", ()), *hosts)
    if there.scheme == "https" and any(_is_of(there.netloc, host) for host in allowed):
        return target
    where = printable(f"{there.scheme}://{there.netloc}{there.path}"[:200])
    raise DataError(f"{host_of(first)} redirects to {where}, which is not followed")


def _is_of(netloc: str, host: str) -> bool:
    """Whether `netloc`, without a user and a port, is `host`, or in the domain that begins with a dot."""
    name = netloc.lower()
    is_plain = re.fullmatch(r"[a-z0-9.-]+", name) is not None
    return is_plain and (name.endswith(host) if host.startswith(".") else name == host)
