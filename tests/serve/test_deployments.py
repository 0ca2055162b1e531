"""The files in `deploy` and `docker`: tools read their own, proxies have the server's limits, no torch."""

import json
import os
import re
import shutil
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from typer.main import get_command

from exported_files import write_onnx
from residua.cli.app import app
from residua.serve.limits import MIB, STANDARD
from residua.serve.server import connection_config
from small import picture, png

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = ROOT / "docker/Dockerfile"
PINNED = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def text(name: str) -> str:
    return (DEPLOY / name).read_text("utf-8")


def options_of_serve() -> set[str]:
    serve: Any = get_command(app).commands["serve"]  # type: ignore[attr-defined]
    return {option for parameter in serve.params for option in parameter.opts}


def installed(program: str) -> str:
    """The path of a program; without it the test is skipped."""
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"{program} is not installed")
    return path


@pytest.mark.parametrize("file", [DOCKERFILE, DEPLOY / "residua.service"], ids=lambda file: file.name)
def test_options_of_the_command_exist(file: Path) -> None:
    lines = [line for line in file.read_text("utf-8").splitlines() if line.startswith(("ExecStart", "CMD"))]
    options = set(re.findall(r"--[a-z-]+", " ".join(lines)))
    assert options
    assert options <= options_of_serve()


def test_the_image_copies_files_that_exist_and_has_torch_from_the_lock_alone(tmp_path: Path) -> None:
    lines = DOCKERFILE.read_text("utf-8").replace("\\\n", "").splitlines()
    copied = [word for line in lines if line.startswith("COPY ") for word in line.split()[1:-1]]
    assert all((ROOT / word).exists() for word in copied if not word.startswith(("--from", "/opt")))
    (run,) = (line for line in lines if "torch.txt" in line)
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    commands = [part for part in run.removeprefix("RUN ").split("&&") if part.strip().startswith("sed ")]
    subprocess.run(["sh", "-ec", "\n".join(commands)], cwd=tmp_path, check=True)
    locked = dict(PINNED.findall((ROOT / "requirements/run.txt").read_text("utf-8")))
    torch, others = (
        dict(PINNED.findall((tmp_path / f"{name}.txt").read_text())) for name in ("torch", "others")
    )
    assert set(torch) == {"torch", "torchvision"}
    assert {**torch, **others}.items() <= locked.items()
    left_out = locked.keys() - torch.keys() - others.keys()
    assert {name.partition("-")[0] for name in left_out} == {"cuda", "nvidia", "triton"}


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = installed("systemd-analyze")
    unit = tmp_path / "residua.service"
    unit.write_text(text("residua.service").replace("/opt/residua/bin/residua", sys.executable))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True)
    complaints = [line for line in done.stderr.splitlines() if "residua.service" in line]
    assert not complaints


