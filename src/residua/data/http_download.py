"""One file from an HTTP server onto the disk: resumed, tried again, with limits, and from named hosts alone.

A call that finds a part of the file asks for the rest of it. A server that has another version by now, or
knows no ranges, sends the file whole, and it begins again. The caller holds a lock on the file, compares the
digest of what has arrived, and moves it into place.
"""

import http.client
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any

from residua.data.http_hosts import MOST_REDIRECTS, REDIRECTS, check_address, host_of, next_address
from residua.data.partial_file import Mark, PartialFile
from residua.errors import DataError, UnreachableError
from residua.events import DownloadProgress, Event, Note
from residua.spec.amount import format_bytes
from residua.spec.printable import printable
from residua.version import __version__

MOST_BYTES = 2 << 30
"""Largest file that is downloaded; weights of the largest network of the papers take 0.5 GiB."""

_CHUNK_BYTES = 1 << 18
_STEP_BYTES = 1 << 20  # new bytes after which a broken connection counts as the first again
_SLOWEST_BYTES = 1 << 14  # within the seconds of patience; a slower connection is opened anew
_PAGE_BYTES = 1 << 18
_SECONDS_BETWEEN_EVENTS = 0.1
_LATER = (408, 425, 429, 500, 502, 503, 504)

Confirm = Callable[[str, str], str | None]
"""From the address and the text of a page to the address of the file behind it; None where there is none."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on a server."""

    address: str
    """`https://...`; `http://` on this machine only."""
    name: str
    """What it is called in messages."""
    size: int = 0
    """Its bytes; 0 where they are not known."""
    most: int = MOST_BYTES
    """Largest number of bytes that is accepted."""
    has_digest: bool = True
    """Whether the caller compares a digest: parts of two versions may then be joined, and are noticed."""
    hosts: tuple[str, ...] = ()
    """Other hosts to which it may redirect, beside those in `HOSTS`."""
    confirm: Confirm | None = None
    """What to do with a page in place of the file; None takes it for the file."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a server is waited for."""

    seconds: float = 20.0
    """Without a byte, after which a connection is closed."""
    attempts: int = 5
    """Connections that fail, one after another, before the download ends."""
    pause: float = 1.0
    """Seconds before the second attempt; doubled before each further one."""
    longest_wait: float = 60.0
    """Longest wait in seconds that a server may ask for."""


PATIENCE = Patience()
"""What users get."""


@dataclass(eq=False, slots=True)
class _Broken(Exception):
    """A connection that failed, so that another one may help."""

    reason: str
    wait: float = 0.0
    is_reached: bool = True  # whether the server answered at all
    is_final: bool = False  # whether another attempt at once would only wait as long


@dataclass(frozen=True, slots=True)
class _Response:
    """A response with the file or a part of it."""

    stream: Any
    first: int  # its first byte
    total: int  # bytes of the whole file; 0 for not said
    validator: str
    sha256: str


def download_file(
    file: RemoteFile, part: PartialFile, *, listen: Callable[[Event], None], patience: Patience = PATIENCE
) -> str:
    """Fetch what `part` lacks of a file, until it is whole.

    Args:
        file: Where it is.
        part: Where it is stored.
        listen: Receives a DownloadProgress about ten times a second, and a Note before each wait.
        patience: How long the server is waited for.

    Returns:
        The SHA-256 that a hub promised for the file, in hexadecimal; empty for none.

    Raises:
        ConfigError: The address is not https.
        DataError: The server has no such file, refuses it, sends another size, or redirects to another host.
        UnreachableError: It does not answer, or breaks off again and again. What has arrived stays.
        ResourceError: The disk is full, or refuses the file. What has arrived stays.
    """
    check_address(file.address)
    failures, furthest = 0, part.size()
    while True:
        try:
            return _Connection(file, part, listen, patience.seconds).receive()
        except _Broken as fault:
            reached = part.size()
            failures = 1 if reached >= furthest + _STEP_BYTES else failures + 1
            furthest = max(furthest, reached)
            most = patience.attempts if fault.is_reached else min(2, patience.attempts)
            reason = f"{host_of(file.address)} {printable(fault.reason)} for {file.name}"
            if failures >= most or fault.is_final or fault.wait > patience.longest_wait:
                raise UnreachableError(reason) from None
            wait = max(fault.wait, patience.pause * 2 ** (failures - 1))
            listen(Note(f"{reason}: trying again in {wait:.0f} s"))
            time.sleep(wait)


