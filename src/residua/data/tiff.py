"""What a TIFF may claim before Pillow's parser and libtiff read it: the first directory, entry by entry.

A TIFF describes its pixels by numbers that do not follow from its size. Pillow turns each of them into an
object, and libtiff makes room for a whole tile, so that a small file can take minutes and gigabytes.
"""

import struct
from typing import BinaryIO

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""First bytes, little and big endian; the last two are BigTIFF."""
MAX_ENTRIES = 512
"""Entries of the directory; cameras and GeoTIFF write fewer than a hundred."""
MAX_VALUES = 65_536
"""Values of one entry that describes pixels: room for a strip each row of the tallest sensible image."""
MAX_FORMAT_VALUES = 8
"""Values of an entry that describes one pixel, such as bits per channel; Pillow knows six channels."""
COMPRESSIONS = {1: "none", 5: "LZW", 7: "JPEG", 8: "Deflate", 32946: "Deflate", 32773: "PackBits"}
"""Compressions that are decoded: each other one is another parser."""

_COMPRESSION, _TILE_WIDTH, _TILE_LENGTH = 259, 322, 323
_PER_PIXEL = (258, 277, 338, 339)  # bits, samples, extra samples, sample format
_LAST_OF_PIXELS = 532  # tags above are colour profiles, metadata and private: read as bytes, or not at all
_TEXTS = (269, 270, 271, 272, 285, 305, 306, 315, 316, 333, 337, 347)  # and JPEG tables: bytes of any number
_INTEGERS = {3: "H", 4: "I"}  # types SHORT and LONG


def tiff_problem(stream: BinaryIO, max_pixels: int) -> str:
    """Why a file must not reach Pillow, as the end of a sentence; empty for a harmless one and other formats.

    Args:
        stream: The file; its position is the start again afterwards.
        max_pixels: Largest tile.
    """
    try:
        magic = stream.read(4)
        if magic not in MAGIC:
            return ""
        if magic in MAGIC[2:]:
            return "is a BigTIFF: save it as a TIFF"
        return _directory_problem(stream, "<" if magic[:1] == b"I" else ">", max_pixels)
    except (struct.error, OverflowError):
        return "is not an image that can be read: its first directory is cut off"
    finally:
        stream.seek(0)


def _directory_problem(stream: BinaryIO, order: str, max_pixels: int) -> str:
    (start,) = struct.unpack(f"{order}I", stream.read(4))
    stream.seek(start)
    (entries,) = struct.unpack(f"{order}H", stream.read(2))
    if entries > MAX_ENTRIES:
        return f"claims {entries:,} TIFF entries: give at most {MAX_ENTRIES}"
    values = {}
    for _ in range(entries):
        tag, kind, count = struct.unpack(f"{order}HHI", stream.read(8))
        content = stream.read(4)
        if len(content) < 4:
            raise struct.error
        if tag <= _LAST_OF_PIXELS and tag not in _TEXTS:
            most = MAX_FORMAT_VALUES if tag in _PER_PIXEL else MAX_VALUES
            if count > most:
                return f"claims {count:,} values of TIFF tag {tag}: give at most {most:,}"
        if kind in _INTEGERS:
            values[tag] = struct.unpack_from(f"{order}{_INTEGERS[kind]}", content)[0]
    if values.get(_COMPRESSION, 1) not in COMPRESSIONS:
        names = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        return f"has TIFF compression {values[_COMPRESSION]}: save it with {names}"
    pixels = values.get(_TILE_WIDTH, 0) * values.get(_TILE_LENGTH, 0)
    return f"claims tiles of {pixels:,} pixels: give at most {max_pixels:,}" if pixels > max_pixels else ""