def test_the_server_runs_with_the_system_calls_that_the_unit_allows(tmp_path: Path) -> None:
    installed("systemd-analyze")
    if find_library("seccomp") is None:
        pytest.skip("libseccomp is not installed")
    write_onnx(tmp_path / "colours.onnx")
    words = [Path(__file__).parent / "hardened.py", DEPLOY / "residua.service", sys.executable]
    words += ["-m", "residua", "serve", tmp_path / "colours.onnx", "--port", "0"]
    server = subprocess.Popen([sys.executable, *map(str, words)], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout
        address = next((line.split()[1] for line in server.stdout if line.startswith("serving")), None)
        assert address, f"it ended with {server.wait()}"
        response = httpx.post(f"{address}/predict", content=png(picture("red", 0)), trust_env=False)
        assert response.json()["predictions"], response.text
        server.terminate()
        assert server.wait(60) == 0
    finally:
        server.kill()


def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    nginx, openssl = installed("nginx"), installed("openssl")
    pem, key = tmp_path / "photos.pem", tmp_path / "photos.key"
    words = [
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=photos",
        "-keyout",
        key,
        "-out",
        pem,
    ]
    subprocess.run([openssl, *map(str, words)], capture_output=True, check=True)
    site = text("nginx.conf").replace("/etc/ssl/photos.example.com", str(tmp_path / "photos"))
    (tmp_path / "site.conf").write_text(site)
    main = f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{ access_log off; include {tmp_path}/site.conf; }}\n"
    (tmp_path / "nginx.conf").write_text(main)
    done = subprocess.run(
        [nginx, "-t", "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    words = [installed("caddy"), "validate", "--adapter", "caddyfile", "--config", str(DEPLOY / "Caddyfile")]
    folders = dict.fromkeys(("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"), str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | folders)
    assert done.returncode == 0, done.stderr


def test_systemd_waits_until_the_server_has_drained() -> None:
    seconds = re.search(r"^TimeoutStopSec=(\d+)$", text("residua.service"), re.MULTILINE)
    assert seconds
    assert int(seconds[1]) > STANDARD.drain_seconds


def test_proxies_take_the_bodies_and_times_that_the_server_takes() -> None:
    mib = STANDARD.body_bytes // MIB
    receive, longest = (
        int(value)
        for value in (STANDARD.receive_seconds, STANDARD.receive_seconds + STANDARD.compute_seconds)
    )
    nginx, caddy = text("nginx.conf"), text("Caddyfile")
    assert f"client_max_body_size {mib}m;" in nginx
    assert f"max_size {mib}MiB" in caddy
    assert f"client_body_timeout {receive}s;" in nginx
    assert f"read_body {receive}s" in caddy
    for pattern, document in (
        (r"proxy_read_timeout (\d+)s", nginx),
        (r"response_header_timeout (\d+)s", caddy),
    ):
        seconds = re.search(pattern, document)
        assert seconds
        assert int(seconds[1]) > longest, "the server itself says that it was late"
    assert f"max_header_size {STANDARD.header_bytes >> 10}KiB" in caddy


def test_proxies_close_idle_connections_before_the_server_does() -> None:
    """A request on a connection that the server is just closing is lost, and a POST is not sent again."""
    seconds = connection_config(FastAPI(), STANDARD).timeout_keep_alive
    for pattern, name in ((r"keepalive_timeout (\d+)s", "nginx.conf"), (r"keepalive (\d+)s", "Caddyfile")):
        idle = re.search(pattern, text(name))
        assert idle
        assert int(idle[1]) < seconds


def test_the_container_installs_the_versions_that_were_tested_and_no_torch() -> None:
    served = dict(PINNED.findall((ROOT / "requirements" / "serve.txt").read_text("utf-8")))
    tested = dict(PINNED.findall((ROOT / "requirements" / "test.txt").read_text("utf-8")))
    assert "torch" not in served
    assert {name: version for name, version in served.items() if tested.get(name) != version} == {}
    wanted = (ROOT / "requirements" / "serve.in").read_text("utf-8")
    assert set(re.findall(r"^[a-z0-9-]+$", wanted, re.MULTILINE)) <= served.keys()


def test_nothing_else_is_imported_to_serve_an_exported_file(tmp_path: Path) -> None:
    write_onnx(tmp_path / "colours.onnx")
    code = """
import importlib.metadata, json, pathlib, sys
from residua.serve.loading import load_model
import residua.cli.serve, residua.serve.app, residua.serve.server
residua.serve.app.create_app(load_model(pathlib.Path(sys.argv[1])))
packages = importlib.metadata.packages_distributions()
print(json.dumps(sorted({name for module in sys.modules for name in packages.get(module, ())})))
"""
    words = [sys.executable, "-c", code, str(tmp_path / "colours.onnx")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    imported = {name.lower().replace("_", "-") for name in json.loads(done.stdout)}
    served = {name for name, _ in PINNED.findall((ROOT / "requirements" / "serve.txt").read_text("utf-8"))}
    others = {"residua", "setuptools"}
    others |= {"typer-slim", "defusedxml"}  # the first is typer, too; Pillow imports the second where it is
    assert imported - served <= others, "add what is missing to requirements/serve.in"
