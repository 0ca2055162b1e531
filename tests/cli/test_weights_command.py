"""`residua weights`: the catalogue as a table and as JSON, downloads, and what can go wrong with them."""

import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

import command
from command import complaint, succeeded
from file_server import served

FIELDS = {"name", "model", "top1", "protocol", "licence", "sha256", "url", "cached"}
"""What the contract promises of every row."""
NAME, FILE = "cifar_plain32.a-martyn", "a-martyn-plainnet32.pt"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Empty caches, and downloads allowed."""
    names = ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME")
    folders = {name: str(tmp_path / name.lower()) for name in names}
    return {**os.environ, **folders, "RESIDUA_OFFLINE": "0", "no_proxy": "127.0.0.1"}


def test_the_catalogue_is_listed_as_json_with_the_promised_fields() -> None:
    rows = json.loads(succeeded(command.residua("weights", "--json")))
    assert len(rows) > 100
    assert all(row.keys() >= FIELDS for row in rows)
    only = json.loads(succeeded(command.residua("weights", "timm.a1", "--json")))
    assert {row["name"].partition(".")[2] for row in only} == {"timm.a1"}
    assert json.loads(succeeded(command.residua("weights", "list", "timm.a1", "--json"))) == only


def test_the_table_fits_and_one_name_is_told_in_full() -> None:
    out = succeeded(command.residua("weights", "resnet50"))
    assert "resnet50.torchvision.v2" in out
    assert out.splitlines()[-1].startswith("next: residua weights get resnet50")
    told = succeeded(command.residua("weights", "resnet50.timm.a1"))
    for text in ("80.38 %", "81.214", "Apache-2.0", "773525d5", "huggingface.co/timm/resnet50.a1_in1k"):
        assert text in told


def test_the_help_of_the_group_names_its_commands() -> None:
    out = succeeded(command.residua("weights", "--help"))
    assert all(f"\n  {name} " in out for name in ("list", "get", "verify"))


@pytest.mark.parametrize("name", ["list", "get", "verify"])
def test_every_command_of_weights_shows_an_example(name: str) -> None:
    assert "residua weights" in succeeded(command.residua("weights", name, "--help")).split("Example", 1)[1]


def test_weights_are_downloaded_and_verified(environment: dict[str, str], tmp_path: Path) -> None:
    with served(files={f"/{FILE}": b"some weights"}) as server:
        environment["RESIDUA_WEIGHTS_MIRROR"] = server.address
        got = command.residua("weights", "get", NAME, "-o", tmp_path / "copies", "--json", env=environment)
        (row,) = json.loads(succeeded(got))
    assert Path(row["cached"]).read_bytes() == b"some weights"
    (check,) = json.loads(succeeded(command.residua("weights", "verify", "--json", env=environment)))
    assert check["state"] == "as recorded"
    Path(check["path"]).write_bytes(b"some wrights")
    assert FILE in complaint(command.residua("weights", "verify", env=environment), 5)


@pytest.mark.parametrize(
    ("words", "code", "part"),
    [
        (("resnet50.torchvision.v3",), 2, "torchvision.v2"),
        (("zzz*",), 2, "zzz"),
        (("get", "resnet50.fb.swsl"), 2, "--accept-licence"),
        (("get", "resnet18.timm.a1", "-o", __file__), 2, "is a file"),
        (("get", "resnet18.timm.a1"), 7, "RESIDUA_OFFLINE"),
        (("verify", "resnet18.timm.a1"), 2, "weights get"),
    ],
)
def test_what_cannot_be_done_ends_in_one_line(words: tuple[str, ...], code: int, part: str) -> None:
    assert part in complaint(command.residua("weights", *words), code)


def test_a_download_that_is_interrupted_goes_on_the_next_time(environment: dict[str, str]) -> None:
    content = os.urandom(1 << 20)

    def hang(request: Any) -> None:
        request.send_response(200)
        for name, value in {"Content-Length": str(len(content)), "ETag": '"one"'}.items():
            request.send_header(name, value)
        request.end_headers()
        request.wfile.write(content[: len(content) // 2])
        request.wfile.flush()
        time.sleep(20)

    with served(files={f"/{FILE}": content}, script=[hang]) as server:
        environment["RESIDUA_WEIGHTS_MIRROR"] = server.address
        running = command.start("weights", "get", NAME, env=environment)
        partial = Path(environment["XDG_CACHE_HOME"], "residua", "weights", NAME, f"{FILE}.partial")
        end = time.monotonic() + 60
        while not (partial.is_file() and partial.stat().st_size) and time.monotonic() < end:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(60)
        assert (running.returncode, len(error.splitlines())) == (130, 1)
        (row,) = json.loads(succeeded(command.residua("weights", "get", NAME, "--json", env=environment)))
        assert Path(row["cached"]).read_bytes() == content
        assert server.ranges[-1].startswith("bytes=")
