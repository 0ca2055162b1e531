"""Image files to pixels: the one gate every file passes, with one rule for each kind of file."""

import io
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from residua.errors import DataError
from residua.spec.preprocess import Colour

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")
"""What the gate reads. Pillow knows forty more; each is another parser for a hostile file to aim at."""
SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".gif"})
"""Endings, in lower case, of files in those formats."""
MOST_PIXELS = 25_000_000
"""Largest image that is decoded: one of this size takes 75 MB. Our choice; Pillow's is 179."""

_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 lay the image on its side
_CAMERA = (0x010F, 0x0110)  # EXIF tags of maker and model
_JPEGS = ("JPEG", "MPO")  # Pillow calls a JPEG with several pictures MPO
_WARNINGS = Lock()  # catch_warnings swaps a list of the whole process: two threads must not do so at once


Shrink = Callable[[tuple[int, int]], int]
"""From the width and height of an upright image to how many times smaller it may be decoded."""


def decode(file: Path | bytes, *, colour: Colour, shrink: Shrink | None = None) -> Image.Image:
    """The image in mode RGB or L, upright. DataError, which names the file, when it is no image.

    The EXIF orientation is applied; 16-bit grey keeps its upper byte; what is transparent shows white; CMYK
    and palettes become RGB; an animation is its first frame; more than `MOST_PIXELS` are refused unread.
    With `shrink`, a JPEG comes at a half, a quarter or an eighth of its size where that is allowed: the
    decoder leaves out what nobody will see, and takes a third of the time.
    """
    if colour == "bands":
        raise DataError("a network for other bands than rgb or grey reads arrays, not files: give tensors")
    return _in(plain(file, shrink=shrink), "RGB" if colour == "rgb" else "L")


def plain(file: Path | bytes, *, shrink: Shrink | None = None) -> Image.Image:
    """What `decode` makes of `file` before a colour is asked for: mode RGB or L, the nearer one."""
    with _opened(file) as image:
        _load(image, shrink)
        return _flattened(_upright(image))


def flattened(image: Image.Image, *, colour: Colour) -> Image.Image:
    """A picture that Python made in mode RGB or L, by the rules of `decode`; EXIF is not looked at."""
    return _in(_flattened(image), "RGB" if colour == "rgb" else "L")


def inspect(file: Path | bytes) -> tuple[int, int]:
    """Width and height in pixels as the header tells, before any EXIF turn. DataError as from `decode`."""
    with _opened(file) as image:
        return image.size


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself before its pixels."""

    size: tuple[int, int]
    """Width and height in pixels, before any EXIF turn."""
    kind: str
    """Format, e.g. `JPEG`."""
    mode: str
    """Pillow's name for how its pixels are stored: `RGB`, `L`, `I;16`, `P`, `CMYK`, ..."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 where there is none."""
    camera: str
    """Maker and model from EXIF; empty where there is none."""
    frames: int = 1
    """Pictures in it, one after another."""
    rate: float = 0.0
    """Of those a second."""


def form(file: Path | bytes) -> str:
    """The format that the header tells, e.g. `JPEG`. DataError as from `decode`."""
    with _opened(file) as image:
        return image.format or ""


def examine(file: Path | bytes, *, shrink: Shrink | None = None) -> tuple[Header, Image.Image]:
    """What `file` says of itself, and the image that `decode` makes of it in RGB. DataError as from there."""
    with _opened(file) as image:
        size, kind, mode = image.size, image.format or "", image.mode
        _load(image, shrink)
        orientation = _orientation(image)
        try:
            exif = image.getexif()
            camera = " ".join(str(exif[tag]).strip("\0 ") for tag in _CAMERA if tag in exif)[:80]
        except Exception:  # damaged EXIF is no EXIF: the pixels may be good
            camera = ""
        return Header(size, kind, mode, orientation, camera), _in(_flattened(_upright(image)), "RGB")


