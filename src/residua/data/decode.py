"""Decoding of image files: every image passes this module, and each kind of file has one rule.

Refused, each with a DataError that names the file:

* formats other than JPEG, PNG, WebP, BMP, GIF and TIFF, and AVIF and HEIC where their decoders are installed,
  because each parser is one more that a hostile file can attack;
* more than 25 million pixels, before any of them is decoded, so that a small file cannot fill the memory;
* folders, pipes and devices, before they are opened, because opening a pipe can block for ever;
* TIFFs that describe their pixels by more numbers or larger tiles than an image needs (`data/tiff.py`);
* JPEGs with more than 100 scans, or with thousands of bytes between the parts of their header
  (`data/jpeg.py`);
* pixels of 32 bits or of floating point, whose range no file tells;
* files that Pillow cannot decode to the end. Truncated images are never padded.
"""

import functools
import importlib.util
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

from residua.data.jpeg import jpeg_problem
from residua.data.tiff import tiff_problem
from residua.errors import DataError
from residua.spec.preprocess import Colour

DECODERS = {"AVIF": "PIL._avif", "HEIF": "pillow_heif"}
"""Formats that need a decoder, and its module: Pillow may be built without the one, the other is an extra."""
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "BMP",
    "GIF",
    "TIFF",
    *(name for name, module in DECODERS.items() if importlib.util.find_spec(module)),
)
"""Pillow's names of the formats that are read."""
FORMAT_SUFFIXES = {
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "PNG": (".png",),
    "WEBP": (".webp",),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "TIFF": (".tif", ".tiff"),
    "AVIF": (".avif",),
    "HEIF": (".heic", ".heif"),
}
"""File name extensions of each format, in lower case; the first is the usual one."""
SUFFIXES = frozenset(suffix for name in FORMATS for suffix in FORMAT_SUFFIXES[name])
"""File name extensions of the formats that are read."""
MAX_PIXELS = 25_000_000
"""Largest image that is decoded: 75 MB as RGB. Our choice; Pillow's own limit is 179 million."""

_ORIENTATION = 0x0112  # EXIF tag; values 5 to 8 swap width and height
_CAMERA = (0x010F, 0x0110)  # EXIF tags of the camera's maker and model
_JPEGS = ("JPEG", "MPO")  # Pillow's name of a JPEG with several pictures is MPO
_WARNINGS = Lock()  # catch_warnings replaces a list of the whole process: one thread at a time


ChooseShrink = Callable[[tuple[int, int]], int]
"""From the width and height of an upright image to the factor by which it may be decoded smaller."""


def decode(file: Path | bytes, *, colour: Colour, shrink: ChooseShrink | None = None) -> Image.Image:
    """Decode an image as RGB or grey, upright.

    The EXIF orientation is applied. 16 bits keep their upper byte, whatever range the pixels use. Transparent
    pixels show white. CMYK and palettes become RGB. An animation or a TIFF of several pages is its first.

    Args:
        file: Path or content of the image.
        colour: `rgb` or `grey`.
        shrink: When given, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the factor allows it, in a
            third of the time. Other formats keep their size.

    Returns:
        The image in mode RGB or L.

    Raises:
        DataError: The file is refused (see above); the message names it. Or `colour` is `bands`.
    """
    if colour == "bands":
        raise DataError("a network for other bands than rgb or grey reads arrays, not files: give tensors")
    return _as_mode(decode_rgb_or_grey(file, shrink=shrink), "RGB" if colour == "rgb" else "L")


def decode_rgb_or_grey(file: Path | bytes, *, shrink: ChooseShrink | None = None) -> Image.Image:
    """Decode an image in the colours it has: mode L for grey images, RGB for all others.

    Args:
        file: Path or content of the image.
        shrink: As for `decode`.

    Returns:
        The image, upright.

    Raises:
        DataError: As for `decode`.
    """
    with _opened(file, decodes=True) as image:
        _load(image, shrink)
        return _to_rgb_or_grey(_upright(image))


def convert_image(image: Image.Image, *, colour: Colour) -> Image.Image:
    """Convert a Pillow image of any mode to RGB or L by the rules of `decode`; EXIF is ignored."""
    return _as_mode(_to_rgb_or_grey(image), "RGB" if colour == "rgb" else "L")


