"""TIFF, AVIF and HEIC: the rule of each, and files that would fill time or memory before their pixels."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pictures import photograph, saved
from PIL import Image

from residua.data import decode as gate
from residua.data.decode import decode, decode_with_header, read_format, read_size
from residua.data.tiff import tiff_problem
from residua.errors import DataError

Entry = tuple[int, int, int | bytes]
"""Type, count, and the value or the bytes that stand behind the directory."""
PAGE: dict[int, Entry] = {
    256: (4, 1, 10), 257: (4, 1, 10), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
    273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, 10), 279: (4, 1, 100),
}  # fmt: skip
"""10 x 10 grey pixels in one strip."""


def tiff(changes: dict[int, Entry | None], behind: bytes = b"") -> bytes:
    """A TIFF of `PAGE` with other entries; None takes one away."""
    entries = {tag: entry for tag, entry in {**PAGE, **changes}.items() if entry is not None}
    place, rows, contents = 8 + 2 + 12 * len(entries) + 4, b"", b""
    for tag, (kind, count, value) in sorted(entries.items()):
        if isinstance(value, bytes):
            rows += struct.pack("<HHII", tag, kind, count, place + len(contents))
            contents += value
        else:
            rows += struct.pack("<HHII", tag, kind, count, value)
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + rows + bytes(4) + contents + behind


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
@pytest.mark.parametrize("mode", ["L", "RGB", "1", "P", "RGBA", "CMYK"])
def test_a_tiff_is_decoded_like_the_same_png(mode: str, compression: str | None) -> None:
    if compression == "jpeg" and mode not in ("L", "RGB"):
        pytest.skip("JPEG holds grey and RGB only")
    photo = photograph(48, 32).convert(mode)
    content = saved(photo, "TIFF", compression=compression)
    expected = photo.convert("RGB") if mode == "CMYK" else decode(saved(photo, "PNG"), colour="rgb")
    difference = np.asarray(decode(content, colour="rgb"), int) - np.asarray(expected, int)
    assert np.abs(difference).max() <= (40 if compression == "jpeg" else 0)
    assert (read_format(content), read_size(content)) == ("TIFF", (48, 32))


def test_sixteen_bits_keep_their_upper_byte_whatever_range_they_use() -> None:
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    for values in (ramp, ramp // 16):  # a camera of 12 bits is not stretched: images would not compare
        content = saved(Image.fromarray(values), "TIFF")
        assert np.array_equal(decode(content, colour="grey"), values // 256)
    swapped = tiff({256: (4, 1, 64), 257: (4, 1, 64), 258: (3, 1, 16), 278: (4, 1, 64), 279: (4, 1, 8192),
                    273: (4, 1, 8 + 2 + 12 * 9 + 4)}, ramp.astype("<u2").tobytes())  # fmt: skip
    assert np.array_equal(decode(swapped, colour="grey"), ramp // 256)


def test_several_pages_are_the_first() -> None:
    pages = [Image.new("RGB", size, colour) for size, colour in (((8, 6), "blue"), ((90, 70), "red"))]
    content = saved(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert decode(content, colour="rgb").size == (8, 6)
    assert decode(content, colour="rgb").getpixel((3, 3)) == (0, 0, 255)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(orientation: int) -> None:
    photo, exif = photograph(40, 20), Image.Exif()
    exif[0x0112] = orientation
    turned = decode(saved(photo, "TIFF", exif=exif), colour="rgb")
    assert np.array_equal(turned, decode(saved(photo, "PNG", exif=exif), colour="rgb"))
    header, image = decode_with_header(saved(photo, "TIFF", exif=exif))
    upright = header.size[::-1] if header.orientation > 4 else header.size
    assert upright == image.size == turned.size


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_a_known_range_are_refused(dtype: type, tmp_path: Path) -> None:
    (tmp_path / "depth.tif").write_bytes(saved(Image.fromarray(np.ones((4, 4), dtype)), "TIFF"))
    with pytest.raises(DataError, match=r"depth\.tif .*8 or 16 bits"):
        decode(tmp_path / "depth.tif", colour="grey")


MANY = 3_000_000
BOMBS: dict[str, tuple[bytes, str]] = {
    "pixels": (tiff({256: (4, 1, 50000), 257: (4, 1, 50000)}), "25,000,000"),
    "bits": (tiff({258: (3, MANY, bytes([8, 0]) * MANY)}), "tag 258"),  # Pillow takes 20 s
    "strips": (tiff({273: (4, MANY, bytes(4 * MANY)), 279: (4, MANY, bytes(4 * MANY))}), "tag 273"),
    "tile": (
        tiff({259: (3, 1, 8), 273: None, 278: None, 279: None, 322: (4, 1, 20000), 323: (4, 1, 20000),
              324: (4, 1, 146), 325: (4, 1, 9999)}, zlib.compress(bytes(1000))),
        "400,000,000",
    ),
    "entries": (b"II*\0" + struct.pack("<IH", 8, 60000) + bytes(12 * 60000), "60,000"),
    "bigtiff": (b"II+\0" + bytes(60), "BigTIFF"),
    "cut": (tiff({})[:40], "cut off"),
    "elsewhere": (b"MM\0*\xff\xff\xff\xf0" + bytes(20), "cut off"),
    "webp": (tiff({259: (3, 1, 50001)}), "compression 50001"),
    "fax": (tiff({259: (3, 1, 4)}), "compression 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_tiff_that_claims_too_much_is_refused_before_it_is_parsed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, word = BOMBS[name]
    (tmp_path / "bomb.tif").write_bytes(content)
    if name != "pixels":
        monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("it reached Pillow"))
    tracemalloc.start()
    for read in (read_size, lambda file: decode(file, colour="rgb")):
        with pytest.raises(DataError, match=f"bomb.tif .*{word}"):
            read(tmp_path / "bomb.tif")
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_metadata_may_be_as_long_as_it_likes() -> None:
    profile = bytes(200_000)
    exif = Image.Exif()
    exif[0x010E] = "a description " * 10_000
    content = saved(photograph(16, 12), "TIFF", icc_profile=profile, exif=exif)
    assert decode(content, colour="rgb").size == (16, 12)
    assert tiff_problem(io.BytesIO(content), 1000) == ""


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_formats_with_a_decoder_of_their_own(name: str, tmp_path: Path) -> None:
    if name not in gate.FORMATS:
        pytest.skip(f"no decoder of {name} is installed")
    gate._register_decoders()
    photo, exif = photograph(64, 48), Image.Exif()
    exif[0x0112] = 6
    file = tmp_path / f"a{gate.FORMAT_SUFFIXES[name][0]}"
    photo.save(file, name, exif=exif.tobytes(), quality=95)
    assert file.suffix in gate.IMAGE.suffixes
    assert name in gate.IMAGE.formats
    turned = decode(file, colour="rgb")
    assert turned.size == (48, 64)
    expected = np.asarray(decode(saved(photo, "PNG", exif=exif), colour="rgb"), int)
    assert np.abs(np.asarray(turned, int) - expected).mean() < 15  # colours at half the resolution
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=file.name):
        decode(file, colour="rgb")


@pytest.mark.parametrize("name", ["AVIF", "HEIF"])
def test_a_header_of_such_a_format_is_refused_before_its_pixels(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in gate.FORMATS:
        pytest.skip(f"no decoder of {name} is installed")
    gate._register_decoders()
    content = saved(photograph(64, 48), name)
    place = content.index(b"ispe") + 8
    content = content[:place] + struct.pack(">II", 9000, 9000) + content[place + 8 :]
    monkeypatch.delattr("PIL.Image.Image.load")
    monkeypatch.delattr("PIL.ImageFile.ImageFile.load")
    with pytest.raises(DataError):
        decode(content, colour="rgb")


def test_without_its_decoder_a_format_names_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "FORMATS", ("JPEG", "PNG"))
    (tmp_path / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64))
    with pytest.raises(DataError, match=r"JPEG or PNG.*residua\[images\]"):
        decode(tmp_path / "phone.heic", colour="rgb")