@dataclass(frozen=True)
class Gate:
    """How files of one kind become pictures: images here, clips in `tasks.video`."""

    noun: str
    """What one is called."""
    suffixes: frozenset[str]
    """Endings of such files, in lower case."""
    formats: str
    """The formats, for people."""
    inspect: Callable[[Path | bytes], tuple[int, int]]
    """Width and height in pixels as the header tells."""
    examine: Callable[..., tuple[Header, Image.Image]]
    """What a file says of itself, all of it decoded once, and a picture of it; `shrink` as in `decode`."""
    decode: Callable[..., Image.Image]
    """A picture of it; `colour` and `shrink` as in `decode`."""
    most: int = 1 << 62
    """Headers that are read before a set is used; of more, some."""
    seen: Callable[[Image.Image], Image.Image] = lambda held: held
    """A picture of one that is held in an array, as `decode` gives it of a file."""
    held: Callable[[Image.Image], Header] = lambda held: Header(held.size, "", held.mode, 1, "")
    """What is known of such a one."""
    frames: int = 1
    """How many stand side by side in such a picture, so that it needs as much more room."""
    source: str = "a folder of class folders, a .csv, digits, cifar10[:DIR], video:DIR or voc:DIR"
    """What a user may give where they were not found."""


IMAGE = Gate("image", SUFFIXES, "JPEG, PNG, WEBP, BMP or GIF", inspect, examine, decode)
"""Images."""


def shown(file: Path | str) -> str:
    """The name of a file on one line that every terminal can print."""
    return str(file) if str(file).isprintable() else repr(str(file))


def one_line(error: BaseException) -> str:
    """What an error of another library says, on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def _opened(file: Path | bytes) -> Iterator[Image.Image]:
    name = shown(file) if isinstance(file, Path) else "the image"
    try:
        with _bytes_of(file) as stream, _header(stream) as image:
            if image.width * image.height > MOST_PIXELS:
                raise DataError(
                    f"{name} claims {image.width} x {image.height} pixels: give at most {MOST_PIXELS:,}"
                )
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} claims too many pixels: give at most {MOST_PIXELS:,}") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image: give {', '.join(FORMATS[:-1])} or {FORMATS[-1]}") from None
    except Exception as error:
        # Broad on purpose: for damaged files Pillow raises a dozen types, SyntaxError among them.
        raise DataError(f"{name} is not an image that can be read: {one_line(error)}") from None


def _bytes_of(file: Path | bytes) -> BinaryIO:
    if isinstance(file, bytes):
        return io.BytesIO(file)
    try:
        # Asked before opening, because opening a FIFO waits for a writer that may never come.
        if not stat.S_ISREG(file.stat().st_mode):
            raise DataError(f"{shown(file)} is not an image: it is a folder, a pipe or a device")
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{shown(file)} cannot be read: {error.strerror}") from None


def _header(stream: BinaryIO) -> Image.Image:
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("error")
        # Metadata that is damaged, while the pixels are good: some photographs of ImageNet warn here.
        warnings.filterwarnings("ignore", module=r"PIL\.(TiffImagePlugin|JpegImagePlugin)")
        return Image.open(stream, formats=FORMATS)


def _load(image: Image.Image, shrink: Shrink | None) -> None:
    if shrink is not None and image.format in _JPEGS:
        _draft(image, shrink)
    image.load()


def _in(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _draft(image: Image.Image, shrink: Shrink) -> None:
    width, height = image.size
    times = shrink((height, width) if _orientation(image) > 4 else (width, height))
    if times > 1:  # Pillow takes the largest of 1, 2, 4 and 8 that leaves at least this size
        image.draft(None, (max(1, width // times), max(1, height // times)))


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF is no EXIF: the pixels may be good
        return 1
    return found if isinstance(found, int) and 1 <= found <= 8 else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF is no EXIF: it may not cost an image whose pixels are good
        return image
    return image


def _flattened(image: Image.Image) -> Image.Image:
    """Modes L and RGB as they are, every other mode as the nearer of the two."""
    if image.mode.startswith("I;16"):
        # Not convert(): it clips, and nearly every pixel of a 16-bit image becomes 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")
