"""What a JPEG may hold before it is decoded: its markers are counted, segment by segment.

A progressive JPEG stores its pixels in several scans, and each of them goes over the whole image again. A
scan that changes nothing takes 42 bytes, so that a small file can take minutes of one core. Bytes between two
segments of the header mean nothing. Pillow goes over them one by one, in Python, while no other thread runs.
"""

import re
from typing import BinaryIO

MAGIC = b"\xff\xd8\xff"
"""First bytes, by which Pillow knows a JPEG."""
MAX_SCANS = 100
"""Scans of one image: encoders write about 10, and libtiff, which decodes JPEGs too, has the same limit."""
MAX_SEGMENTS = 10_000
"""Segments of one image, so that counting ends soon; 8 MiB of metadata fill 128."""
MAX_FILLING = 1 << 16
"""Bytes between the segments of a header: these take Pillow 30 ms; encoders write none."""

_SCAN, _END = b"\xda", b"\xd9"  # second bytes of the markers SOS and EOI
_NO_LENGTH = re.compile(rb"[\xc8\xd9\xf0-\xfd]")  # markers after which Pillow expects the next one at once
# EOI, and markers that begin a segment with a length. libjpeg skips FF 00, which is a byte of pixels,
# FF FF, which fills, and restarts; it refuses the others.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xfe])")
_BLOCK, _HEADER = 1 << 20, 1 << 16  # bytes that are read at once


def jpeg_problem(stream: BinaryIO, *, of_header: bool = False) -> str:
    """Why a file must not be opened, as the end of a sentence; empty for a harmless one and other formats.

    Thumbnails inside a segment, and what follows the first image, do not count.

    Args:
        stream: The file; its position is the start again afterwards.
        of_header: The file is read up to its first scan, as for an image whose pixels are not decoded.
    """
    try:
        if stream.read(len(MAGIC)) != MAGIC:
            return ""
        return _markers_problem(stream, of_header=of_header)
    finally:
        stream.seek(0)


def _markers_problem(stream: BinaryIO, *, of_header: bool) -> str:
    scans, segments, filling, size = 0, 0, 0, _HEADER if of_header else _BLOCK
    place = behind = 2  # of the block, and behind the last segment; at first the marker of the beginning
    while True:
        stream.seek(place)
        block, start = stream.read(size), 0
        while (marker := _MARKER.search(block, start)) and marker.end() + 2 <= len(block):
            if marker[1] == _END and scans:
                return ""
            filling += 0 if scans else place + marker.start() - behind
            scans += marker[1] == _SCAN
            segments += 1
            if of_header and scans:
                break
            if scans > MAX_SCANS:
                return f"has more than {MAX_SCANS} JPEG scans: save it again with fewer"
            if segments > MAX_SEGMENTS:
                return f"has more than {MAX_SEGMENTS:,} JPEG segments: save it again with fewer"
            start = marker.end()
            if scans or not _NO_LENGTH.match(marker[1]):  # libjpeg reads a length of 0 or 1 as 2
                start += max(2, int.from_bytes(block[start : start + 2], "big"))
            behind = place + start
        end = place + len(block)
        if filling + (0 if scans else max(0, end - behind)) > MAX_FILLING:
            return f"has more than {MAX_FILLING:,} bytes between the segments of its header: save it again"
        if (of_header and scans) or len(block) < size:
            return ""
        place += marker.start() if marker else max(start, len(block) - 1)
