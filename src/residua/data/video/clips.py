"""Clips for the rest of the package: the media type, the frames of a split, and metadata that give the class
away.

A clip is a file, or a strip in an array: square frames, one below the other. Lists, pages and previews show
one clip as a contact sheet of four frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from residua.data.decode import ChooseShrink, Header, MediaType, printable_path
from residua.data.images import Images
from residua.data.metadata import MetadataLeak, find_metadata_leak
from residua.data.scan import FACTS, HASH_SIDE, Scan
from residua.data.video import reader
from residua.data.video.frame_cache import FrameCache
from residua.data.video.frame_choice import evenly_spaced_frames
from residua.data.video.messages import FrameFormat
from residua.errors import DataError
from residua.spec.preprocess import Colour, Preprocess

SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts"})
"""File name extensions of clips, in lower case."""
FORMATS = "MP4, MOV, MKV, WEBM, AVI or MPEG"
"""Formats that are read, for messages."""
SHEET_FRAMES = 4
"""Frames on a contact sheet."""
SHEET_SIDE = 120
"""Shorter side of a frame on a contact sheet, in pixels."""

_GAP = 2  # pixels between two frames of a sheet
_ORIENTATIONS = {0: 1, 180: 3, 90: 8, 270: 6}  # degrees, counter-clockwise -> EXIF orientation
_MAX_PROBED = 2000  # clips of a split whose metadata are read


def read_size(file: Path | bytes) -> tuple[int, int]:
    """Width and height of a clip in pixels, as shown. Raises DataError, which names the file, if it is no
    clip."""
    info = reader.probe(file)
    return info.width, info.height


def decode_with_header(
    file: Path | bytes, *, shrink: ChooseShrink | None = None
) -> tuple[Header, Image.Image]:
    """Decode all of a clip once.

    Args:
        file: Path or content of the clip.
        shrink: When given, the picture is as small as a perceptual hash needs.

    Returns:
        The clip's header, and its middle frame.

    Raises:
        DataError: The file is no clip, or one of its frames is damaged; the message names the file.
    """
    info = reader.probe(file)
    frames = reader.count_frames(file)
    size = (info.width, info.height) if info.rotation % 180 == 0 else (info.height, info.width)
    orientation = _ORIENTATIONS.get(info.rotation % 360, 1)
    header = Header(size, info.codec, info.pixel_format, orientation, "", frames, info.fps)
    short_side = min(HASH_SIDE, *size) if shrink else 0
    middle = reader.read_frames(file, [frames // 2], FrameFormat(short_side))[0]
    return header, Image.fromarray(middle)


def decode(file: Path | bytes, *, colour: Colour, shrink: ChooseShrink | None = None) -> Image.Image:
    """A contact sheet of a clip: four frames from the first to the last.

    Args:
        file: Path or content of the clip.
        colour: `rgb` or `grey`.
        shrink: Ignored; sheets have one size.

    Returns:
        The sheet in mode RGB or L.

    Raises:
        DataError: The file is no clip; the message names it.
    """
    frames = reader.read_chosen_frames(
        file, lambda count, _bytes: evenly_spaced_frames(count, SHEET_FRAMES), FrameFormat(SHEET_SIDE)
    )
    sheet = Image.fromarray(contact_sheet(frames))
    return sheet if colour == "rgb" else sheet.convert("L")


def contact_sheet(frames: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Four frames as one picture, in reading order.

    Args:
        frames: (4, H, W, C) uint8; small frames are enlarged by whole factors.

    Returns:
        The picture (h, w, 3) uint8.
    """
    pictures = [Image.fromarray(f[:, :, 0] if f.shape[2] == 1 else f).convert("RGB") for f in frames]
    width, height = pictures[0].size
    factor = max(1, SHEET_SIDE // min(width, height))
    width, height = width * factor, height * factor
    sheet = Image.new("RGB", (2 * width + _GAP, 2 * height + _GAP), "white")
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 2)
        enlarged = picture.resize((width, height), Image.Resampling.NEAREST)
        sheet.paste(enlarged, (column * (width + _GAP), row * (height + _GAP)))
    return np.asarray(sheet)


