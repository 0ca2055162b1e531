"""How many scans a JPEG may have before libjpeg decodes it: its markers are counted, segment by segment.

A progressive JPEG stores its pixels in several scans, and each of them goes over the whole image again. A
scan that changes nothing takes 42 bytes, so that a small file can take minutes of one core.
"""

import re
from typing import BinaryIO

MAGIC = b"\xff\xd8\xff"
"""First bytes, by which Pillow knows a JPEG."""
MAX_SCANS = 100
"""Scans of one image: encoders write about 10, and libtiff, which decodes JPEGs too, has the same limit."""
MAX_SEGMENTS = 10_000
"""Segments of one image, so that counting ends soon; 8 MiB of metadata fill 128."""

_SCAN, _END = b"\xda", b"\xd9"  # second bytes of the markers SOS and EOI
# EOI, and markers that begin a segment with a length. libjpeg skips FF 00, which is a byte of pixels,
# FF FF, which fills, and restarts; it refuses the others.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_BLOCK = 1 << 20  # bytes that are read at once


def jpeg_problem(stream: BinaryIO) -> str:
    """Why a file must not be decoded, as the end of a sentence; empty for a harmless one and other formats.

    Thumbnails inside a segment, and what follows the first image, do not count.

    Args:
        stream: The file; its position is the start again afterwards.
    """
    try:
        return _markers_problem(stream) if stream.read(len(MAGIC)) == MAGIC else ""
    finally:
        stream.seek(0)


def _markers_problem(stream: BinaryIO) -> str:
    scans, segments, place = 0, 0, 2  # behind the marker of the beginning
    while True:
        stream.seek(place)
        block, start = stream.read(_BLOCK), 0
        while (marker := _MARKER.search(block, start)) and marker.end() + 2 <= len(block):
            if marker[1] == _END:
                return ""
            scans += marker[1] == _SCAN
            segments += 1
            if scans > MAX_SCANS:
                return f"has more than {MAX_SCANS} JPEG scans: save it again with fewer"
            if segments > MAX_SEGMENTS:
                return f"has more than {MAX_SEGMENTS:,} JPEG segments: save it again with fewer"
            # behind the segment; libjpeg reads a length of 0 or 1 as 2
            start = marker.end() + max(2, int.from_bytes(block[marker.end() : marker.end() + 2], "big"))
        if len(block) < _BLOCK:
            return ""
        place += marker.start() if marker else max(start, len(block) - 1)
