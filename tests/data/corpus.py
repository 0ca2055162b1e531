"""The bad-input corpus: images of every kind that `decode` has a rule for, and files that are no images.

`python tests/data/corpus.py DIR` writes the files; with `--table` it prints the outcome of each, as
`corpus.json` stores it. No file is stored: all are made here, from smooth pictures and a seed.
"""

import hashlib
import json
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
from pictures import photograph, saved
from PIL import Image

from residua.data.decode import decode
from residua.errors import DataError

FLIPS = 8
"""Copies of one JPEG with twenty wrong bits each."""


def corpus() -> dict[str, bytes]:
    """Every file by name, the same bytes in every run."""
    return {
        **modes(),
        **deep(),
        **turned(),
        **animations(),
        **shapes(),
        **cut(),
        **flipped(),
        **claims(),
        **foreign(),
    }


def modes() -> dict[str, bytes]:
    """One small picture in every way that pixels are stored."""
    photo = photograph(48, 32)
    clear = Image.linear_gradient("L").resize(photo.size)
    palette = photo.quantize(16)
    files = {f"mode-{mode}.png": saved(photo.convert(mode), "PNG") for mode in ("1", "L", "P", "RGB")}
    files |= {f"mode-{mode}.jpg": saved(photo.convert(mode), "JPEG") for mode in ("L", "RGB", "CMYK")}
    rgba, la = photo.convert("RGBA"), photo.convert("LA")
    rgba.putalpha(clear)
    la.putalpha(clear)
    files["mode-RGBA.png"], files["mode-LA.png"] = saved(rgba, "PNG"), saved(la, "PNG")
    files["mode-RGBA.webp"] = saved(rgba, "WEBP", lossless=True, exact=True)
    files["palette-clear-index.png"] = saved(palette, "PNG", transparency=3)
    files["palette-clear-bytes.png"] = saved(palette, "PNG", transparency=bytes(range(0, 256, 16)))
    files["rgb-clear-colour.png"] = saved(Image.new("RGB", (9, 9), (5, 6, 7)), "PNG", transparency=(5, 6, 7))
    files["grey-clear-level.png"] = saved(Image.new("L", (9, 9), 5), "PNG", transparency=5)
    files["mode-P.gif"], files["mode-RGB.bmp"] = saved(palette, "GIF"), saved(photo, "BMP")
    files["mode-1.bmp"] = saved(photo.convert("1"), "BMP")
    files["mode-RGB.webp"] = saved(photo, "WEBP", lossless=True)
    files["progressive.jpg"] = saved(photo, "JPEG", progressive=True)
    files["mode-RGB.tif"] = saved(photo, "TIFF", compression="tiff_lzw")
    files["two-pages.tif"] = saved(photo, "TIFF", save_all=True, append_images=[Image.new("RGB", (9, 9))])
    files["16bit.tif"] = saved(Image.fromarray(np.arange(0, 65536, 64, np.uint16).reshape(32, 32)), "TIFF")
    files["icc.png"] = saved(photo, "PNG", icc_profile=b"no profile at all")
    return files


def deep() -> dict[str, bytes]:
    """Sixteen bits a channel, grey, colour and with transparency."""
    ramp = np.linspace(0, 65535, 48 * 32).reshape(32, 48).astype(">u2")
    rows = {0: ramp[..., None], 2: np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1)}
    rows[4] = np.stack([ramp, np.full_like(ramp, 0x8000)], -1)
    rows[6] = np.concatenate([rows[2], np.full((32, 48, 1), 0x8000, ">u2")], -1)
    return {
        f"16bit-type{kind}.png": png(48, 32, pixels.astype(">u2").tobytes(), depth=16, kind=kind)
        for kind, pixels in rows.items()
    }


def turned() -> dict[str, bytes]:
    """The eight EXIF orientations, and three that do not exist."""
    files = {}
    for orientation in (*range(1, 9), 0, 9, 4711):
        exif = Image.Exif()
        exif[0x0112] = orientation
        files[f"exif-{orientation}.jpg"] = saved(photograph(64, 48), "JPEG", exif=exif)
    files["exif-broken.jpg"] = saved(
        photograph(64, 48), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01\x03\0"
    )
    return files


def animations() -> dict[str, bytes]:
    """Moving pictures, whose first frame counts."""
    frames = [Image.new("RGB", (16, 12), (40 * n % 256, 90, 200)) for n in range(5)]
    many = [Image.new("P", (8, 8), n % 256) for n in range(400)]
    lossless = {"WEBP": {"lossless": True}}
    files = {
        f"animated.{kind.lower()}": saved(
            frames[0], kind, save_all=True, append_images=frames[1:], **lossless.get(kind, {})
        )
        for kind in ("GIF", "WEBP", "PNG")
    }
    files["frames-400.gif"] = saved(many[0], "GIF", save_all=True, append_images=many[1:])
    return files


def shapes() -> dict[str, bytes]:
    """Pictures without width, or nothing but width."""
    sizes = {"1x1": (1, 1), "1x20000": (1, 20000), "20000x1": (20000, 1), "2x3": (2, 3)}
    return {
        f"shape-{name}.png": saved(Image.new("RGB", size, (1, 2, 3)), "PNG") for name, size in sizes.items()
    }