@dataclass(frozen=True, slots=True)
class _Connection:
    """One attempt to fetch the rest of a file. _Broken where another one may help."""

    file: RemoteFile
    part: PartialFile
    listen: Callable[[Event], None]
    seconds: float

    def receive(self) -> str:
        """Fetch the rest. Gives the SHA-256 that a hub promised."""
        mark, start = self.part.mark(), self.part.size()
        if not self._can_join(mark):
            start = 0
        elif start and start == mark.total:
            return mark.sha256
        response = self._open(start, mark)
        with closing(response.stream):
            if not response.first:
                self.part.begin(Mark(self.file.address, response.total, response.validator, response.sha256))
            self.part.check_room(response.total - response.first)
            self._store(response)
        return response.sha256 or mark.sha256

    def _can_join(self, mark: Mark) -> bool:
        """Whether the rest can be joined to the part: of the same version, or of a file with a digest."""
        if mark.validator and mark.address == self.file.address:
            return True
        return self.file.has_digest and bool(mark.total) and mark.total == (self.file.size or mark.total)

    def _open(self, start: int, mark: Mark) -> _Response:
        """The response with the file, after redirects and a page that asks to confirm."""
        file, address, linked = self.file, self.file.address, ""
        headers = {"Accept-Encoding": "identity", "User-Agent": f"residua/{__version__}"}
        if start:
            headers["Range"] = f"bytes={start}-"
            if mark.validator:
                headers["If-Range"] = mark.validator
        for _ in range(MOST_REDIRECTS + 1):
            stream = self._request(address, headers)
            linked = linked or stream.headers.get("X-Linked-Etag", "").strip('"').lower()
            if (location := self._location(address, stream)) is not None:
                stream.close()
                address = next_address(file.address, address, location, file.hosts)
                continue
            self._check_status(address, stream)
            sha256 = linked if re.fullmatch("[0-9a-f]{64}", linked) else ""
            first, total = self._span(stream, start, mark)
            self._check_total(total)
            return _Response(stream, first, total, _validator(stream.headers), sha256)
        raise DataError(f"{file.name} redirects without end at {host_of(address)}")

    def _request(self, address: str, headers: dict[str, str]) -> Any:
        """A response of any status."""
        opener = urllib.request.build_opener(_NoRedirect())
        request = urllib.request.Request(address, headers=headers)  # noqa: S310 (checked by check_address)
        with _network_faults():
            try:
                return opener.open(request, timeout=self.seconds)
            except urllib.error.HTTPError as response:  # any status but 2xx
                return response
            except TimeoutError:  # after the connection, before the response
                raise _Broken("does not answer (timed out)", is_reached=False) from None

    def _location(self, address: str, stream: Any) -> str | None:
        """Where a redirect, or a page in place of the file, leads; None for the file itself."""
        if stream.status in REDIRECTS:
            return str(stream.headers.get("Location", "")) or None
        if stream.status not in (200, 206) or not self.file.confirm:
            return None
        if stream.headers.get_content_type() != "text/html":
            return None
        with _network_faults():
            page = stream.read(_PAGE_BYTES).decode("utf-8", "replace")
        target = self.file.confirm(address, page)
        if target is None:
            raise DataError(f"{host_of(address)} sends a page in place of {self.file.name}")
        return target

    def _check_status(self, address: str, stream: Any) -> None:
        """_Broken for a status that asks to come again, DataError for others without a file."""
        status, problem = stream.status, ""
        encoding = stream.headers.get("Content-Encoding", "identity")
        if status in (200, 206) and encoding == "identity":
            return
        stream.close()
        if status == 416:  # a range behind the end
            self.part.remove()
            raise _Broken("has another version now")
        problem = f"answers {status} ({http.client.responses.get(status, 'unknown')})"
        if status in _LATER:
            raise _Broken(problem, wait=_retry_after(stream.headers))
        if status in (200, 206):
            problem = f"uses the encoding {encoding[:20]!a}"
        raise DataError(f"{host_of(address)} {problem} for {self.file.name}")

    def _span(self, stream: Any, start: int, mark: Mark) -> tuple[int, int]:
        """First byte of a response, and the size of the whole file; 0 where it is not said."""
        if stream.status == 200:
            length = stream.headers.get("Content-Length", "")
            return 0, int(length[:18]) if length.isdecimal() else 0
        span = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})", stream.headers.get("Content-Range", ""))
        if span and start and (int(span[1]), int(span[2])) == (start, mark.total or int(span[2])):
            return start, int(span[2])
        stream.close()
        self.part.remove()  # another version, or a server that miscounts
        raise _Broken("sends another range than was asked for")

    def _check_total(self, total: int) -> None:
        host, name, size = host_of(self.file.address), self.file.name, self.file.size
        if size and total not in (0, size):
            raise DataError(f"{host} has {total:,} bytes of {name}, not {size:,}")
        if total > self.file.most:
            raise DataError(
                f"{host} has {total:,} bytes of {name}: at most {self.file.most:,} are downloaded"
            )
        if not (total or size or self.file.has_digest):
            raise DataError(f"{host} does not say how long {name} is")

    def _store(self, response: _Response) -> None:
        """Write a response behind what is there, and report progress."""
        size, total = response.first, response.total or self.file.size
        last_event, window, window_size = 0.0, time.monotonic(), size
        with self.part.appending() as tail:
            while chunk := _read(response.stream):
                size += len(chunk)
                if size > (total or self.file.most):
                    self.part.remove()
                    host = host_of(self.file.address)
                    raise DataError(f"{host} sends more than {size - len(chunk):,} bytes of {self.file.name}")
                tail.write(chunk)
                now = time.monotonic()
                if now - last_event > _SECONDS_BETWEEN_EVENTS:
                    self.listen(DownloadProgress(self.file.name, size, total))
                    last_event = now
                if now - window > self.seconds:
                    if size - window_size < _SLOWEST_BYTES:
                        raise _Broken("is too slow")
                    window, window_size = now, size
        if size < total:
            raise _Broken(f"breaks off after {format_bytes(size)} of {format_bytes(total)}")
        self.listen(DownloadProgress(self.file.name, size, size))