def read_size(file: Path | bytes) -> tuple[int, int]:
    """Width and height in pixels from the header, before EXIF rotation. Raises DataError as `decode` does."""
    with _opened(file) as image:
        return image.size


def read_format(file: Path | bytes) -> str:
    """The format from the header, e.g. `JPEG`. Raises DataError as `decode` does."""
    with _opened(file) as image:
        return image.format or ""


@dataclass(frozen=True, slots=True)
class Header:
    """Metadata of an image or clip."""

    size: tuple[int, int]
    """Width and height in pixels, before EXIF rotation."""
    format: str
    """Format, e.g. `JPEG`; the codec of a clip; empty for an image in an array."""
    mode: str
    """Storage of pixels: Pillow's mode, e.g. `RGB`, `L`, `I;16`, `P`; the pixel format of a clip."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 where there is none."""
    camera: str
    """Maker and model of the camera from EXIF; empty where there is none."""
    frames: int = 1
    """Number of frames; 1 for an image."""
    fps: float = 0.0
    """Frames a second; 0 for an image."""


def decode_with_header(
    file: Path | bytes, *, shrink: ChooseShrink | None = None
) -> tuple[Header, Image.Image]:
    """Decode an image together with its metadata.

    Args:
        file: Path or content of the image.
        shrink: As for `decode`.

    Returns:
        The header, and the image as `decode` returns it in RGB.

    Raises:
        DataError: As for `decode`.
    """
    with _opened(file, decodes=True) as image:
        size, format_, mode = image.size, image.format or "", image.mode
        _load(image, shrink)
        orientation = _orientation(image)
        try:
            exif = image.getexif()
            camera = " ".join(str(exif[tag]).strip("\0 ") for tag in _CAMERA if tag in exif)[:80]
        except Exception:  # damaged EXIF counts as none: the pixels may be good
            camera = ""
        header = Header(size, format_, mode, orientation, camera)
        return header, _as_mode(_to_rgb_or_grey(_upright(image)), "RGB")


def format_names() -> str:
    """`JPEG, PNG, WEBP, BMP, GIF or TIFF`, and what is installed beside them."""
    return f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"


def _unchanged(image: Image.Image) -> Image.Image:
    return image


def _stored_header(image: Image.Image) -> Header:
    return Header(image.size, "", image.mode, 1, "")


@dataclass(frozen=True)
class MediaType:
    """How files of one kind are found and become pictures: images here, clips in `data.video.clips`."""

    noun: str
    """Name of one item in messages, e.g. `image`."""
    suffixes: frozenset[str]
    """File name extensions, in lower case."""
    formats: str
    """Names of the formats in messages."""
    read_size: Callable[[Path | bytes], tuple[int, int]]
    """Width and height in pixels from the header."""
    decode_with_header: Callable[..., tuple[Header, Image.Image]]
    """Metadata and a picture, after all of the file was decoded; `shrink` as in `decode`."""
    decode: Callable[..., Image.Image]
    """A picture of the file; `colour` and `shrink` as in `decode`."""
    max_headers: int = 1 << 62
    """Largest number of headers that are read before a dataset is used; of larger ones a sample is read."""
    stored_picture: Callable[[Image.Image], Image.Image] = _unchanged
    """The picture of an item that is stored in an array, as `decode` returns it for a file."""
    stored_header: Callable[[Image.Image], Header] = _stored_header
    """The metadata of such an item."""
    frames_per_picture: int = 1
    """Frames side by side on a picture, which is larger by that factor."""


IMAGE = MediaType("image", SUFFIXES, format_names(), read_size, decode_with_header, decode)
"""The media type of images."""


def printable_path(file: Path | str) -> str:
    """A path or name on one line that any terminal can print; escaped where it has other characters."""
    return str(file) if str(file).isprintable() else repr(str(file))


def one_line(error: BaseException) -> str:
    """The message of another library's error on one line of at most 200 characters."""
    return " ".join(str(error).split())[:200] or type(error).__name__