def _strip_sheet(strip: Image.Image) -> Image.Image:
    """The contact sheet of a strip of square frames."""
    side = strip.width
    frames = np.asarray(strip.convert("RGB")).reshape(-1, side, side, 3)
    return Image.fromarray(contact_sheet(frames[evenly_spaced_frames(len(frames), SHEET_FRAMES)]))


def _strip_header(strip: Image.Image) -> Header:
    side = strip.width
    return Header((side, side), "", strip.mode, 1, "", strip.height // side)


CLIP = MediaType(
    "clip",
    SUFFIXES,
    FORMATS,
    read_size,
    decode_with_header,
    decode,
    max_headers=2000,
    stored_picture=_strip_sheet,
    stored_header=_strip_header,
    frames_per_picture=SHEET_FRAMES,
)
"""The media type of clips."""


@dataclass(frozen=True, eq=False)
class ClipFrames:
    """The frames of the clips of a split, scaled for one network."""

    images: Images
    """The clips: files, or strips in an array."""
    preprocess: Preprocess
    """Input of the network; frames of files have their shorter side at `resize`."""
    cache: FrameCache | None = None
    """Cache of decoded clips; None decodes them every time."""

    def __len__(self) -> int:
        return len(self.images)

    def frames(self, i: int, choose: Callable[[int], list[int]]) -> NDArray[np.uint8]:
        """Read frames of one clip.

        Args:
            i: Index of the clip.
            choose: From the number of frames in the clip to the wanted frame numbers.

        Returns:
            The frames (n, H, W, C) uint8.

        Raises:
            DataError: The clip cannot be decoded; the message names the file.
        """
        if self.images.pixels is not None:
            strip = self.images.pixels[i]
            frames = strip.reshape(-1, strip.shape[1], *strip.shape[1:])
            chosen: NDArray[np.uint8] = frames[choose(len(frames))]
            return chosen
        item = self.images.item(i)
        assert not isinstance(item, Image.Image)
        preprocess = self.preprocess
        frame_format = FrameFormat(preprocess.resize, preprocess.colour, preprocess.interpolation)
        try:
            if self.cache and isinstance(item, Path):
                return self.cache.frames(item, lambda count, _bytes: choose(count), frame_format)
            return reader.read_chosen_frames(item, lambda count, _bytes: choose(count), frame_format)
        except DataError as error:
            if isinstance(item, Path):
                raise
            raise DataError(f"{printable_path(self.images.title(i))}: {error}") from None


def find_clip_metadata_leak(splits: Sequence[Images]) -> MetadataLeak | None:
    """How well size, length, format and frame rate alone predict the class.

    Args:
        splits: All splits of a dataset; up to 2,000 clips of each are probed.

    Returns:
        The accuracy of a small tree in cross-validation; None for clips that are not files.
    """
    if any(images.files is None for images in splits):
        return None
    records, labels = [], []
    for images in splits:
        places = np.linspace(0, len(images) - 1, min(_MAX_PROBED, len(images))).astype(int)
        records += [_metadata(images, place) for place in places.tolist()]
        labels.append(images.labels[places])
    return find_metadata_leak(Scan(np.concatenate(records), ("",)), np.concatenate(labels))


def _metadata(images: Images, place: int) -> NDArray[np.void]:
    """One record of `FACTS`; `readable` is False where the clip cannot be probed."""
    record = np.zeros(1, FACTS)
    item = images.item(place)
    assert isinstance(item, Path | bytes)
    try:
        info = reader.probe(item)
        size = len(item) if isinstance(item, bytes) else item.stat().st_size
    except (DataError, OSError):
        return record
    record["bytes"], record["width"], record["height"] = size, info.width, info.height
    record["frames"], record["rate"], record["readable"] = info.frames, info.fps, True
    record["kind"], record["mode"], record["orientation"] = info.codec, info.pixel_format, 1
    return record
