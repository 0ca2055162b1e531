"""Bytes of a file on an HTTP server, with limits: no redirect to another server, no compression, no more
bytes than asked for."""

import asyncio
from collections.abc import Sequence
from typing import Any

from residua.data.decode import printable_path
from residua.data.http_hosts import MOST_REDIRECTS, REDIRECTS
from residua.errors import DataError

OPTIONS = {"client_kwargs": {"auto_decompress": False}}
"""Options of fsspec's HTTP file system: aiohttp would unpack a body before its size is known."""

_CHUNK_BYTES = 1 << 16


async def fetch(system: Any, address: str, start: int, most: int, *, whole: bool = False) -> bytes:
    """Fetch a part of a file.

    Args:
        system: fsspec's HTTP file system, with the `OPTIONS`.
        address: Address of the file.
        start: First byte.
        most: Number of bytes.
        whole: Whether the file has to end within them.

    Returns:
        The bytes; fewer where the file ends.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: The response is longer, compressed, or a redirect to another server.
        Exception: The server does not answer, or refuses.
    """
    session = await system.set_session()
    headers = {"Accept-Encoding": "identity"}
    if not whole:
        headers["Range"] = f"bytes={start}-{start + most - 1}"
    place = address
    for _ in range(MOST_REDIRECTS + 1):
        async with session.get(system.encode_url(place), headers=headers, allow_redirects=False) as response:
            if response.status in REDIRECTS and "Location" in response.headers:
                place = _next_place(address, response)
                continue
            if response.status == 404:
                raise FileNotFoundError(address)
            response.raise_for_status()
            return await _body(response, address, start, most, whole=whole)
    raise DataError(f"{printable_path(address)} redirects without end: check the address")


async def fetch_all(system: Any, ranges: Sequence[tuple[str, int, int]]) -> list[Any]:
    """Fetch ranges (address, start, size) at once: the bytes of each, or the exception in their place."""
    return await asyncio.gather(
        *(fetch(system, address, start, size) for address, start, size in ranges), return_exceptions=True
    )


def _next_place(address: str, response: Any) -> str:
    """Where a redirect leads. DataError for another scheme, host or port."""
    from yarl import URL

    target = response.url.join(URL(response.headers["Location"]))
    if target.scheme != response.url.scheme or target.origin() != response.url.origin():
        where = printable_path(f"{target.scheme}://{target.host}:{target.port}{target.path}"[:200])
        raise DataError(f"{printable_path(address)} redirects to {where}: if you trust it, give that address")
    return str(target)


async def _body(response: Any, address: str, start: int, most: int, *, whole: bool) -> bytes:
    name = printable_path(address)
    if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
        raise DataError(f"{name} is sent with the encoding {encoding[:20]!a}: serve it as it is")
    remedy = "give a smaller file" if whole else "serve it with ranges, as nginx and S3 do"
    too_long = DataError(f"{name} {f'is larger than {most:,} bytes' if whole else 'came whole'}: {remedy}")
    if (start and response.status != 206) or (response.content_length or 0) > most:
        raise too_long
    content = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        content += chunk
        if len(content) > most:
            raise too_long
    return bytes(content)
