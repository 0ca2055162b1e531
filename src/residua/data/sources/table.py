"""All kinds of data sources in one table: how each is written, what it holds and which function finds it.

Help texts, error messages and the table in `docs/how-to/data.md` are made from `SOURCES`. To add a data set:

1. Write `data/sources/NAME.py` with one function `find_NAME(place, options)`. `place` is the text behind the
   colon, empty where there is none; `options` are `data.listing.ListingOptions`. The function opens no file
   of an image; arrays are read whole, up to a limit that is a constant with its reason (`data/limits.py`).
   Classes that are numbers are named `0`, `1` ...; each part lists its own, and they are matched by name. It
   returns a `data.listing.SourceListing` of images or clips, or a `data.scenes.BoxListing`, and raises
   `DataError` that says what is missing and what to give.
2. Add one row to `SOURCES`, with the function as `module:function`.
3. Put what `markdown_table()` returns into `docs/how-to/data.md`; a test compares the two. The table of what
   a run compares, on the same page, gets a row by hand.

The functions are named, not imported: the command line reads this table for its help, without numpy.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from residua.spec.source import Source

Holds = Literal["images", "clips", "boxes"]
"""What a source consists of: labelled images, labelled video clips, or images with labelled boxes."""


@dataclass(frozen=True, slots=True)
class SourceKind:
    """One kind of source, a row of `SOURCES`."""

    holds: Holds
    """What it consists of."""
    written: tuple[str, ...]
    """How users write it, the usual form first; empty for what only runs write."""
    about: str
    """What it reads, in one phrase."""
    split: str
    """Where its training and validation parts come from, in one phrase."""
    finder: str
    """The function that lists it, as `module:function`."""
    place: Literal["needed", "optional", "none"] = "needed"
    """Whether a folder, file or address follows the name."""
    extra: str = ""
    """The extra of the package that it needs, e.g. `hf`; empty for none."""
    is_local: str = ""
    """The function that says whether all of a source lies on this machine, as `module:function`, where an
    address in its place is not the only sign that it does not."""
    is_named: bool = True
    """Whether users write its name. Files, folders and addresses are recognised by what lies there."""


_ROOM = "residua.data.sources"

SOURCES: Mapping[str, SourceKind] = {
    "folder": SourceKind(
        "images",
        ("photos/",),
        "`photos/cat/*.jpg`, or with `train` and `val` above or below the class folders",
        "folders `train` and `val` (or `training`, `valid`, `test`, `Train_Set` ...), else by hash",
        f"{_ROOM}.folders:find_folder",
        is_named=False,
    ),
    "labels": SourceKind(
        "images",
        ("labels.csv", "labels.tsv", "labels.jsonl", "labels.parquet"),
        "a list of paths and labels",
        "its column `split`, else by hash",
        f"{_ROOM}.labels:find_labels",
        is_named=False,
    ),
    "shards": SourceKind(
        "images",
        ("photos-packed/", "https://host/photos-packed", "s3://bucket/photos-packed"),
        "what `residua data pack` wrote (addresses need `residua[shards]`)",
        "the one that was packed",
        f"{_ROOM}.shards:find_shards",
        is_named=False,
    ),
    "digits": SourceKind(
        "images",
        ("digits",),
        "1,797 handwritten digits that come with scikit-learn",
        "by hash",
        f"{_ROOM}.digits:find_digits",
        place="none",
    ),
    "cifar10": SourceKind(
        "images",
        ("cifar10", "cifar10:DIR"),
        "CIFAR-10: a download with checksum, the official files, or zips of `CLASS/NAME` images",
        "official",
        f"{_ROOM}.cifar:find_cifar10",
        place="optional",
        is_local=f"{_ROOM}.cifar:is_local",
    ),
    "cifar100": SourceKind(
        "images",
        ("cifar100", "cifar100:DIR"),
        "CIFAR-100 with its fine labels, in the same forms",
        "official",
        f"{_ROOM}.cifar:find_cifar100",
        place="optional",
        is_local=f"{_ROOM}.cifar:is_local",
    ),
    "imagenet": SourceKind(
        "images",
        ("imagenet:DIR",),
        "ImageNet 2012: the official tars and devkit, not unpacked, or folders of synsets",
        "official",
        f"{_ROOM}.imagenet:find_imagenet",
    ),
    "hf": SourceKind(
        "images",
        ("hf:OWNER/NAME", "hf:DIR"),
        "a Hugging Face dataset, or one saved to a folder",
        "its own, else by hash",
        f"{_ROOM}.objects:find_hub",
        is_local=f"{_ROOM}.objects:is_local",
        extra="hf",
    ),
    "python": SourceKind(
        "images",
        (),
        "objects given to `residua.train`, as runs record them: `python:CLASS` or `python:arrays`",
        "the second set, else by hash",
        f"{_ROOM}.objects:refuse_python",
    ),
    "video": SourceKind(
        "clips",
        ("video:DIR", "video:clips.csv"),
        "video files by class folder, by list, or with the lists of Kinetics or Something-Something V2",
        "as for images, or official",
        f"{_ROOM}.video:find_video",
        extra="video",
    ),
    "moving": SourceKind(
        "clips",
        ("moving", "moving:DIR"),
        "generated clips: windows that move over the photographs in a folder, or over two of scikit-learn",
        "generated",
        f"{_ROOM}.moving:find_moving",
        place="optional",
    ),
    "voc": SourceKind(
        "boxes",
        ("voc:DIR",),
        "boxes in the layout of PASCAL VOC: `Annotations`, `ImageSets/Main` and `JPEGImages`",
        "`trainval` and `test`, or `train` and `val`",
        f"{_ROOM}.voc:find_voc",
    ),
    "coco": SourceKind(
        "boxes",
        ("coco:DIR",),
        "boxes in the layout of COCO: `annotations/instances_*.json` beside the images",
        "`instances_train*` and `instances_val*`",
        f"{_ROOM}.coco:find_coco",
    ),
}
"""Every kind of source by its name."""


def parse_source(source: str | Source) -> Source:
    """The parsed `source`; a `Source` comes back as it is."""
    if isinstance(source, Source):
        return source
    return Source.parse(source, [name for name, kind in SOURCES.items() if kind.is_named])


def holds(source: str | Source) -> Holds:
    """What `source` consists of; a path or an address holds images. No file is opened."""
    name = parse_source(source).name
    return SOURCES[name].holds if name else "images"


def written_forms(*contents: Holds) -> str:
    """The usual form of each kind that holds one of `contents`: `voc:DIR or coco:DIR`."""
    forms = [kind.written[0] for kind in SOURCES.values() if kind.written and kind.holds in contents]
    return " or ".join([", ".join(forms[:-1]), forms[-1]] if forms[1:] else forms)


def help_text() -> str:
    """One line for the help of the DATA argument: all ways to write a source."""
    return f"Data to use: {written_forms('images', 'clips', 'boxes')}. See docs/how-to/data.md."


def markdown_table() -> str:
    """The table of all sources in `docs/how-to/data.md`."""
    rows = ["| you write | holds | what it reads | train and validation parts | needs |", "| --- " * 5 + "|"]
    for kind in filter(lambda kind: kind.written, SOURCES.values()):
        forms = ", ".join(f"`{form}`" for form in kind.written)
        extra = f"`pip install 'residua[{kind.extra}]'`" if kind.extra else ""
        rows.append(
            f"| {forms} | {kind.holds} | {kind.about} | {kind.split} | {extra} |".replace("|  |", "| |")
        )
    return "\n".join(rows) + "\n"
