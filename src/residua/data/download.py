"""Downloads one public archive, compares its checksum, and unpacks files by name."""

import hashlib
import http.client
import io
import tarfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from residua.errors import DataError
from residua.files import write_file

_SECONDS = 60.0  # without a byte, after which a connection is closed
_MOST_BYTES = 1 << 28  # of an archive or a member: the archive of CIFAR-10 has 170,052,171


def download(folder: Path, *, url: str, md5: str, members: Sequence[str], advice: str) -> None:
    """Write `members` of the tar archive at `url` into `folder`, each in one step.

    Args:
        folder: Where the files are written; created when it does not exist.
        url: Address of the archive.
        md5: MD5 of the archive, in hexadecimal.
        members: File names, without the folders of the archive.
        advice: What the user can do instead; every error message ends with it.

    Raises:
        DataError: The archive cannot be fetched or unpacked, lacks a member, or has another checksum.
    """
    archive = _fetched(url, advice=advice)
    # MD5 is what the authors publish; it is here against broken transfers, and https against forged ones
    digest = hashlib.md5(archive, usedforsecurity=False).hexdigest()
    if digest != md5:
        raise DataError(f"{url} has the MD5 {digest}, not {md5}: try again, or {advice}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            for member in members:
                write_file(folder / member, _member(tar, member))
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{url} cannot be unpacked into {folder} ({error}): {advice}") from None


class _SameServer(urllib.request.HTTPRedirectHandler):
    """Follows redirects within a server only; another one, or plain HTTP, would get the request unasked."""

    def redirect_request(
        self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        """The request that a redirect leads to. URLError for another server."""
        first, second = urllib.parse.urlsplit(req.full_url), urllib.parse.urlsplit(newurl)
        if first[:2] != second[:2]:
            raise urllib.error.URLError(f"it redirects to {second.scheme}://{second.netloc[:200]}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _fetched(url: str, *, advice: str) -> bytes:
    try:
        with urllib.request.build_opener(_SameServer()).open(url, timeout=_SECONDS) as response:
            content: bytes = response.read(_MOST_BYTES)
            return content
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} cannot be fetched ({error}): {advice}") from None


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    """Content of the file called `name`, whatever folder the archive keeps it in."""
    for info in tar:
        if info.isfile() and info.name.rpartition("/")[2] == name and info.size < _MOST_BYTES:
            content = tar.extractfile(info)
            assert content is not None
            return content.read()
    raise tarfile.TarError(f"it holds no {name}")
