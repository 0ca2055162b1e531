"""Opening a source: from the DATA argument to a listing of its files, and from there to a dataset."""

from collections.abc import Collection, Sequence
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from residua.data.decode import printable_path
from residua.data.images import ImageDataset, Images
from residua.data.listing import ListingOptions, SourceListing, build_dataset, evaluation_split, match_classes
from residua.data.scenes import BoxListing
from residua.data.sources import table
from residua.data.sources.labels import SUFFIXES
from residua.data.sources.shards import INDEX
from residua.data.sources.table import SOURCES, Holds, SourceKind, written_forms
from residua.errors import ConfigError, DataError
from residua.spec.source import Source, is_address, is_on_another_machine


def open_dataset(
    source: str | Source, *, val_fraction: float, without: Collection[str] = (), holds: Holds = "images"
) -> ImageDataset:
    """List `source`, split it and read the image headers.

    Args:
        source: the source, as text or parsed.
        val_fraction: share of every class that is held out where the source has no split.
        without: titles of images to leave out.
        holds: `images` or `clips`.

    Raises:
        DataError: when there is no such source or it cannot be used.
    """
    listing = find(source, holds=holds, options=ListingOptions(val_fraction=val_fraction))
    return build_dataset(listing, val_fraction=val_fraction, without=without)


def open_evaluation_split(source: str | Source, *, classes: Sequence[str], holds: Holds = "images") -> Images:
    """The test part of `source`, or all of it, with labels as indices into the network's `classes`.

    Args:
        source: the source, as text or parsed.
        classes: class names in the order of the network's outputs.
        holds: `images` or `clips`.

    Raises:
        DataError: for a class that the network lacks, or files that cannot be read.
    """
    return match_classes(evaluation_split(find(source, holds=holds)), classes, owner="the network")


def find(
    source: str | Source, *, holds: Holds = "images", options: ListingOptions | None = None
) -> SourceListing:
    """List the images, or clips, of `source` by name; no file is opened.

    Args:
        source: the source, as text or parsed.
        holds: `images` or `clips`.
        options: how it is listed; by default as for training.

    Raises:
        DataError: when there is no such source, it cannot be used, or it holds something else.
    """
    listing = _run_finder(table.parse_source(source), holds, options)
    assert isinstance(listing, SourceListing)
    return listing


def find_boxes(source: str | Source) -> BoxListing:
    """List the images of `source` and their boxes; no image is opened.

    Raises:
        DataError: when there is no such source, it cannot be used, or it holds no boxes.
    """
    listing = _run_finder(table.parse_source(source), "boxes", None)
    assert isinstance(listing, BoxListing)
    return listing


def check_is_local(source: str | Source, *, named_by: object) -> None:
    """Check that opening `source` uses no network, because a file names it and not the user.

    Args:
        source: the source, as text or parsed.
        named_by: the file or run that names it, for the message.

    Raises:
        ConfigError: when it lies on another machine; the message says how to allow it.
    """
    parsed = table.parse_source(source)
    kind = SOURCES[parsed.name] if parsed.name else None
    asks = is_on_another_machine(parsed.place or "")
    if asks or (kind and kind.is_local and not resolve_name(kind.is_local)(parsed)):
        name = printable_path(str(parsed))
        raise ConfigError(
            f"{printable_path(str(named_by))} names {name}, and the network is not used unasked: "
            f"give --data {name} to read it"
        )


def _run_finder(source: Source, holds: Holds, options: ListingOptions | None) -> Any:
    kind = SOURCES[source.name or _kind_of_path(source)]
    if kind.holds != holds:
        raise DataError(f"{source} holds {kind.holds}: here {holds} are needed, give {written_forms(holds)}")
    _check_place(source, kind)
    return resolve_name(kind.finder)(source.place or "", options or ListingOptions())


def _check_place(source: Source, kind: SourceKind) -> None:
    """DataError where the place is missing, or given to a source that takes none."""
    has_place = bool(source.place)
    if has_place == (source.place is not None) and (has_place or kind.place != "needed"):
        if has_place and kind.place == "none":
            raise DataError(f"{source} names a place, {source.name} takes none: give {source.name}")
        return
    raise DataError(f"'{source}' names no file or folder: give {' or '.join(kind.written)}")


def _kind_of_path(source: Source) -> str:
    """Which kind of source without a name lies at a path or an address."""
    place = str(source)
    if not place:
        raise DataError(f"no folder or file is given: give {written_forms('images')}")
    path = Path(place)
    if is_address(place) or place.endswith(f"/{INDEX}") or _is_file(path / INDEX):
        return "shards"
    return "labels" if path.suffix.lower() in SUFFIXES and not path.is_dir() else "folder"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError as error:  # its folder cannot be searched, or the name is too long
        raise DataError(f"{printable_path(path.parent)} cannot be read: {error.strerror}") from None