@contextmanager
def _opened(file: Path | bytes, *, decodes: bool = False) -> Iterator[Image.Image]:
    """The image with its header read; errors, also of decoding inside the `with`, become DataError.

    `jpeg_problem` sees the whole of a JPEG whose pixels are to be decoded, else its header.
    """
    name = printable_path(file) if isinstance(file, Path) else "the file"
    try:
        with _byte_stream(file) as stream, _read_header(stream, name, decodes=decodes) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"{name} claims {image.width} x {image.height} pixels: give at most {MAX_PIXELS:,}"
                )
            if image.mode in ("I", "F"):
                raise DataError(f"{name} has pixels without a known range: save it with 8 or 16 bits")
            yield image
    except DataError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(f"{name} claims too many pixels: give at most {MAX_PIXELS:,}") from None
    except UnidentifiedImageError:
        raise DataError(f"{name} is not an image: give {format_names()}{_missing_decoder(file)}") from None
    except Exception as error:
        # Broad on purpose: for damaged files Pillow raises a dozen types, SyntaxError among them.
        raise DataError(f"{name} is not an image that can be read: {one_line(error)}") from None


def _missing_decoder(file: Path | bytes) -> str:
    """What to install for a file whose extension names a format without a decoder; else empty."""
    suffix = file.suffix.lower() if isinstance(file, Path) else ""
    if suffix in FORMAT_SUFFIXES["HEIF"] and "HEIF" not in FORMATS:
        return "; HEIC needs pip install 'residua[images]'"
    return ""


def _byte_stream(file: Path | bytes) -> BinaryIO:
    if isinstance(file, bytes):
        if not file:
            raise DataError("the file is not an image: it is empty")
        return io.BytesIO(file)
    try:
        status = file.stat()
        # checked before opening, because opening a FIFO blocks until another process writes to it
        if not stat.S_ISREG(status.st_mode):
            raise DataError(f"{printable_path(file)} is not an image: it is a folder, a pipe or a device")
        if not status.st_size:
            raise DataError(f"{printable_path(file)} is not an image: the file is empty")
        return file.open("rb")
    except OSError as error:
        raise DataError(f"{printable_path(file)} cannot be read: {error.strerror}") from None


@functools.cache
def _register_decoders() -> None:
    """Tell Pillow of the decoder of HEIC, once in a process."""
    if "HEIF" in FORMATS:
        import pillow_heif

        pillow_heif.register_heif_opener(thumbnails=False)


def _read_header(stream: BinaryIO, name: str, *, decodes: bool) -> Image.Image:
    if problem := tiff_problem(stream, MAX_PIXELS) or jpeg_problem(stream, of_header=not decodes):
        raise DataError(f"{name} {problem}")
    _register_decoders()
    with _WARNINGS, warnings.catch_warnings():
        warnings.simplefilter("error")
        # Damaged metadata, while the pixels are good: some photographs of ImageNet warn here.
        warnings.filterwarnings("ignore", module=r"PIL\.(TiffImagePlugin|JpegImagePlugin)")
        return Image.open(stream, formats=FORMATS)


def _load(image: Image.Image, shrink: ChooseShrink | None) -> None:
    """Decode the pixels."""
    if shrink is not None and image.format in _JPEGS:
        _set_draft_size(image, shrink)
    image.load()


def _set_draft_size(image: Image.Image, shrink: ChooseShrink) -> None:
    width, height = image.size
    factor = shrink((height, width) if _orientation(image) > 4 else (width, height))
    if factor > 1:  # Pillow takes the largest of 1, 2, 4 and 8 that leaves at least this size
        image.draft(None, (max(1, width // factor), max(1, height // factor)))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION)
    except Exception:  # damaged EXIF counts as none: the pixels may be good
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image) -> Image.Image:
    try:
        ImageOps.exif_transpose(image, in_place=True)
    except Exception:  # damaged EXIF counts as none: the pixels may be good
        return image
    return image


def _as_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _to_rgb_or_grey(image: Image.Image) -> Image.Image:
    """Modes L and RGB unchanged, every other mode as the nearer of the two."""
    if image.mode.startswith("I;16"):
        # Not convert(): it clips, and nearly every pixel of a 16-bit image becomes 255.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image, white = _as_mode(image, "RGBA"), Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)  # the bytes of alpha_composite, in half of its memory
        return white
    if image.mode in ("L", "RGB"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")
