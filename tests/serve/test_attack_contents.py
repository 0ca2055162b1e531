"""JSON, tensors, forms and files of strangers: each is refused in little memory, and the server serves on."""

import json
import struct
import zlib
from typing import Any

import pytest
from attacked import (
    END,
    FORM,
    INFER,
    JSON,
    MIB,
    NUMBERS,
    PICTURE,
    SECRET,
    SVG,
    Attacked,
    check_refused,
    encoded,
    part,
    tensor,
)

pytestmark = pytest.mark.usefixtures("unharmed")

# JSON

WRONG_JSON = {
    "100,000 lists in each other": b"[" * 100_000,
    "100,000 objects in each other": b'{"a":' * 100_000,
    "100,000 lists as data": tensor(data="X").replace(b'"X"', b"[" * 100_000 + b"]" * 100_000),
    "a number of 5,000 digits": tensor(shape="X").replace(b'"X"', b"[" + b"9" * 5000 + b"]"),
    "an infinite number": NUMBERS.replace(b"[1, 2, 3]", b"[1e999, 1, 1]"),
    "NaN": NUMBERS.replace(b"[1, 2, 3]", b"[NaN, 1, 1]"),
    "no UTF-8": b'{"inputs": "\xff\xfe"}',
    "half of a character": b'{"id": "\\ud800", "inputs": []}',
    "UTF-16": '{"inputs": []}'.encode("utf-16"),
    "two values": b"{} {}",
    "nothing": b"",
    "null": b"null",
    "1,000,000 empty lists": b"[" + b"[]," * 1_000_000 + b"[]]",
    "8 MiB of a text": b'"' + b"\\u0000" * 1_300_000 + b'"',
    "a number as text": tensor(shape=["1"], data=[""]),
    "a shape of 2 to the 63": tensor(
        name="pixels", datatype="UINT8", shape=[1 << 31, 1 << 31, 2, 3], data=[1]
    ),
    "a shape below zero": tensor(shape=[-1], data=[]),
    "a shape of true": tensor(shape=[True], data=[""]),
    "an empty shape": tensor(shape=[], data=[]),
    "no picture": tensor(shape=[0], data=[]),
    "a picture of 1 x 8,000,000": tensor(
        name="pixels", datatype="UINT8", shape=[1, 1, 8_000_000, 1], data=[1]
    ),
    "pixels that are lists": NUMBERS.replace(b"[1, 2, 3]", b"[[1], [2], [3, 4]]"),
    "pixels that are texts": NUMBERS.replace(b"[1, 2, 3]", b'["1", "2", "x"]'),
    "pixels of 300": NUMBERS.replace(b"[1, 2, 3]", b"[300, 2, 3]"),
    "a parameter that is a list": tensor(parameters=[], data=["!"]),
    "a size below zero": tensor(parameters={"binary_data_size": -1}),
    "a size beyond the body": tensor(parameters={"binary_data_size": 1 << 62}),
    "outputs by the million": NUMBERS[:-1] + b', "outputs": [' + b"{}," * 1_000_000 + b"{}]}",
    "a billion classes of nothing": NUMBERS[:-1]
    + b', "outputs": [{"name": "x", "parameters": {"classification": 1e9}}]}',
    "an address for an id": NUMBERS[:-1] + b', "id": {"url": "http://127.0.0.1"}}',
}


@pytest.mark.parametrize("name", WRONG_JSON)
def test_json_that_follows_no_protocol_is_refused(name: str, attacked: Attacked) -> None:
    check_refused(attacked.send(INFER, WRONG_JSON[name], headers=JSON), 400, 413)


LENGTH = "Inference-Header-Content-Length"


@pytest.mark.parametrize("length", ["-1", "99999999", "1e3", "0x10", "9" * 40, "1 2", "5,5"])
def test_a_wrong_length_of_the_json_is_refused(length: str, attacked: Attacked) -> None:
    check_refused(attacked.send(INFER, tensor() + bytes(8), headers={LENGTH: length}), 400)


@pytest.mark.parametrize(
    "values", [b"\xff\xff\xff\xff", b"\x00", b"\x05\x00\x00\x00ab", bytes(8), bytes(4 * MIB)]
)
def test_binary_tensors_that_lie_about_their_length_are_refused(values: bytes, attacked: Attacked) -> None:
    head = tensor(parameters={"binary_data_size": len(values)})
    check_refused(attacked.send(INFER, head + values, headers={LENGTH: str(len(head))}), 400)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -1e38])
def test_inputs_that_are_no_picture_are_refused(number: float, attacked: Attacked) -> None:
    values = struct.pack("<f", number) * (3 * 12 * 12)
    parameters = {"binary_data_size": len(values)}
    head = tensor(name="inputs", datatype="FP32", shape=[1, 3, 12, 12], parameters=parameters)
    check_refused(attacked.send(INFER, head + values, headers={LENGTH: str(len(head))}), 400)


@pytest.mark.parametrize(
    "query", ["topk=-1", "topk=0", "topk=nan", f"topk={'9' * 5000}", "topk=1&topk=x", "cam=maybe", "topk=%00"]
)
def test_a_query_out_of_range_is_refused(query: str, attacked: Attacked) -> None:
    check_refused(attacked.send(f"/predict?{query}", PICTURE), 400)


# Forms

