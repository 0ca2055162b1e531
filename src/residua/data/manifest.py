"""Manifests: label files that residua writes and reads like any other label file."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from residua.data.decode import printable_path
from residua.data.images import Images
from residua.data.items import Files
from residua.data.sources.labels import list_label_file
from residua.data.table_cells import csv_text
from residua.errors import ConfigError, DataError
from residua.files import check_output_path


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One line of a manifest."""

    path: Path
    """The file, absolute."""
    label: str
    """Its class."""
    split: str
    """`train`, `val` or `test`."""


def manifest_entries(images: Images, split: str) -> Iterator[ManifestEntry]:
    """The lines of `images`. DataError unless each is a separate file."""
    for i in range(len(images)):
        yield ManifestEntry(image_file(images, i), images.classes[images.labels[i]], split)


def image_file(images: Images, i: int) -> Path:
    """The absolute path of image `i`. DataError when it is not a separate file."""
    if not isinstance(images.files, Files):
        raise DataError(f"{images.title(i)} is not a separate file: a manifest lists files in folders")
    return Path(os.path.abspath(images.files[i]))


def split_name(images: Images) -> str:
    """`test` or `val`: how a manifest calls the evaluation split `images`."""
    return "test" if images.name.lower().startswith("test") else "val"


def write_manifest(out: Path, lines: Sequence[ManifestEntry], *, force: bool = False) -> None:
    """Write `lines` to `out`, a .csv that is read back before it takes its place; no image is touched.

    Args:
        out: The file, in the folder of the images or in a folder above them.
        lines: Path, class and split of each image.
        force: Whether a file at `out` is replaced.

    Raises:
        FileExistsError: Something exists at `out`, without `force`.
        ConfigError: `out` has another ending than .csv, its folder does not exist, or it is not above its
            images.
        DataError: A label file cannot hold a file name or a class.
    """
    check_output_path(out, force=force, suffixes=(".csv",))
    folder = Path(os.path.abspath(out)).parent
    below = [os.path.relpath(line.path, folder) for line in lines]
    if any(path.startswith(os.pardir) for path in below):
        above = os.path.commonpath([line.path.parent for line in lines])
        raise ConfigError(
            f"{out} is not above its images: write it into {printable_path(above)}, or a folder above that"
        )
    rows = [(path, line.label, line.split) for path, line in zip(below, lines, strict=True)]
    table = csv_text([("path", "label", "split"), *rows])
    draft = folder / f".{out.name}.{os.getpid()}.csv"
    try:
        draft.write_text(table, "utf-8", newline="")
        _same(draft, rows)
        draft.replace(out)
    except UnicodeEncodeError:
        raise DataError("a file has a name that is not UTF-8, which no CSV can hold: rename it") from None
    finally:
        draft.unlink(missing_ok=True)


def _same(draft: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    """DataError unless `draft`, read as a label file, gives `rows`."""
    listing = list_label_file(draft)
    read = {
        (os.path.normpath(images.title(i)), images.classes[images.labels[i]])
        for images in listing.splits
        for i in range(len(images))
    }
    for path, label, _ in rows:
        if (os.path.normpath(path), label) not in read:
            raise DataError(
                f"{printable_path(path)} with the class {label!r} cannot stand in a label file: rename it"
            )