def _read(stream: Any) -> bytes:
    """The next bytes of a response; none at its end."""
    with _network_faults():
        chunk: bytes = stream.read1(_CHUNK_BYTES)
        return chunk


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to the caller, who knows which hosts are allowed."""

    def redirect_request(self, *_: Any) -> None:
        """No further request."""
        return


@contextmanager
def _network_faults() -> Iterator[None]:
    """What goes wrong between here and a server, as `_Broken`."""
    try:
        yield
    except urllib.error.URLError as error:
        reason = error.reason if isinstance(error.reason, Exception) else error
        is_slow = isinstance(reason, TimeoutError)
        raise _Broken(f"does not answer ({_short(reason)})", is_reached=False, is_final=is_slow) from None
    except TimeoutError:
        raise _Broken("is silent") from None
    except (OSError, http.client.HTTPException) as error:
        raise _Broken(f"breaks off ({_short(error)})") from None


def _short(error: BaseException) -> str:
    """The message of an error on one short line."""
    text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
    return " ".join(text.split())[:120]


def _retry_after(headers: Message) -> float:
    """Seconds that the server asks to wait; 0 where it names none. A date counts from now."""
    text = headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - time.time())
    except (ValueError, TypeError):
        return 0.0


def _validator(headers: Message) -> str:
    """The server's mark of a version that `If-Range` may name; empty for none."""
    etag = headers.get("ETag", "")
    return str(etag if etag.startswith('"') else headers.get("Last-Modified", ""))
