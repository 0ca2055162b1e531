"""Video clips: folders of classes, label files, or the lists of Kinetics and Something-Something."""

from pathlib import Path

from residua.data.listing import ListingOptions, SourceListing
from residua.data.sources import kinetics, something
from residua.data.sources.folders import list_class_folders
from residua.data.sources.labels import SUFFIXES, list_label_file
from residua.data.video.clips import CLIP


def find_video(place: str, options: ListingOptions) -> SourceListing:
    """List the clips at `place`; no clip is opened.

    Args:
        place: a folder of classes or of splits, a list of paths and labels (CSV, JSON lines or Parquet), the
            CSV lists of Kinetics, or the JSON lists of Something-Something V2 beside their clips.
        options: `lenient` as in `list_class_folders`.

    Raises:
        DataError: for missing files, or lists that cannot be read.
    """
    path = Path(place)
    if kinetics.has_lists(path):
        return kinetics.list_kinetics(path)
    if something.has_lists(path):
        return something.list_something(path)
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        return list_label_file(path, media_type=CLIP)
    return list_class_folders(path, lenient=options.lenient, media_type=CLIP, holds="clips")
