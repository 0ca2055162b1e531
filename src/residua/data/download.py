"""Downloads one public archive, compares its checksum, and unpacks files by name."""

import hashlib
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

from residua.data.download_settings import offline_variables
from residua.data.http_download import RemoteFile, download_file
from residua.data.partial_file import PartialFile
from residua.errors import DataError, UnreachableError
from residua.events import Event
from residua.files import file_lock, write_file

_MOST_BYTES = 1 << 28  # of an archive or a member: the archive of CIFAR-10 has 170,052,171


def download(
    folder: Path,
    *,
    url: str,
    md5: str,
    members: Sequence[str],
    advice: str,
    listen: Callable[[Event], None] = lambda _: None,
) -> None:
    """Write `members` of the tar archive at `url` into `folder`, each in one step.

    A download that was interrupted goes on where it stopped. Of two processes one downloads, the other waits.

    Args:
        folder: Where the files are written; created when it does not exist.
        url: Address of the archive.
        md5: MD5 of the archive, in hexadecimal.
        members: File names, without the folders of the archive.
        advice: What the user can do instead; every error message ends with it.
        listen: Receives events of progress.

    Raises:
        DataError: The archive cannot be fetched or unpacked, lacks a member, or has another checksum.
        UnreachableError: The server does not answer, or downloads are switched off.
        ResourceError: The disk is full.
    """
    if variables := offline_variables():
        raise UnreachableError(f"{url} is not downloaded, as {variables} forbids it: {advice}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(folder.with_name(f"{folder.name}.lock")):
            if not all((folder / member).is_file() for member in members):
                part = PartialFile(folder.with_name(f"{folder.name}.partial"))
                _fetch(part, url, md5, advice, listen)
                _unpack(part.path, folder, members)
                part.remove()
    except (OSError, EOFError, tarfile.TarError) as error:
        raise DataError(f"{url} cannot be unpacked into {folder} ({error}): {advice}") from None


def _fetch(part: PartialFile, url: str, md5: str, advice: str, listen: Callable[[Event], None]) -> None:
    try:
        download_file(RemoteFile(url, url.rpartition("/")[2], most=_MOST_BYTES), part, listen=listen)
    except DataError as error:
        raise type(error)(f"{url} cannot be fetched ({error}): {advice}") from None
    # MD5 is what the authors publish; it is here against broken transfers, and https against forged ones
    with part.path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if digest != md5:
        part.remove()
        raise DataError(f"{url} has the MD5 {digest}, not {md5}: try again, or {advice}")


def _unpack(archive: Path, folder: Path, members: Sequence[str]) -> None:
    folder.mkdir(exist_ok=True)
    with tarfile.open(archive) as tar:
        for member in members:
            write_file(folder / member, _member(tar, member))


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    """Content of the file called `name`, whatever folder the archive keeps it in."""
    for info in tar:
        if info.isfile() and info.name.rpartition("/")[2] == name and info.size < _MOST_BYTES:
            content = tar.extractfile(info)
            assert content is not None
            return content.read()
    raise tarfile.TarError(f"it holds no {name}")