WRONG_FORMS = {
    "no boundary": ("multipart/form-data", part(PICTURE) + END),
    "an empty boundary": ("multipart/form-data; boundary=", part(PICTURE) + END),
    "10,000 backslashes": ('multipart/form-data; boundary="' + "\\" * 10_000, part(PICTURE) + END),
    "10,000 parameters": ("multipart/form-data" + ";a=" * 3000, part(PICTURE) + END),
    "a preamble of 7 MiB": (FORM["Content-Type"], b"\r\n" * (7 * MIB // 2) + END),
    "a preamble of text": (FORM["Content-Type"], b"a" * (7 * MIB) + END),
    "10,000 parts": (FORM["Content-Type"], part(b"x") * 10_000 + END),
    "10,000 fields": (FORM["Content-Type"], part(b"x", 'form-data; name="a"') * 10_000 + END),
    "a header of 1 MiB": (FORM["Content-Type"], part(b"x", more=b"X: " + b"a" * MIB + b"\r\n") + END),
    "a name of 4,000 letters": (FORM["Content-Type"], part(b"", f'form-data; name="{"a" * 3900}"') + END),
    "1,000,000 headers": (FORM["Content-Type"], part(b"x", more=b"X: y\r\n" * 1_000_000) + END),
    "a field of 7 MiB": (FORM["Content-Type"], part(b"a" * (7 * MIB), 'form-data; name="file"') + END),
    "no end": (FORM["Content-Type"], part(PICTURE)),
    "an end within a header": (FORM["Content-Type"], b"--xxxx\r\nContent-Disposition: form-da"),
    "nothing": (FORM["Content-Type"], b""),
    "its end alone": (FORM["Content-Type"], END),
    "a picture that is none": (FORM["Content-Type"], part(SECRET.encode()) + END),
    "a form in a form": (
        FORM["Content-Type"],
        part(part(PICTURE) + END, more=b"Content-Type: multipart/mixed\r\n"),
    ),
    "fields by address": ("application/x-www-form-urlencoded", b"url=http://127.0.0.1/&" * 10_000),
}


@pytest.mark.parametrize("name", WRONG_FORMS)
def test_a_form_that_holds_no_picture_is_refused(name: str, attacked: Attacked) -> None:
    """CVE-2026-40347 (preambles), CVE-2026-42561 (headers of parts), CVE-2024-53981, CVE-2024-24762."""
    content_type, body = WRONG_FORMS[name]
    check_refused(attacked.send(body=body, headers={"Content-Type": content_type}), 400, 413, 431)


@pytest.mark.parametrize(
    "name",
    [
        "../../../../tmp/x.png",
        "/etc/passwd",
        "a\\..\\b.png",
        "\x1b[31mred",
        "<script>alert(1)</script>",
        "CON",
    ],
)
def test_the_name_of_a_file_is_used_for_nothing(
    name: str, attacked: Attacked, expected: list[dict[str, Any]]
) -> None:
    body = part(PICTURE, f'form-data; name="file"; filename="{name}"') + END
    reply = attacked.send(body=body, headers=FORM)
    assert json.loads(reply.body)["predictions"] == expected
    assert name not in reply.raw.decode("latin-1")


def test_the_content_decides_what_a_file_is(attacked: Attacked, expected: list[dict[str, Any]]) -> None:
    for kind in ("text/plain", "application/x-sh", "image/svg+xml", "\x7f"):
        reply = attacked.send(body=PICTURE, headers={"Content-Type": kind})
        assert json.loads(reply.body)["predictions"] == expected


# Pictures


def png(width: int, height: int) -> bytes:
    """A PNG that says it is of this size, of few bytes."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(min(width * height, 1 << 20)), 9)
    text = chunk(b"tEXt", b"Comment\0" + SECRET.encode())
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + text + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def slow_jpeg(side: int = 5000) -> bytes:
    """A JPEG of 25 million pixels and 2,000 scans, in 220 KB: it takes half a minute to decode."""
    whole = encoded("JPEG", side, progressive=True)
    scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + 1990 * scan + whole[-2:]


WRONG_PICTURES = {
    "a bomb": lambda: png(50_000, 50_000),
    "a bomb in one line": lambda: png(1 << 30, 1),
    "26 million pixels": lambda: png(5_200, 5_000),
    "2,000 scans": slow_jpeg,
    "no pixels": lambda: png(0, 10),
    "half a picture": lambda: PICTURE[: len(PICTURE) // 2],
    "PostScript": lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + SECRET.encode(),
    "SVG": lambda: SVG.encode(),
    "PDF": lambda: encoded("PDF"),
    "ICO": lambda: encoded("ICO"),
    "TGA": lambda: encoded("TGA"),
    "text": lambda: SECRET.encode() * 1000,
    "a pickle": lambda: b"\x80\x04cos\nsystem\n(S'touch x'\ntR.",
    "nothing": lambda: b"",
    "zeros": lambda: bytes(MIB),
}


@pytest.mark.parametrize("name", WRONG_PICTURES)
def test_a_file_that_is_no_picture_is_refused(name: str, attacked: Attacked) -> None:
    before = attacked.memory
    content = WRONG_PICTURES[name]()
    check_refused(attacked.send(body=content), 400, 413, 415)
    check_refused(attacked.send(body=part(content) + END, headers=FORM), 400, 413, 415)
    assert attacked.memory - before < 16 * MIB
