"""Files of released weights that are on this machine already, and whether their digests are right.

    residua                       weights/NAME/FILE in its cache folder; FILE.sha256 beside it holds the
                                  digest of the first verified download, as sha256sum writes it
    torch.hub, torchvision, timm  TORCH_HOME/hub/checkpoints/FILE
    huggingface_hub, timm         HF_HOME/hub/models--OWNER--NAME/snapshots/COMMIT/FILE, a link to a file
                                  whose name is its digest

The SHA-256 of a file is computed once: `weights/digests` in the cache folder remembers it with the size and
the times of the file, and a file with others is read again.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from residua.data.download_settings import hub_folder, torch_folder
from residua.errors import CheckpointError
from residua.files import cache_folder, file_sha256, read_file, write_file
from residua.weights.catalogue import ReleasedWeights

_SHA256 = re.compile("[0-9a-f]{64}")


def own_path(entry: ReleasedWeights) -> Path:
    """Where residua stores the file of `entry`."""
    return cache_folder() / "weights" / entry.name / entry.file


def places(entry: ReleasedWeights) -> Iterator[Path]:
    """Every file on this machine that has the name of that of `entry`, residua's own first."""
    candidates = [own_path(entry)]
    if entry.urls:
        candidates.append(torch_folder() / entry.file)
    if entry.hub and (folder := hub_snapshot(entry.hub, [entry.file])):
        candidates.append(folder / entry.file)
    yield from (path for path in candidates if path.is_file())


def own_hub_path(repository: str) -> Path:
    """The folder in which residua stores files of a repository, where huggingface_hub is not installed."""
    return cache_folder() / "weights" / "hub" / repository.replace("/", "--")


def hub_files(repository: str, files: Sequence[str]) -> Path | None:
    """A folder of this machine with all `files` of a repository: huggingface_hub's, else residua's own."""
    own = own_hub_path(repository)
    if snapshot := hub_snapshot(repository, files):
        return snapshot
    return own if all((own / file).is_file() for file in files) else None


def hub_snapshot(repository: str, files: Sequence[str]) -> Path | None:
    """The folder in which huggingface_hub stored the newest `files` of a repository that it knows."""
    folder = hub_folder() / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text().strip()[:100]
    except (OSError, ValueError):
        return None
    snapshot = folder / "snapshots" / commit
    is_whole = re.fullmatch(r"\w+", commit) is not None and all((snapshot / file).is_file() for file in files)
    return snapshot if is_whole else None


def problem(path: Path, sha256: str, record: Path) -> str:
    """What is wrong with the digest of a file; empty for nothing.

    Args:
        path: The file.
        sha256: What its digest is or begins with; empty for not known.
        record: File with the digest of the first verified download; it may not exist.
    """
    known = [sha256, recorded(record), path.resolve().name]
    for text in (known[0], *filter(_SHA256.fullmatch, known[1:])):
        if not digest_of(path).startswith(text):
            return f"its SHA-256 is {digest_of(path)}, not {text}{'' if _SHA256.fullmatch(text) else '...'}"
    return ""


def record_path(path: Path) -> Path:
    """The file beside `path` that holds the digest of its first verified download."""
    return path.with_name(f"{path.name}.sha256")


def recorded(record: Path) -> str:
    """The digest in a record; empty where there is none."""
    try:
        return read_file(record)[:64].decode("ascii", "replace")
    except (OSError, CheckpointError):
        return ""


def write_record(path: Path, sha256: str) -> None:
    """Write down the digest of the file at `path`, so that `sha256sum -c` reads it."""
    write_file(record_path(path), f"{sha256}  {path.name}\n")


def digest_of(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal, computed again only when the file has changed."""
    state = _state(path)
    try:
        values = json.loads(read_file(_memory(path)))
        if values["state"] == state and _SHA256.fullmatch(values["sha256"]):
            return str(values["sha256"])
    except (OSError, ValueError, TypeError, KeyError, CheckpointError):
        pass
    digest = file_sha256(path)
    if _state(path) == state:
        remember(path, digest)
    return digest


def remember(path: Path, sha256: str) -> None:
    """Remember the digest of a file as it is now."""
    memory = _memory(path)
    with suppress(OSError):  # a cache that cannot be written only costs time
        memory.parent.mkdir(parents=True, exist_ok=True)
        write_file(memory, json.dumps({"path": str(path), "state": _state(path), "sha256": sha256}))


def _state(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _memory(path: Path) -> Path:
    key = hashlib.sha256(str(path.absolute()).encode("utf-8", "surrogateescape")).hexdigest()[:32]
    return cache_folder() / "weights" / "digests" / f"{key}.json"
