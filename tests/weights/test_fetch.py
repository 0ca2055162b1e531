"""Files of released weights: from the caches of all libraries, or downloaded, verified at every use."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from command import Command, ended
from file_server import FileServer, content, page, served, status, the_world
from residua.data.http_download import Patience
from residua.data.partial_file import PartialFile
from residua.errors import CheckpointError, ConfigError, ResourceError, UnreachableError
from residua.events import Activity, Event, Note
from residua.spec.preprocess import Preprocess
from residua.weights import caches, fetch
from residua.weights.catalogue import ReleasedWeights

WEIGHTS = bytes(range(256)) * 2000
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
OTHER = WEIGHTS[:-1] + b"?"
SHORT = Patience(seconds=0.5, attempts=2, pause=0.01, longest_wait=1)
ENTRY = ReleasedWeights(
    name="net18.owner.v1",
    model="resnet18",
    dialect="torchvision",
    file=f"net18-{DIGEST[:8]}.pth",
    urls=(f"https://download.pytorch.org/models/net18-{DIGEST[:8]}.pth",),
    hub="",
    sha256=DIGEST[:8],
    size=len(WEIGHTS),
    top1=None,
    protocol="",
    source="",
    licence="BSD-3-Clause",
    training_data="",
    preprocess=Preprocess(224, 256, (0.5,) * 3, (0.5,) * 3),
    classes="",
    verified="",
)
HUB = replace(
    ENTRY, name="net18.timm.a1", file="model.safetensors", urls=(), hub="timm/net18.a1", sha256=DIGEST
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Empty caches of residua, torch and the hub."""
    names = {"XDG_CACHE_HOME": "cache", "TORCH_HOME": "torch", "HF_HOME": "hf"}
    for variable, name in names.items():
        monkeypatch.setenv(variable, str(tmp_path / name))
    return {name: tmp_path / name for name in names.values()}


