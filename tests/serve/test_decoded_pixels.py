"""Small files of many pixels: what they take decoded is limited for all requests together."""

import json
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from attacked import END, FORM, INFER, MIB, PICTURE, Attacked, check_refused, encoded, limited, part, tensor
from PIL import Image
from raw_sockets import Reply

BOUND = 1024 * MIB
"""What a form of the attack may let the server grow by; all its images take 7 GiB."""


@pytest.fixture(scope="module")
def whole_file(trained_run: Path) -> Path:
    """A network that crops itself, so that whole pictures wait for it."""
    from residua.predict.classifier import load
    from residua.predict.export.graph import export_graph
    from residua.predict.export.onnx import write_onnx

    path = trained_run.parent / "whole" / "colours.onnx"
    path.parent.mkdir()
    path.write_bytes(write_onnx(export_graph(load(trained_run).network, takes="images")))
    return path


@pytest.fixture(scope="module")
def whole(whole_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """A server of it, with more time than usual: this machine may be busy."""
    with limited(whole_file, tmp_path_factory.mktemp("whole"), compute_seconds=60.0) as running:
        yield running


def bits(side: int = 5000) -> bytes:
    """A PNG of one bit a pixel."""
    file = BytesIO()
    Image.new("1", (side, side)).save(file, "PNG")
    return file.getvalue()


def form(files: list[bytes]) -> bytes:
    return b"".join(part(file) for file in files) + END


def rejected(server: Attacked, reason: str) -> int:
    text = server.send("/metrics", method="GET").body.decode()
    lines = [line for line in text.splitlines() if f'residua_rejected_total{{reason="{reason}"}}' in line]
    return int(float(lines[0].split()[-1])) if lines else 0


def test_the_largest_legal_image_and_a_form_of_photographs_are_answered(whole: Attacked) -> None:
    assert whole.send(body=encoded("JPEG", 5000)).status == 200
    phone = BytesIO()
    Image.new("RGB", (4032, 3024), "red").save(phone, "JPEG")
    reply = whole.send(body=form([phone.getvalue()] * 6), headers=FORM)
    assert reply.status == 200, reply.raw
    assert len(json.loads(reply.body)["predictions"]) == 6


def test_a_form_of_small_files_with_many_pixels_is_refused_before_they_are_decoded(whole: Attacked) -> None:
    whole.predict()
    before, body = whole.memory, form([bits()] * 100)
    assert len(body) < MIB
    reply = whole.send(body=body, headers=FORM)
    check_refused(reply, 413)
    assert b"2,500,000,000 pixels" in reply.body
    head = tensor(shape=[100], parameters={"binary_data_size": 100 * (len(bits()) + 4)})
    binary = (len(bits()).to_bytes(4, "little") + bits()) * 100
    length = {"Inference-Header-Content-Length": str(len(head))}
    check_refused(whole.send(INFER, head + binary, headers=length), 413)
    assert whole.memory - before < 16 * MIB
    assert rejected(whole, "too many pixels") == 2


def test_what_other_requests_hold_is_counted_and_free_again_with_their_places(whole: Attacked) -> None:
    before, replies, peak = whole.memory, list[Reply](), 0
    body = form([bits()] * 3)
    threads = [
        threading.Thread(target=lambda: replies.append(whole.send(body=body, headers=FORM))) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert whole.is_live()
        assert whole.send(body=PICTURE).status == 200
        peak = max(peak, whole.memory)
    statuses = {reply.status for reply in replies}
    assert statuses == {200, 429}
    for reply in replies:
        assert reply.status == 200 or ("retry-after" in reply.head and b"fill the memory" in reply.body)
    assert rejected(whole, "pixels") == sum(reply.status == 429 for reply in replies)
    assert peak - before < BOUND
    assert whole.send(body=bits()).status == 200


def test_a_network_that_reads_views_takes_as_many_large_files_as_before(attacked: Attacked) -> None:
    reply = attacked.send(body=form([bits(2900)] * 12), headers=FORM)
    assert reply.status == 200, reply.raw
