"""Released weights here: listed, downloaded from a server that plays their owner, verified again."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from file_server import FileServer, served
from residua.errors import ConfigError, UnreachableError
from residua.jobs.weights import get_weights, list_weights, verify_weights

NAME, FILE = "cifar_plain32.a-martyn", "a-martyn-plainnet32.pt"
"""An entry whose owner published no digest."""
PUBLISHED = ("resnet18.torchvision.v1", "resnet18-f37072fd.pth")
CONTENT = bytes(range(256)) * 500
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty caches; gives that of torch."""
    for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    torch_cache = tmp_path / "torch_home" / "hub" / "checkpoints"
    torch_cache.mkdir(parents=True)
    return torch_cache


@pytest.fixture
def owner(caches: Path, online: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    with served(files={f"/{FILE}": CONTENT}) as server:
        monkeypatch.setenv("RESIDUA_WEIGHTS_MIRROR", server.address)
        yield server


def test_weights_are_downloaded_once_and_then_listed_as_here(owner: FileServer) -> None:
    assert list_weights(NAME)[0].path is None
    (row,) = get_weights([NAME])
    assert row.path is not None
    assert row.path.read_bytes() == CONTENT
    (again,) = get_weights([f"timm:{NAME}", NAME])  # one entry, however often and with whichever prefix
    assert owner.paths == [f"/{FILE}"]
    assert list_weights(NAME) == [again]
    assert again.plain()["cached"] == str(row.path)


def test_a_copy_is_made_as_the_cache_of_another_machine_has_it(owner: FileServer, tmp_path: Path) -> None:
    for _ in range(2):
        (row,) = get_weights([NAME], out=tmp_path / "copies")
    copy = tmp_path / "copies" / NAME / FILE
    assert (row.path, copy.read_bytes()) == (copy, CONTENT)
    assert copy.with_name(f"{FILE}.sha256").read_text() == f"{DIGEST}  {FILE}\n"
    copy.write_bytes(b"something else")
    with pytest.raises(FileExistsError, match="--force"):
        get_weights([NAME], out=tmp_path / "copies")
    get_weights([NAME], out=tmp_path / "copies", force=True)
    assert copy.read_bytes() == CONTENT


def test_a_copied_folder_is_the_cache_of_a_machine_without_network(
    owner: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    monkeypatch.setenv("RESIDUA_OFFLINE", "0")
    get_weights([NAME], out=other / "residua" / "weights")
    monkeypatch.setenv("XDG_CACHE_HOME", str(other))
    monkeypatch.setenv("RESIDUA_OFFLINE", "1")
    (row,) = get_weights([NAME])
    assert row.path == other / "residua" / "weights" / NAME / FILE
    assert [check.state for check in verify_weights()] == ["as recorded"]


def test_a_file_in_place_of_the_folder_is_refused_before_the_download(
    owner: FileServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is a file"):
        get_weights([NAME], out=tmp_path / "file")
    assert owner.requests == []


def test_what_forbids_commercial_use_is_downloaded_only_when_that_is_accepted(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="CC-BY-NC"):
        get_weights(["resnet50.fb.swsl"])
    with pytest.raises(UnreachableError):  # the tests forbid downloads
        get_weights(["resnet50.fb.swsl"], accepted=True)
    monkeypatch.setenv("RESIDUA_ACCEPT_LICENCE", "cc-by-nc-4.0, other")
    with pytest.raises(UnreachableError):
        get_weights(["resnet50.fb.swsl"])


def test_every_licence_is_checked_before_the_first_download(owner: FileServer) -> None:
    with pytest.raises(ConfigError, match="CC-BY-NC"):
        get_weights([NAME, "resnet18.fb.*"])
    assert owner.requests == []


def test_the_digest_of_the_first_download_is_compared_from_then_on(owner: FileServer) -> None:
    (row,) = get_weights([NAME])
    assert row.path is not None
    (check,) = verify_weights()
    assert (check.sha256, check.state) == (DIGEST, "as recorded")
    times = row.path.stat()
    row.path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(row.path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a disk that loses bits
    (check,) = verify_weights([NAME])
    assert check.state == "wrong"
    assert DIGEST in check.problem


def test_the_digest_of_a_file_that_another_library_downloaded_is_written_down(caches: Path) -> None:
    (caches / FILE).write_bytes(CONTENT)
    assert [check.state for check in verify_weights([NAME])] == ["written down"]
    assert [check.state for check in verify_weights([NAME])] == ["as recorded"]
    (caches / FILE).write_bytes(CONTENT[1:])
    assert [check.state for check in verify_weights([NAME])] == ["wrong"]


def test_a_file_whose_published_digest_differs_is_wrong_and_not_listed_as_here(caches: Path) -> None:
    name, file = PUBLISHED
    (caches / file).write_bytes(CONTENT)
    assert [check.state for check in verify_weights()] == ["wrong"]
    assert list_weights(name)[0].path is None


def test_weights_that_are_not_here_cannot_be_verified(caches: Path) -> None:
    assert verify_weights() == []
    with pytest.raises(ConfigError, match="weights get"):
        verify_weights(["resnet18.timm.a1"])


def test_a_pattern_or_name_that_nothing_matches_is_refused() -> None:
    for pattern in ("zzz*", "resnet18.timm.a9"):
        with pytest.raises(ConfigError, match="no weights"):
            list_weights(pattern)
    assert [row.entry.name for row in list_weights("resnet18.a1_in1k")] == ["resnet18.timm.a1"]
    assert [row.entry.name for row in list_weights("ResNet18_Weights.DEFAULT")] == [PUBLISHED[0]]
