"""Files of released weights: taken from the caches of this machine, or downloaded, and verified at every use.

    a cache holds FILE with the right digest       that file
    downloads are forbidden                        an error that says which file to put where
    a process downloads it already                 wait for that one
    else                                           FILE.partial grows, is verified, and becomes FILE

huggingface_hub downloads from the hub where it is installed, so that its cache serves other libraries, too.
"""

import os
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from residua.data.download_settings import (
    hub_endpoint,
    hub_folder,
    is_offline,
    offline_variables,
    weights_mirror,
)
from residua.data.http_download import MOST_BYTES, PATIENCE, Patience, RemoteFile, download_file
from residua.data.http_hosts import HUB_HOSTS, check_address, host_of
from residua.data.partial_file import PartialFile
from residua.errors import CheckpointError, DataError, ResourceError, UnreachableError
from residua.events import Activity, Listen, Note
from residua.files import file_lock, file_sha256
from residua.spec.amount import format_bytes
from residua.spec.printable import printable
from residua.weights import caches
from residua.weights.catalogue import ReleasedWeights
from residua.weights.google_drive import confirmed_address

__all__ = ["cached", "fetch", "fetch_hub", "is_offline"]


_DRIVE = "drive.google.com"
_SPARE_BYTES = 16 << 20
_LARGEST = 3  # times the size of the catalogue, which may be that of the tensors alone: a file may hold more
_REVISION = "main"


def fetch(entry: ReleasedWeights, *, listen: Listen = lambda _: None, patience: Patience = PATIENCE) -> Path:
    """The verified file of `entry` on this machine; downloaded where no cache has it.

    Args:
        entry: A row of the catalogue.
        listen: Receives what is done, the progress of a download, and a Note about each file not used.
        patience: How long a server is waited for.

    Returns:
        The file: in residua's cache, in that of torch or of huggingface_hub.

    Raises:
        UnreachableError: No cache has it, and it cannot be downloaded, or must not be.
        CheckpointError: The file that was downloaded is another one than was published.
        ResourceError: The cache folder is full or cannot be written.
        ConfigError: A variable of the environment is no address.
    """
    if path := _usable(entry, listen):
        return path
    own = caches.own_path(entry)
    if variables := offline_variables():
        reason = f"{entry.name} is not on this machine, and {variables} forbids downloads"
        raise UnreachableError(f"{reason}: {by_hand(entry)}")
    if entry.hub and not weights_mirror() and _has_library():
        try:
            path = _by_library(entry.hub, [entry.file], listen) / entry.file
        except UnreachableError as error:
            raise UnreachableError(f"{error}; or {by_hand(entry)}") from None
        if problem := caches.problem(path, entry.sha256, caches.record_path(own)):
            raise CheckpointError(f"{printable(str(path))} is not {entry.name}: {problem}")
        with suppress(OSError):  # a cache that cannot be written only leaves it unknown
            own.parent.mkdir(parents=True, exist_ok=True)
            caches.write_record(own, caches.digest_of(path))
        return path
    with _alone(own, listen):
        return _usable(entry, lambda _: None) or _download(entry, own, listen, patience)


def cached(entry: ReleasedWeights) -> Path | None:
    """The file of `entry` in a cache of this machine, with the right digest; None where there is none."""
    return _usable(entry, lambda _: None)


def fetch_hub(
    repository: str,
    files: Sequence[str],
    *,
    listen: Listen = lambda _: None,
    patience: Patience = PATIENCE,
) -> Path:
    """A folder with files of a repository on the hub; those that a cache has are not asked for again.

    Args:
        repository: `owner/name`.
        files: Names of files in it.
        listen: Receives what is done.
        patience: How long a server is waited for.

    Returns:
        The folder: in the cache of huggingface_hub, or in residua's where that is not installed.

    Raises:
        CheckpointError: There is no such repository, or it lacks a file, or one was damaged.
        UnreachableError: The hub does not answer, or must not be asked, and no cache has them.
        ResourceError: The cache folder is full or cannot be written.
    """
    own, name = caches.own_hub_path(repository), printable(repository)
    if folder := caches.hub_files(repository, files):
        return _verified(folder, files, name)
    if variables := offline_variables():
        raise UnreachableError(
            f"{name} is not on this machine, and {variables} forbids downloads: put "
            f"{' and '.join(files)} of {hub_endpoint()}/{name} in {printable(str(own))}"
        )
    if _has_library():
        return _verified(_by_library(repository, files, listen), files, name)
    for file in files:
        with _alone(own / file, listen):
            if not (own / file).is_file():
                source = _Source((_hub_address(repository, file),), f"{name}/{file}")
                _store(source, own / file, listen, patience, CheckpointError)
    return _verified(own, files, name)


@dataclass(frozen=True, slots=True)
class _Source:
    """Where a file is downloaded from, and what is known of it."""

    addresses: tuple[str, ...]
    name: str
    sha256: str = ""
    size: int = 0  # about, for messages
    most: int = MOST_BYTES


def _usable(entry: ReleasedWeights, listen: Listen) -> Path | None:
    """The first file in a cache whose digest is right; `listen` hears of the others."""
    record = caches.record_path(caches.own_path(entry))
    for path in caches.places(entry):
        try:
            problem = caches.problem(path, entry.sha256, record)
        except OSError as error:
            problem = f"it cannot be read ({error.strerror})"
        if not problem:
            return path
        listen(Note(f"{printable(str(path))} is not used for {entry.name}: {problem}"))
    return None


def _verified(folder: Path, files: Sequence[str], name: str) -> Path:
    for file in files:
        path = folder / file
        try:
            problem = caches.problem(path, "", caches.record_path(path))
        except OSError as error:
            problem = f"it cannot be read ({error.strerror})"
        if problem:
            raise CheckpointError(
                f"{printable(str(path))} of {name} is damaged ({problem}): remove it to fetch it again"
            )
    return folder


