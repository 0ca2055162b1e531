"""What a user calls a set of clips: `video:` a folder or a list in the layouts people keep, or `moving`."""

from collections.abc import Collection, Sequence
from pathlib import Path

from residua.data.images import ImageDataset, Images
from residua.data.listing import SourceListing, judged, matched, settle
from residua.data.sources import kinetics, something
from residua.data.sources.folders import find_folder
from residua.data.sources.labels import SUFFIXES, find_labels
from residua.data.video.clips import CLIP
from residua.errors import DataError
from residua.tasks.video.moving import open_moving

MOVING = "moving"
"""What the one source begins with whose clips are made, not found."""


def find(source: str, *, lenient: bool = False) -> SourceListing:
    """The clips of `video:PLACE` by name, before any is opened. DataError says what is missing.

    PLACE is a folder of classes with clips or of splits of such, a CSV, JSON-lines or Parquet list of paths
    and labels, the CSV lists of Kinetics, or the JSON lists of Something-Something-V2 beside their clips.
    `lenient` as in `find_folder`.
    """
    name, colon, place = source.partition(":")
    if name == MOVING:
        moving = _moving(colon, place)
        return SourceListing(source, moving.train, moving.test, moving.note)
    if not place:
        raise DataError(f"'{source}' names no folder: give video:DIR")
    path = Path(place)
    if kinetics.is_one(path):
        return kinetics.find(path)
    if something.is_one(path):
        return something.find(path)
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return find_labels(path, gate=CLIP)
    return find_folder(path, lenient=lenient, gate=CLIP)


def open_clips(source: str, *, holdout: float, without: Collection[str] = ()) -> ImageDataset:
    """The clips of `source`, split as images are. DataError when they cannot be used."""
    name, colon, place = source.partition(":")
    if name == MOVING:
        return _moving(colon, place)
    return settle(find(source), holdout=holdout, without=without)


def judging(source: str, *, classes: Sequence[str]) -> Images:
    """Clips to judge a network by; their labels are places in its `classes`, found by name."""
    return matched(judged(find(source)), classes, owner="the network")


def _moving(colon: str, place: str) -> ImageDataset:
    if colon and not place:
        raise DataError("'moving:' names no folder: give moving or moving:DIR")
    return open_moving(place)
