"""What a user calls a data set, as images: a folder, `digits`, or `cifar10[:DIR]`."""

from collections.abc import Sequence
from pathlib import Path

from residua.data.cifar import open_cifar10
from residua.data.decode import DataError, shown
from residua.data.digits import open_digits
from residua.data.folders import matched, open_folder, open_judged
from residua.data.images import Dataset, Files, Images
from residua.data.walk import walk

__all__ = ["Dataset", "Files", "Images", "list_images", "open_dataset", "open_images"]

_SHARE = 0.2  # of the digits: what `Data.holdout` says when nobody does


def open_dataset(source: str, *, holdout: float) -> Dataset:
    """The images of `source`, split. DataError when there is no such source, or it cannot be used.

    `holdout` is the share of every class kept for judging where the source has no split of its own. A folder
    that is called like a source is given as `./digits`.
    """
    if source == "digits":
        return open_digits(holdout=holdout)
    if _is_cifar10(source):
        return open_cifar10(_cifar10_folder(source))
    return open_folder(Path(source), holdout=holdout)


def open_images(source: str, *, classes: Sequence[str], holdout: float = _SHARE) -> Images:
    """Images to judge a network by; their labels are places in its `classes`, found by name.

    They are the test split where the source has one, else all. DataError names a class that `classes` lacks.
    `holdout` is the share that was kept from training, for `digits`.
    """
    if source == "digits":
        images = open_digits(holdout=holdout).test
    elif _is_cifar10(source):
        images = open_cifar10(_cifar10_folder(source)).test
    else:
        images = open_judged(Path(source))
    return matched(images, classes, owner="the network")


def list_images(paths: Sequence[Path]) -> list[Path]:
    """The files among `paths`, and every image in the folders among them, sorted and without hidden ones.

    DataError when a path does not exist or a folder holds no image.
    """
    found: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{shown(path)} does not exist: give image files or folders of them")
        if not path.is_dir():
            found.append(path)
            continue
        inside = sorted(file for kind, file in walk(path, root=path) if kind == "image")
        if not inside:
            raise DataError(
                f"{shown(path)} holds no image: give a folder of JPEG, PNG, WEBP, BMP or GIF files"
            )
        found += inside
    return found


def _is_cifar10(source: str) -> bool:
    return source == "cifar10" or source.startswith("cifar10:")


def _cifar10_folder(source: str) -> Path | None:
    _, colon, folder = source.partition(":")
    if colon and not folder:
        raise DataError("'cifar10:' names no folder: give cifar10 or cifar10:DIR")
    return Path(folder) if colon else None
