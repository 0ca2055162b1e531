"""Released weights on this machine: which are here, downloads by name, and digests compared again.

A digest that nobody published is written down with the first verified download, as `weights.caches`
describes, and compared from then on.
"""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from residua.errors import ConfigError
from residua.events import Listen
from residua.files import check_is_free, file_sha256, replace_file
from residua.spec.record import nearest, to_plain
from residua.weights import caches, catalogue, fetch
from residua.weights.catalogue import ReleasedWeights, class_names
from residua.weights.licence import check_licence

State = Literal["as published", "as recorded", "written down", "wrong"]
"""What the digest of a file was compared with: the published one, that of the first download, nothing yet."""
PREFIXES = ("timm:", "hf-hub:", "hf:")
"""What elsewhere stands before a name on the hub."""
WILD = frozenset("*?[")
"""Characters that make a pattern of a name."""


@dataclass(frozen=True, slots=True)
class ListedWeights:
    """An entry of the catalogue, and its file."""

    entry: ReleasedWeights
    """The entry."""
    path: Path | None
    """Its verified file on this machine; None where it is not here."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        entry = self.entry
        return {
            "name": entry.name,
            "model": entry.model,
            "top1": entry.top1,
            "protocol": entry.protocol,
            "licence": entry.licence,
            "sha256": entry.sha256,
            "url": address(entry),
            "cached": str(self.path) if self.path else None,
            "size": entry.size,
            "training_data": entry.training_data,
            "source": entry.source,
            "hub": entry.hub,
            "verified": entry.verified,
            "dialect": entry.dialect,
            "preprocess": to_plain(entry.preprocess),
            "classes": list(class_names(entry)),
        }


@dataclass(frozen=True, slots=True)
class DigestCheck:
    """The digest of one file on this machine, computed anew."""

    entry: ReleasedWeights
    """The entry that it is the file of."""
    path: Path
    """The file."""
    sha256: str
    """Its digest."""
    state: State
    """What it was compared with, or `wrong`."""
    problem: str = ""
    """What is wrong; empty for nothing."""

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {"name": self.entry.name, "path": str(self.path), "sha256": self.sha256, "state": self.state}


def address(entry: ReleasedWeights) -> str:
    """Where the file is on the web."""
    return entry.urls[0] if entry.urls else f"https://huggingface.co/{entry.hub}/resolve/main/{entry.file}"


def list_weights(pattern: str = "*") -> list[ListedWeights]:
    """The entries that match `pattern`, in the order of the catalogue, and where their files are.

    Args:
        pattern: As `catalogue.entries` takes it; another name that `catalogue.find` knows finds that entry.

    Raises:
        ConfigError: Nothing matches.
    """
    matching = catalogue.entries(pattern)
    if not matching and WILD & set(pattern):
        names = [entry.name for entry in catalogue.entries()]
        raise ConfigError(f"no weights match {pattern!r}: {nearest(pattern.strip('*'), names)}")
    return [ListedWeights(each, fetch.cached(each)) for each in matching or [_known(pattern)]]


def _known(name: str) -> ReleasedWeights:
    """The entry that `name` means; ConfigError for none, with the pattern of those that contain it."""
    try:
        return catalogue.find(name)
    except ConfigError:
        if catalogue.entries(f"*{name}*"):
            raise ConfigError(f"no weights {name!r}: try '*{name}*'") from None
        raise


def get_weights(
    names: Sequence[str],
    *,
    out: Path | None = None,
    accepted: bool = False,
    force: bool = False,
    listen: Listen = lambda _: None,
) -> list[ListedWeights]:
    """Download released weights, verify them, and with `out` copy them.

    Args:
        names: Names or shell-style patterns; every licence is checked before the first download.
        out: Folder for copies at NAME/FILE, as the cache of another machine has them below `weights`.
        accepted: Whether the user accepts licences that forbid commercial use.
        force: Replace copies that exist and differ.
        listen: Receives what is done, and the progress of downloads.

    Returns:
        The entries in the order of `names`, and their files; with `out` the copies.

    Raises:
        ConfigError: A name is unknown, a licence is not accepted, or `out` is a file.
        FileExistsError: Another file is where a copy goes, without `force`.
        UnreachableError: A file is not here and cannot be downloaded, or must not be.
        CheckpointError: A file is another one than was published.
        ResourceError: The cache cannot be written.
    """
    chosen = _chosen(names)
    for entry in chosen:
        check_licence(entry, accepted=accepted)
    if out and out.exists() and not out.is_dir():
        raise ConfigError(f"{out} is a file: give a folder for the copies")
    rows = []
    for entry in chosen:
        path = fetch.fetch(entry, listen=listen)
        rows.append(ListedWeights(entry, _copy(entry, path, out, force=force) if out else path))
    return rows


def verify_weights(names: Sequence[str] = ()) -> list[DigestCheck]:
    """Compute the digests of files on this machine anew, and compare them.

    A file without a published or recorded digest is right; its digest is written down.

    Args:
        names: Names or patterns; empty for every entry that has a file here.

    Raises:
        ConfigError: A name is unknown, or there is no file of it here.
        OSError: A file cannot be read, or the record cannot be written.
    """
    checks = []
    for entry in _chosen(names or ["*"]):
        places = list(caches.places(entry))
        if names and not places:
            raise ConfigError(f"{entry.name} is not on this machine: residua weights get {entry.name}")
        checks += [_check(entry, path) for path in places]
    return checks


def _chosen(names: Sequence[str]) -> list[ReleasedWeights]:
    """The entries that names and patterns mean, each once."""
    chosen: dict[str, ReleasedWeights] = {}
    for name in names:
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        rows = [row.entry for row in list_weights(name)] if WILD & set(name) else [catalogue.find(name)]
        chosen |= {entry.name: entry for entry in rows}
    return list(chosen.values())


def _copy(entry: ReleasedWeights, path: Path, out: Path, *, force: bool) -> Path:
    """The copy of the file at `path` below `out`, with its digest beside it."""
    copy = out / entry.name / entry.file
    digest = caches.digest_of(path)
    if not (copy.is_file() and file_sha256(copy) == digest):
        check_is_free(copy, force=force)
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, replace_file(copy) as target:
            shutil.copyfileobj(source, target, 1 << 20)
    caches.write_record(copy, digest)
    return copy


def _check(entry: ReleasedWeights, path: Path) -> DigestCheck:
    """Compare one file."""
    digest = file_sha256(path)
    caches.remember(path, digest)
    own = caches.own_path(entry)
    record = caches.record_path(own)
    if problem := caches.problem(path, entry.sha256, record):
        return DigestCheck(entry, path, digest, "wrong", problem)
    if entry.sha256:
        return DigestCheck(entry, path, digest, "as published")
    if caches.recorded(record):
        return DigestCheck(entry, path, digest, "as recorded")
    own.parent.mkdir(parents=True, exist_ok=True)
    caches.write_record(own, digest)
    return DigestCheck(entry, path, digest, "written down")