@pytest.fixture
def mirror(folders: dict[str, Path], online: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A mirror with the file of `ENTRY`."""
    with served(files={f"/m/{ENTRY.file}": WEIGHTS, f"/m/{HUB.hub}/{HUB.file}": WEIGHTS}) as server:
        monkeypatch.setenv("RESIDUA_WEIGHTS_MIRROR", f"{server.address}/m/")
        yield server


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fails the test when a socket is connected or a name is looked up."""

    def refuse(*words: object, **_: object) -> NoReturn:
        raise AssertionError(f"the network is used: {words}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)


def write(path: Path, text: bytes = WEIGHTS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)
    return path


def torch_file(folders: dict[str, Path], text: bytes = WEIGHTS) -> Path:
    return write(folders["torch"] / "hub" / "checkpoints" / ENTRY.file, text)


def hub_file(folders: dict[str, Path], text: bytes = WEIGHTS, name: str = HUB.file) -> Path:
    """A file as huggingface_hub stores it: a link to one that is called as its digest."""
    repository = folders["hf"] / "hub" / f"models--{HUB.hub.replace('/', '--')}"
    blob = write(repository / "blobs" / DIGEST, text)
    write(repository / "refs" / "main", COMMIT.encode())
    link = repository / "snapshots" / COMMIT / name
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(os.path.relpath(blob, link.parent))
    return link


def own_file(entry: ReleasedWeights = ENTRY) -> Path:
    return caches.own_path(entry)


def test_a_mirror_serves_every_file_and_once(mirror: FileServer) -> None:
    for entry in (ENTRY, HUB):
        path = fetch.fetch(entry)
        assert path == own_file(entry) == fetch.fetch(entry) == fetch.cached(entry)
        assert path.read_bytes() == WEIGHTS
        assert path.with_name(f"{path.name}.sha256").read_text() == f"{DIGEST}  {path.name}\n"
        assert {file.suffix for file in path.parent.iterdir()} == {path.suffix, ".lock", ".sha256"}
    assert mirror.paths == [f"/m/{ENTRY.file}", f"/m/{HUB.hub}/{HUB.file}"]


@pytest.mark.usefixtures("no_network")
def test_the_caches_of_others_are_used_first(folders: dict[str, Path]) -> None:
    for entry, make in ((ENTRY, torch_file), (HUB, hub_file)):
        assert fetch.cached(entry) is None
        path = make(folders)
        assert fetch.fetch(entry) == fetch.cached(entry) == path
        assert not own_file(entry).exists()


def test_the_caches_are_where_the_libraries_have_them(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    assert caches.torch_folder() == Path(torch.hub.get_dir()) / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    assert caches.torch_folder() == Path(torch.hub.get_dir()) / "checkpoints"
    constants = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    for variable in (None, "HF_HUB_CACHE", "HF_HOME"):
        if variable:
            monkeypatch.setenv(variable, str(folders["cache"] / variable))
        words = [sys.executable, "-c", constants]
        theirs = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        assert str(caches.hub_folder()) == theirs


def test_a_wrong_file_in_a_cache_is_named_and_left_alone(
    mirror: FileServer, folders: dict[str, Path]
) -> None:
    theirs = torch_file(folders, OTHER)
    heard: list[Event] = []
    assert fetch.cached(ENTRY) is None
    assert fetch.fetch(ENTRY, listen=heard.append) == own_file()
    assert theirs.read_bytes() == OTHER
    notes = [event.text for event in heard if isinstance(event, Note)]
    assert len(notes) == 1
    assert str(theirs) in notes[0]
    assert hashlib.sha256(OTHER).hexdigest() in notes[0]


def test_a_damaged_file_of_a_hub_is_not_used(folders: dict[str, Path]) -> None:
    """Also where the catalogue knows no digest: the library calls the file as its digest."""
    hub_file(folders, OTHER)
    assert fetch.cached(HUB) is None
    assert fetch.cached(replace(HUB, sha256="")) is None


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("variable", ["RESIDUA_OFFLINE", "HF_HUB_OFFLINE"])
@pytest.mark.parametrize("entry", [ENTRY, HUB, replace(ENTRY, sha256="")])
def test_offline_opens_no_socket_and_says_which_file_to_put_where(
    entry: ReleasedWeights,
    variable: str,
    folders: dict[str, Path],
    online: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "yes")
    with pytest.raises(UnreachableError, match=variable) as caught:
        fetch.fetch(entry)
    text = str(caught.value)
    assert "\n" not in text
    assert (caught.value.exit_code, str(own_file(entry)) in text) == (7, True)
    assert (entry.sha256 or "not known") in text
    address = entry.urls[0] if entry.urls else f"https://huggingface.co/{HUB.hub}/resolve/main/{HUB.file}"
    assert address in text
    write(own_file(entry))
    assert fetch.fetch(entry) == own_file(entry)


@pytest.mark.usefixtures("no_network")
def test_offline_asks_no_hub_for_a_repository(folders: dict[str, Path]) -> None:
    with pytest.raises(UnreachableError, match=r"config\.json"):
        fetch.fetch_hub(HUB.hub, ["config.json"])
    folder = hub_file(folders, name="config.json").parent
    assert fetch.fetch_hub(HUB.hub, ["config.json"]) == folder
    with pytest.raises(UnreachableError, match=r"model\.safetensors"):
        fetch.fetch_hub(HUB.hub, ["config.json", "model.safetensors"])


@pytest.mark.parametrize("value", ["maybe", "2"])
def test_a_variable_that_is_neither_yes_nor_no_is_refused(
    value: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDUA_OFFLINE", value)
    with pytest.raises(ConfigError, match="RESIDUA_OFFLINE"):
        fetch.fetch(ENTRY)


@pytest.mark.parametrize("value", ["http://example.org/m", "/srv/weights", "ftp://a/b"])
def test_a_mirror_is_an_address(
    value: str, folders: dict[str, Path], online: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESIDUA_WEIGHTS_MIRROR", value)
    with pytest.raises(ConfigError, match="RESIDUA_WEIGHTS_MIRROR"):
        fetch.fetch(ENTRY)


def test_another_digest_than_published_leaves_nothing(mirror: FileServer) -> None:
    mirror.files[f"/m/{ENTRY.file}"] = OTHER
    with pytest.raises(CheckpointError, match=DIGEST[:8]) as caught:
        fetch.fetch(ENTRY)
    assert caught.value.exit_code == 5
    assert [path.suffix for path in own_file().parent.iterdir()] == [".lock"]
    mirror.files[f"/m/{ENTRY.file}"] = WEIGHTS
    assert fetch.fetch(ENTRY).read_bytes() == WEIGHTS


def test_a_file_joined_of_two_versions_is_fetched_once_more(mirror: FileServer) -> None:
    old = bytes(len(WEIGHTS))
    mirror.etag, mirror.cuts, mirror.files[f"/m/{ENTRY.file}"] = None, [1000], old
    mirror.script = [content, status(404)]
    with pytest.raises(UnreachableError, match="404"):
        fetch.fetch(ENTRY, patience=SHORT)
    mirror.files[f"/m/{ENTRY.file}"] = WEIGHTS
    assert fetch.fetch(ENTRY, patience=SHORT).read_bytes() == WEIGHTS
    assert mirror.ranges == ["", "bytes=1000-", "bytes=1000-", ""]


@pytest.mark.parametrize("known", ["", DIGEST[:8]])
def test_what_is_not_known_is_written_down_and_compared_from_then_on(mirror: FileServer, known: str) -> None:
    entry = replace(ENTRY, sha256=known)
    path = fetch.fetch(entry)
    if not known:
        path.write_bytes(OTHER)
        assert fetch.cached(entry) is None
        mirror.files[f"/m/{ENTRY.file}"] = OTHER
        with pytest.raises(CheckpointError, match=DIGEST):
            fetch.fetch(entry)
    caches.write_record(path, "ab" * 32)
    assert fetch.cached(entry) is None


def test_a_file_is_hashed_once_and_again_when_it_changes(
    mirror: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = fetch.fetch(ENTRY)
    hashed: list[Path] = []
    original = caches.file_sha256

    def counted(file: Path) -> str:
        hashed.append(file)
        return original(file)

    monkeypatch.setattr(caches, "file_sha256", counted)
    assert fetch.cached(ENTRY) == fetch.cached(ENTRY) == path
    assert hashed == []
    times = path.stat()
    path.write_bytes(OTHER)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as large, and as old
    assert fetch.cached(ENTRY) is None
    assert hashed == [path]
    assert fetch.fetch(ENTRY).read_bytes() == WEIGHTS


def test_a_damaged_memory_of_digests_only_costs_time(mirror: FileServer) -> None:
    path = fetch.fetch(ENTRY)
    (memory,) = (path.parents[1] / "digests").iterdir()
    for text in ("", "[]", "{}", '{"state": 1, "sha256": "x"}'):
        memory.write_text(text)
        assert fetch.cached(ENTRY) == path


def test_addresses_are_tried_in_order_and_a_failure_names_them_all(
    mirror: FileServer, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RESIDUA_WEIGHTS_MIRROR")
    base = f"{mirror.address}/m"
    entry = replace(ENTRY, urls=(f"{base}/first.pth", f"{base}/{ENTRY.file}"))
    assert fetch.fetch(entry).read_bytes() == WEIGHTS
    assert mirror.paths == ["/m/first.pth", f"/m/{ENTRY.file}"]
    entry = replace(entry, name="net18.owner.v2", urls=(f"{base}/first.pth", f"{base}/second.pth"))
    with pytest.raises(UnreachableError, match=r"404.*404") as caught:
        fetch.fetch(entry)
    assert str(own_file(entry)) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_much_longer_than_its_row_says_is_refused(mirror: FileServer) -> None:
    mirror.files[f"/m/{ENTRY.file}"] = bytes(20 << 20)
    with pytest.raises(UnreachableError, match="at most"):
        fetch.fetch(replace(ENTRY, size=1000))
    assert fetch.fetch(replace(ENTRY, size=0, sha256="")).stat().st_size == 20 << 20


def test_a_folder_that_cannot_be_written_is_one_line(mirror: FileServer, folders: dict[str, Path]) -> None:
    write(folders["cache"] / "residua" / "weights", b"in the way")
    with pytest.raises(ResourceError, match="XDG_CACHE_HOME") as caught:
        fetch.fetch(ENTRY)
    assert caught.value.exit_code == 7


def another(code: str, **options: Any) -> Command:
    """Another process, in which `weights()` gives the bytes of the file of `ENTRY`."""
    here = Path(__file__).parent
    lines = (
        f"import sys; sys.path[:0] = [{str(here.parent)!r}, {str(here)!r}]",
        "import test_fetch",
        "from residua.weights import fetch",
        "def weights(): return fetch.fetch(test_fetch.ENTRY).read_bytes()",
        code,
    )
    return Command(["-c", "\n".join(lines)], cwd=Path.cwd(), env=dict(os.environ), **options)


def test_of_two_processes_one_downloads_and_the_other_waits_and_says_so(mirror: FileServer) -> None:
    begun, waiting = threading.Event(), threading.Event()

    def slow(request: Any) -> None:
        begun.set()
        waiting.wait(60)
        content(request)

    def hear(event: Event) -> None:
        heard.append(event)
        waiting.set()

    mirror.script, heard = [slow], list[Event]()
    first = another("print(weights() == test_fetch.WEIGHTS)")
    assert begun.wait(60)
    assert fetch.fetch(ENTRY, listen=hear).read_bytes() == WEIGHTS
    assert [event for event in heard if isinstance(event, Activity) and "waiting" in event.text]
    assert ended(first).strip() == "True"
    assert len(mirror.requests) == 1


def test_a_process_that_is_killed_leaves_what_the_next_one_resumes(mirror: FileServer) -> None:
    begun, killed = threading.Event(), threading.Event()

    def stops(request: Any) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(WEIGHTS)))
        request.send_header("ETag", '"one"')
        request.end_headers()
        request.wfile.write(WEIGHTS[:1000])
        request.wfile.flush()
        begun.set()
        killed.wait(60)

    mirror.script = [stops]
    first = another("weights()")
    assert begun.wait(60)
    part = PartialFile(own_file().with_name(f"{ENTRY.file}.partial"))
    while part.size() < 1000:
        time.sleep(0.002)
    first.kill()
    with pytest.raises(AssertionError):
        ended(first)
    killed.set()
    assert fetch.fetch(ENTRY).read_bytes() == WEIGHTS
    assert mirror.ranges == ["", "bytes=1000-"]


def test_a_disk_that_is_full_is_one_line(mirror: FileServer) -> None:
    code = "try: weights()\nexcept fetch.ResourceError as error: print(error.exit_code, error)"
    line = ended(another(code, largest_file=100_000)).strip()
    assert line.startswith("7 ")
    assert "free some space" in line
    assert fetch.fetch(ENTRY).read_bytes() == WEIGHTS
    assert mirror.ranges == ["", "bytes=100000-"]


@pytest.fixture
def world(
    folders: dict[str, Path], online: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileServer]:
    """Every host that weights come from, played on this machine with a certificate of its own."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    with the_world(tmp_path) as (server, environment):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server


def test_each_host_is_followed_to_where_it_stores_its_files(world: FileServer, no_library: None) -> None:
    bridge = "cas-bridge.xethub.hf.co/x?y=%2Fz"
    release, storage = "github.com/o/r/releases/download/v1/net.pth", "release-assets.githubusercontent.com"
    entries = {
        "download.pytorch.org": ENTRY,
        "github.com": replace(ENTRY, name="a", urls=(f"https://{release}",)),
        "huggingface.co": HUB,
    }
    world.files = {
        f"download.pytorch.org/models/{ENTRY.file}": WEIGHTS,
        f"{storage}/1?sig=2": WEIGHTS,
        bridge: WEIGHTS,
    }
    world.moves = {
        release: f"https://{storage}/1?sig=2",
        f"huggingface.co/{HUB.hub}/resolve/main/{HUB.file}": f"https://{bridge}",
    }
    world.cuts = [len(WEIGHTS), 1000]
    heard: list[Event] = []
    for host, entry in entries.items():
        assert fetch.fetch(entry, listen=heard.append, patience=SHORT) == own_file(entry)
        assert any(isinstance(event, Activity) and event.text.endswith(host) for event in heard)
    assert [span for host, _, span in world.requests if host == storage] == ["", "bytes=1000-"]


@pytest.mark.parametrize("target", ["https://evil.example/x", "http://download.pytorch.org/x"])
def test_a_host_is_not_followed_elsewhere(world: FileServer, target: str) -> None:
    world.moves = {f"download.pytorch.org/models/{ENTRY.file}": target}
    world.files = {"evil.example/x": WEIGHTS}
    with pytest.raises(UnreachableError, match="redirects to"):
        fetch.fetch(ENTRY, patience=SHORT)
    assert [host for host, _, _ in world.requests] == ["download.pytorch.org"]


def test_a_certificate_of_strangers_is_refused(world: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(UnreachableError, match="certificate"):
        fetch.fetch(ENTRY, patience=SHORT)
    assert world.requests == []


DRIVE = "https://drive.google.com/uc?export=download&id=1a-B_c"
ASKS = """<html><body><form id="download-form" action="https://{host}/download" method="get">
<input type="submit" value="Download anyway"><input type="hidden" name="id" value="1a-B_c">
<input type="hidden" name="confirm" value="t"><input type="hidden" name="uuid" value="9-&amp;">
</form></html>"""


def test_the_question_of_google_drive_is_confirmed(world: FileServer) -> None:
    entry = replace(ENTRY, urls=(DRIVE,), file="iresnet.pth", sha256="")
    user = "drive.usercontent.google.com"
    world.moves = {DRIVE.removeprefix("https://"): f"https://{user}/download?id=1a-B_c"}
    world.files = {f"{user}/download?id=1a-B_c&confirm=t&uuid=9-%26": WEIGHTS}
    world.script = [content, page(ASKS.format(host=user))]
    assert fetch.fetch(entry, patience=SHORT).read_bytes() == WEIGHTS
    assert [host for host, _, _ in world.requests] == ["drive.google.com", user, user]


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("<html>Quota <b>exceeded</b></html>", "page in place"),
        (ASKS.format(host="evil.example"), "redirects to"),
    ],
)
def test_another_page_of_google_drive_is_no_file(world: FileServer, text: str, word: str) -> None:
    world.script = [page(text)]
    with pytest.raises(UnreachableError, match=word):
        fetch.fetch(replace(ENTRY, urls=(DRIVE,), sha256=""), patience=SHORT)
    assert len(world.requests) == 1


@pytest.fixture
def hub(folders: dict[str, Path], online: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A hub with one repository: of `https` it has what plain downloads and the library ask for."""
    path = f"/{HUB.hub}/resolve/main"
    files = {f"{path}/model.safetensors": WEIGHTS, f"{path}/config.json": b"{}"}
    linked = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{DIGEST}"', "X-Linked-Size": str(len(WEIGHTS))}
    with served(files=files, headers={"X-Repo-Commit": COMMIT}) as server:
        server.files[f"/api/models/{HUB.hub}"] = b'{"id": "timm/net18.a1", "siblings": []}'
        server.extra = {f"{path}/model.safetensors": linked}
        monkeypatch.setenv("HF_ENDPOINT", server.address)
        yield server


def test_a_repository_is_fetched_by_plain_https(hub: FileServer, no_library: None) -> None:
    folder = fetch.fetch_hub(HUB.hub, ["config.json"])
    assert fetch.fetch_hub(HUB.hub, ["config.json", "model.safetensors"]) == folder
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert len(hub.requests) == 2
    (folder / "model.safetensors").write_bytes(OTHER)
    with pytest.raises(CheckpointError, match="damaged"):
        fetch.fetch_hub(HUB.hub, ["config.json", "model.safetensors"])


def test_the_digest_that_a_hub_promises_is_compared(hub: FileServer, no_library: None) -> None:
    hub.files[f"/{HUB.hub}/resolve/main/model.safetensors"] = OTHER
    with pytest.raises(CheckpointError, match=DIGEST):
        fetch.fetch_hub(HUB.hub, ["model.safetensors"])


@pytest.mark.parametrize("has_library", [True, False])
def test_a_repository_that_is_not_there_is_named(
    hub: FileServer, has_library: bool, request: pytest.FixtureRequest
) -> None:
    if not has_library:
        request.getfixturevalue("no_library")
    for repository, files in ((HUB.hub, ["other.bin"]), ("nobody/nothing", ["config.json"])):
        with pytest.raises(CheckpointError, match=repository):
            fetch.fetch_hub(repository, files)


def test_the_library_fills_its_own_cache_where_it_is_installed(
    hub: FileServer, folders: dict[str, Path]
) -> None:
    pytest.importorskip("huggingface_hub")
    path = fetch.fetch(HUB)
    assert path.is_relative_to(folders["hf"] / "hub")
    assert path.read_bytes() == WEIGHTS
    asked = len(hub.requests)
    assert fetch.fetch(HUB) == path
    assert fetch.fetch_hub(HUB.hub, [HUB.file]) == path.parent
    assert len(hub.requests) == asked
    assert not own_file(HUB).exists()


def test_a_hub_with_another_file_than_published_is_refused(hub: FileServer) -> None:
    pytest.importorskip("huggingface_hub")
    with pytest.raises(CheckpointError, match="ab" * 32):
        fetch.fetch(replace(HUB, sha256="ab" * 32))


def test_a_hub_that_fails_in_a_download_of_the_library_is_out_of_reach(hub: FileServer) -> None:
    pytest.importorskip("huggingface_hub")
    hub.script = [content, *[status(500)] * 20]
    with pytest.raises(UnreachableError, match="try again later"):
        fetch.fetch_hub(HUB.hub, [HUB.file])


def test_a_hub_out_of_reach_leaves_the_way_by_hand(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("huggingface_hub")

    def unreachable(kind: str, name: str) -> None:
        raise UnreachableError(f"no answer for {kind} {name}")

    monkeypatch.setattr("residua.data.hub.check_hub", unreachable)
    with pytest.raises(UnreachableError, match=re.escape(str(own_file(HUB)))):
        fetch.fetch(HUB)
