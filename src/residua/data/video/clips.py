"""Clips as the house sees files: a gate with a picture of each, and the frames of each by number."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import Gate, Header, Shrink, shown
from residua.data.images import Images
from residua.errors import DataError
from residua.spec.preprocess import Colour, Preprocess
from residua.data.video import film
from residua.data.video import reader
from residua.data.video.frame_cache import Cache
from residua.data.video.reader import Frames

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts"})
"""Endings, in lower case, of clips."""
FORMATS = "MP4, MOV, MKV, WEBM, AVI or MPEG"
"""What the gate reads."""

Choose = Callable[[int], list[int]]
"""From the number of frames that a clip has to the numbers of those that are wanted."""

FILM = 4
"""Frames in the picture of a clip."""

_LARGE = 64  # the same for a hash of 32 x 32
_TURNS = {0: 1, 180: 3, 90: 8, 270: 6}  # degrees against the clock -> EXIF orientation


def inspect(file: Path | bytes) -> tuple[int, int]:
    """Width and height in pixels as shown. DataError, which names the file, when it is no clip."""
    facts = reader.look(file)
    return facts.width, facts.height


def examine(file: Path | bytes, *, shrink: Shrink | None = None) -> tuple[Header, Image.Image]:
    """What `file` says of itself, all of it decoded once, and its middle frame.

    DataError as from `inspect`, and at the first frame that is damaged.
    """
    facts = reader.look(file)
    frames = reader.count(file)
    size = (facts.width, facts.height) if facts.rotation % 180 == 0 else (facts.height, facts.width)
    turn = _TURNS.get(facts.rotation % 360, 1)
    header = Header(size, facts.codec, facts.pixels, turn, "", frames, facts.rate)
    short = min(_LARGE, *size) if shrink else 0
    return header, Image.fromarray(reader.read(file, [frames // 2], Frames(short))[0])


def decode(file: Path | bytes, *, colour: Colour, shrink: Shrink | None = None) -> Image.Image:
    """Four frames of `file`, from the first to the last, as one picture. DataError as from `inspect`."""
    frames = reader.taken(file, lambda count, _bytes: film.evenly(count, FILM), Frames(film.HIGH))
    picture = Image.fromarray(film.tiled(frames))
    return picture if colour == "rgb" else picture.convert("L")


def seen(strip: Image.Image) -> Image.Image:
    """Four frames of a `strip` of square ones, one below the other, as one picture."""
    side = strip.width
    frames = np.asarray(strip.convert("RGB")).reshape(-1, side, side, 3)
    return Image.fromarray(film.tiled(frames[film.evenly(len(frames), FILM)]))


def held(strip: Image.Image) -> Header:
    """Size and number of its frames."""
    side = strip.width
    return Header((side, side), "", strip.mode, 1, "", strip.height // side)


CLIP = Gate(
    "clip",
    SUFFIXES,
    FORMATS,
    inspect,
    examine,
    decode,
    most=2000,
    seen=seen,
    held=held,
    frames=FILM,
    source="video:DIR with a folder of clips for each class, video:FILE.csv of paths and labels, or moving",
)
"""Clips."""


@dataclass(frozen=True, eq=False)
class Footage:
    """The frames of a split, scaled for one network."""

    images: Images
    """The clips: files, or strips of square frames, one below the other, in an array."""
    preprocess: Preprocess
    """The network's input: frames come with the shorter side at `resize`."""
    cache: Cache | None = None
    """Where decoded clips are kept."""

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.images)

    def frames(self, i: int, choose: Choose) -> NDArray[np.uint8]:
        """The frames of clip `i` that `choose` takes of its length: (n, H, W, C) uint8.

        DataError, which names the file, when they cannot be decoded.
        """
        if self.images.pixels is not None:
            strip = self.images.pixels[i]
            frames = strip.reshape(-1, strip.shape[1], *strip.shape[1:])
            chosen: NDArray[np.uint8] = frames[choose(len(frames))]
            return chosen
        item = self.images.item(i)
        assert not isinstance(item, Image.Image)
        how = Frames(self.preprocess.resize, self.preprocess.colour, self.preprocess.interpolation)
        try:
            if self.cache and isinstance(item, Path):
                return self.cache.frames(item, lambda count, _bytes: choose(count), how)
            return reader.taken(item, lambda count, _bytes: choose(count), how)
        except DataError as error:
            if isinstance(item, Path):
                raise
            raise DataError(f"{shown(self.images.title(i))}: {error}") from None
