"""Other servers and other sites: the server asks none, obeys none, and keeps their texts out of its log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from attacked import (
    AUDIT,
    END,
    FORM,
    INFER,
    JSON,
    MIB,
    NUMBERS,
    PICTURE,
    SVG,
    Attacked,
    Canary,
    check_refused,
    encoded,
    limited,
    part,
    tensor,
)
from raw_sockets import exchange, request

pytestmark = pytest.mark.usefixtures("unharmed")


def named_addresses(address: str) -> Iterator[bytes]:
    """Requests that name an address wherever somebody might take it from."""
    url = {"url": address, "image_url": address, "image": address}
    yield request(body=json.dumps(url).encode(), headers=JSON)
    yield request(INFER, json.dumps(url).encode(), headers=JSON)
    yield request(INFER, tensor(data=[address]), headers=JSON)
    yield request(INFER, tensor(data=[url]), headers=JSON)
    yield request(body=address.encode())
    yield request(body=part(address.encode()) + END, headers=FORM)
    yield request(body=part(address.encode(), 'form-data; name="url"') + END, headers=FORM)
    yield request(body=SVG.replace("file:///etc/passwd", address).encode())
    yield request("/predict?url=" + address, headers={"Referer": address, "X-Forwarded-Host": address})


def test_the_server_asks_no_address_that_a_request_names(attacked: Attacked, canary: Canary) -> None:
    for address in (
        canary.address,
        f"{canary.address}/a.png",
        "file:///etc/passwd",
        "//evil.test",
        "data:,x",
    ):
        for sent in named_addresses(address):
            check_refused(exchange(attacked.port, sent), 400)
    assert canary.visits == 0


def test_no_request_opens_a_connection_starts_a_process_or_writes_a_file(
    onnx_file: Path, tmp_path: Path
) -> None:
    with limited(onnx_file, tmp_path, queue=64) as server:
        for sent in named_addresses("http://127.0.0.1:9/a.png"):
            exchange(server.port, sent)
        large = PICTURE + bytes(5 * MIB)  # what follows a picture is ignored; Starlette writes 1 MiB to disk
        assert server.send(body=part(large) + END, headers=FORM).status == 200
        for kind in ("BMP", "GIF", "TIFF", "WEBP", "PDF"):
            server.send(body=encoded(kind))
        assert AUDIT not in server.log()


# Pages of others in a visitor's browser

SITES = ["http://evil.test", "https://localhost.evil.test", "null", "http://localhost:1", "file://", ""]


@pytest.mark.parametrize("origin", SITES)
def test_pages_of_other_sites_are_refused(origin: str, attacked: Attacked) -> None:
    for method, target in (
        ("POST", "/predict"),
        ("POST", INFER),
        ("GET", "/v2/models/colours"),
        ("OPTIONS", "/predict"),
    ):
        headers = {"Content-Type": "text/plain", "Access-Control-Request-Method": "POST"}
        reply = attacked.send(
            target, PICTURE, method=method, headers=headers, more=f"Origin: {origin}\r\n".encode()
        )
        check_refused(reply, 403)
        assert "access-control" not in reply.head


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_form_of_another_site_without_origin_is_refused(site: str, attacked: Attacked) -> None:
    headers = FORM | {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
    check_refused(attacked.send(body=part(PICTURE) + END, headers=headers), 403)


@pytest.mark.parametrize(
    "host",
    ["evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "localhost@evil.test", "[::1", "a b", "%31"],
)
def test_a_name_that_was_not_allowed_is_refused(host: str, attacked: Attacked) -> None:
    """DNS rebinding: the attacker's name points to this machine."""
    check_refused(attacked.send("/v2/models/colours", method="GET", headers={"Host": host}), 400, 403)


def test_the_servers_own_page_may_ask(attacked: Attacked, expected: list[dict[str, Any]]) -> None:
    for host in (f"127.0.0.1:{attacked.port}", f"localhost:{attacked.port}"):
        headers = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin"}
        assert json.loads(attacked.send(body=PICTURE, headers=headers).body)["predictions"] == expected


# Line breaks and codes of terminals


def test_no_text_of_a_request_becomes_a_header_or_a_line_of_the_log(attacked: Attacked) -> None:
    before = attacked.log()
    for text in ("%0d%0aSet-Cookie:%20a=b", "%1b%5b31m", "%e2%80%ae", "%0a%0aHTTP/1.1%20200%20OK"):
        for target in (f"/{text}", f"/v2/models/{text}", f"/assets/{text}", f"/predict?topk={text}"):
            reply = attacked.send(
                target, method="GET", more=b"X-Forwarded-For: \x1b[31m\r\nUser-Agent: \x1b]0;x\x07\r\n"
            )
            check_refused(reply)
            assert "set-cookie" not in reply.head
    document = json.loads(NUMBERS) | {"id": "a\r\nSet-Cookie: b\x1b[31m"}
    reply = attacked.send(INFER, json.dumps(document).encode(), headers=JSON)
    assert json.loads(reply.body)["id"] == document["id"]  # the client's own, escaped as JSON has it
    assert b"\x1b" not in reply.raw
    assert "set-cookie" not in reply.head
    assert attacked.log() == before