def _download(entry: ReleasedWeights, own: Path, listen: Listen, patience: Patience) -> Path:
    """Download the file of `entry` into residua's cache."""
    most = _LARGEST * entry.size + _SPARE_BYTES if entry.size else MOST_BYTES
    source = _Source(_addresses(entry), entry.file, entry.sha256, entry.size, most)
    try:
        _store(source, own, listen, patience)
    except UnreachableError as error:
        raise UnreachableError(f"{error}: try again later, or {by_hand(entry)}") from None
    return own


def _addresses(entry: ReleasedWeights) -> tuple[str, ...]:
    """Where the file of `entry` is, in the order in which it is asked for."""
    if mirror := weights_mirror():
        check_address(mirror, "RESIDUA_WEIGHTS_MIRROR")
        path = f"{entry.hub}/{entry.file}" if entry.hub and not entry.urls else entry.file
        return (f"{mirror}/{urllib.parse.quote(path)}",)
    return _origins(entry)


def _origins(entry: ReleasedWeights) -> tuple[str, ...]:
    """Where its owner has the file of `entry`."""
    return entry.urls + ((_hub_address(entry.hub, entry.file),) if entry.hub else ())


def _hub_address(repository: str, file: str) -> str:
    check_address(hub_endpoint(), "HF_ENDPOINT")
    return f"{hub_endpoint()}/{urllib.parse.quote(f'{repository}/resolve/{_REVISION}/{file}')}"


def by_hand(entry: ReleasedWeights) -> str:
    """What to do without a download: which file to put where."""
    known = {0: "not known", 64: entry.sha256}.get(len(entry.sha256), f"{entry.sha256}...")
    place = printable(str(caches.own_path(entry)))
    return f"fetch {_origins(entry)[0]} (SHA-256 {known}) and put it at {place}"


def _store(
    source: _Source,
    path: Path,
    listen: Listen,
    patience: Patience,
    refused: type[UnreachableError | CheckpointError] = UnreachableError,
) -> None:
    """Download a file, verify it, and move it to `path`; one joined of two versions is fetched once more."""
    part = PartialFile(path.with_name(f"{path.name}.partial"))
    record = caches.record_path(path)
    while True:
        is_joined = part.size() > 0
        address, promised = _transfer(source, part, listen, patience, refused)
        digest = file_sha256(part.path)
        known = filter(None, (source.sha256, promised, caches.recorded(record)))
        wrong = [text for text in known if not digest.startswith(text)]
        if not wrong:
            break
        part.remove()
        if not is_joined:
            raise CheckpointError(
                f"{source.name} from {host_of(address)} has the SHA-256 {digest}, not {wrong[0]}: not used"
            )
    with _writing(path):
        os.replace(part.path, path)
        part.remove()
        caches.write_record(path, digest)
    caches.remember(path, digest)


def _transfer(
    source: _Source,
    part: PartialFile,
    listen: Listen,
    patience: Patience,
    refused: type[UnreachableError | CheckpointError],
) -> tuple[str, str]:
    """Download a file from the first address that has it: that address, and the digest that it promised."""
    reasons = []
    for address in source.addresses:
        is_drive = host_of(address) == _DRIVE
        remote = RemoteFile(
            address,
            source.name,
            most=source.most,
            has_digest=bool(source.sha256),
            hosts=HUB_HOSTS if address.startswith(hub_endpoint()) else (),
            confirm=confirmed_address if is_drive else None,
        )
        size = f" ({format_bytes(source.size)})" if source.size else ""
        listen(Activity(f"downloading {source.name}{size} from {host_of(address)}"))
        try:
            return address, download_file(remote, part, listen=listen, patience=patience)
        except DataError as error:
            reasons.append(str(error))
            if isinstance(error, UnreachableError):
                refused = UnreachableError
    raise refused("; ".join(reasons))


def _by_library(repository: str, files: Sequence[str], listen: Listen) -> Path:
    """The folder in which huggingface_hub stores `files` of a repository, as others use it, too."""
    import huggingface_hub

    from residua.data.hub import check_hub, is_refusal  # it asks before the library would wait for minutes

    check_hub("model", repository)
    listen(Activity(f"downloading {' and '.join(files)} of {printable(repository)} from the hub"))
    try:
        paths = [
            huggingface_hub.hf_hub_download(repository, file, cache_dir=hub_folder(), endpoint=hub_endpoint())
            for file in files
        ]
    except Exception as error:  # the library changed its HTTP client, and with it the errors
        reason = " ".join(str(error).split())[:200]
        text = f"{printable(repository)} cannot be downloaded ({reason})"
        if is_refusal(error):
            raise CheckpointError(f"{text}: check the name") from None
        raise UnreachableError(f"{text}: try again later") from None
    return Path(paths[-1]).parent


def _has_library() -> bool:
    return find_spec("huggingface_hub") is not None


@contextmanager
def _alone(path: Path, listen: Listen) -> Iterator[None]:
    """Download to `path` while no other process does."""
    lock = path.with_name(f"{path.name}.lock")
    with ExitStack() as stack:
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                stack.enter_context(file_lock(lock, wait=False))
            except BlockingIOError:
                listen(Activity(f"waiting for another process that downloads {printable(path.name)}"))
                stack.enter_context(file_lock(lock))
        yield


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """What the disk refuses inside, as a ResourceError."""
    try:
        yield
    except OSError as error:
        raise ResourceError(
            f"{printable(str(path.parent))} cannot be written ({error.strerror}): set XDG_CACHE_HOME to a "
            "folder that can"
        ) from None
