"""A picture without pixels is refused or left out by name, whatever holds it."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from residua.data.decode import decode, decode_with_header
from residua.data.listing import build_dataset
from residua.data.scan import scan
from residua.data.sources.objects import list_dataset_objects
from residua.errors import DataError
from residua.spec.recipe import Data
from residua.tasks.classify.data_task import ClassifyData
from residua.tasks.run_data import open_readable
from small import photo_folder

SIDES = [(0, 0), (1, 0), (0, 1)]


def png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(b"")), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def bmp(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def gif(width: int, height: int) -> bytes:
    colours = struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return b"GIF89a" + colours + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\2\2\x44\1\0;"


def jpeg(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (8, 8)).save(stream, "JPEG")
    content = bytearray(stream.getvalue())
    start = content.index(b"\xff\xc0") + 5
    content[start : start + 4] = struct.pack(">HH", height, width)
    return bytes(content)


class Objects:
    """Twelve pictures of two classes, of which number 3 is empty."""

    classes = ("a", "b")

    def __init__(self, empty: object) -> None:
        self.targets = [i % 2 for i in range(12)]
        self.pictures = [Image.new("RGB", (8, 8), (20 * i, 0, 0)) for i in range(12)]
        self.pictures[3] = empty  # type: ignore[call-overload]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> tuple[object, int]:
        return self.pictures[i], self.targets[i]


@pytest.mark.parametrize("size", SIDES)
@pytest.mark.parametrize("encode", [png, bmp, gif, jpeg])
def test_a_file_without_pixels_is_refused(encode: object, size: tuple[int, int]) -> None:
    for open_ in (lambda content: decode(content, colour="rgb"), decode_with_header):
        with pytest.raises(DataError):
            open_(encode(*size))  # type: ignore[operator]


def test_a_file_without_bytes_is_counted_and_left_out(tmp_path: Path) -> None:
    root = photo_folder(tmp_path / "photos", count=5)
    (root / "red" / "02.png").write_bytes(b"")
    (root / "blue" / "02.png").write_bytes(png(0, 5))
    with pytest.raises(DataError, match=r"2 of .*02"):
        open_readable(ClassifyData(), Data(str(root)))
    assert set(open_readable(ClassifyData(), Data(str(root), bad="skip"))[1]) == {"red/02.png", "blue/02.png"}


@pytest.mark.parametrize(
    "empty",
    [
        *(Image.new("RGB", size) for size in SIDES),
        Image.new("L", (1, 0)),
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((0, 5), np.uint8),
        np.zeros((5, 0, 1), np.uint8),
    ],
)
def test_a_dataset_with_an_empty_picture_is_refused_or_the_picture_left_out(empty: object) -> None:
    listing = list_dataset_objects(Objects(empty))
    with pytest.raises(DataError, match=r"sample 3\b.*empty"):
        build_dataset(listing, val_fraction=0.5)
    reasons = scan(listing.splits, workers=0).reasons
    assert list(reasons) == [3]
    dataset = build_dataset(listing, val_fraction=0.5, without={"sample 3"})
    assert len(dataset.train) + len(dataset.test) == 11