def cut() -> dict[str, bytes]:
    """Files that end too early."""
    photo = photograph(64, 48)
    whole = {
        "jpg": saved(photo, "JPEG"),
        "png": saved(photo, "PNG"),
        "webp": saved(photo, "WEBP", lossless=True),
    }
    whole |= {"gif": saved(photo.quantize(64), "GIF"), "bmp": saved(photo, "BMP")}
    whole["progressive.jpg"] = saved(photo, "JPEG", progressive=True)
    files = {
        f"cut-{percent}.jpg": whole["jpg"][: len(whole["jpg"]) * percent // 100]
        for percent in range(10, 100, 20)
    }
    files |= {
        f"cut-50.{kind}": content[: len(content) // 2] for kind, content in whole.items() if kind != "jpg"
    }
    wrong = bytearray(whole["png"])
    wrong[len(wrong) // 2] ^= 0x55
    files["wrong-sum.png"] = bytes(wrong)
    files["cut-header.png"] = whole["png"][:20]
    return files


def flipped() -> dict[str, bytes]:
    """JPEGs with twenty wrong bits: decoders notice some, and nothing in the pixels tells of the others."""
    files = {}
    for number in range(FLIPS):
        content = bytearray(saved(photograph(64, 48), "JPEG"))
        draw = np.random.default_rng(number)
        for place in draw.integers(8 * 700, 8 * len(content), 20).tolist():  # behind the header
            content[place // 8] ^= 1 << place % 8
        files[f"flipped-{number}.jpg"] = bytes(content)
    return files


def claims() -> dict[str, bytes]:
    """Headers that claim huge images, text chunks that unpack to 200 MiB, and 1,000 scans."""
    grey = zlib.compress(bytes(13001 * 13000), 1)  # legal: every pixel of 13,000 x 13,000 is there
    small = zlib.compress(bytes(4 * 9), 9)
    huge = zlib.compress(bytes(200 << 20), 1)
    jpeg = bytearray(saved(photograph(16, 16), "JPEG"))
    progressive = saved(photograph(48, 32), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    frame = jpeg.index(b"\xff\xc0") + 5
    files = {}
    for side in (13000, 65500):
        jpeg[frame : frame + 4] = struct.pack(">HH", side, side)
        files[f"claims-{side}.jpg"] = bytes(jpeg)
    files["scans-1000.jpg"] = progressive[:-2] + 990 * scan + progressive[-2:]
    files["claims-50000.png"] = png(50000, 50000, b"")
    files["claims-legal-13000.png"] = _png(13000, 13000, grey, kind=0)
    files["claims-60000.gif"] = _gif(60000)
    files["claims-65000.bmp"] = b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 99, 0, 0, 54, 40, 65000, 65000, 1, 24, *[0] * 6
    )
    files["claims-16383.webp"] = _webp(16383)
    files["text-200MiB.png"] = _png(4, 4, small, extra=_chunk(b"zTXt", b"Comment\0\0" + huge), kind=2)
    files["profile-200MiB.png"] = _png(4, 4, small, extra=_chunk(b"iCCP", b"icc\0\0" + huge), kind=2)
    return files


def foreign() -> dict[str, bytes]:
    """Files with the ending of an image that are none, or one for another parser."""
    dot = Image.new("RGB", (8, 8), (9, 8, 7))
    return {
        "empty.jpg": b"",
        "one-byte.png": b"\x89",
        "text.jpg": b"hello, world\n" * 30,
        "page.png": b"<!DOCTYPE html><html><body>404</body></html>",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "print.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
        "tiff.jpg": saved(dot, "TIFF"),
        "float.tiff.jpg": saved(Image.new("F", (4, 4), 0.5), "TIFF"),
        "ppm.jpg": b"P6 2 2 255 " + bytes(12),
        "ppm-claims.jpg": b"P6 60000 60000 255 " + bytes(12),
        "icon.png": saved(dot, "ICO"),
        "jp2.jpg": saved(dot, "JPEG2000"),
        "heic.jpg": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64),
        "avif.jpg": b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(64),
        "archive.jpg": b"PK\x03\x04" + bytes(60),
        "right.png": saved(dot, "BMP"),  # an image of an accepted kind with another kind's ending is one
    }


def outcome(content: bytes) -> dict[str, object]:
    """The outcome of decoding a file: why it is refused, or its size and the digests of its pixels."""
    try:
        rgb, grey = decode(content, colour="rgb"), decode(content, colour="grey")
    except DataError as error:
        words = {"claims": "too large", "known range": "no range", "scans": "too many scans"}
        words |= {"that can be read": "damaged", "not an image: ": "no image"}
        return {"refused": next(word for text, word in words.items() if text in str(error))}
    digests = [hashlib.sha256(image.tobytes()).hexdigest()[:16] for image in (rgb, grey)]
    return {"size": list(rgb.size), "rgb": digests[0], "grey": digests[1]}


def png(width: int, height: int, pixels: bytes, *, depth: int = 8, kind: int = 2) -> bytes:
    """A PNG by hand, for the kinds that Pillow does not write; every row unfiltered."""
    row = len(pixels) // height
    rows = b"".join(b"\0" + pixels[start : start + row] for start in range(0, len(pixels), row or 1))
    return _png(width, height, zlib.compress(rows), depth=depth, kind=kind)


def _png(
    width: int, height: int, packed: bytes, *, depth: int = 8, kind: int = 2, extra: bytes = b""
) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _gif(side: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, side, side, 0)
    return (
        b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + frame + b"\x02\x02\x44\x01\0;"
    )


def _webp(side: int) -> bytes:
    content = bytearray(saved(photograph(8, 8), "WEBP", lossless=True))
    place = content.index(b"VP8L") + 9
    content[place : place + 4] = struct.pack("<I", (side - 1) | (side - 1) << 14)
    return bytes(content)


def main(words: list[str]) -> None:
    """Write the files, or print the table."""
    files = corpus()
    if words == ["--table"]:
        json.dump({name: outcome(content) for name, content in files.items()}, sys.stdout, indent=1)
        return
    folder = Path(words[0])
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    print(f"{len(files)} files in {folder}")


if __name__ == "__main__":
    main(sys.argv[1:])
