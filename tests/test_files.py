"""Files: written in one step, output paths checked before the work, locks that end with their process."""

import errno
import os
from pathlib import Path

import filelock
import pytest

from residua.errors import CheckpointError, ConfigError
from residua.files import (
    cache_folder,
    check_output_path,
    file_lock,
    file_sha256,
    near_path,
    next_free,
    remove_temporary_files,
    write_file,
)


def test_a_failed_write_names_the_path_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_file(tmp_path / "a.json", "old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"a\.json"):
        write_file(tmp_path / "a.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_a_mistyped_path_is_answered_with_the_names_beside_it(tmp_path: Path) -> None:
    for name in ("photos", "labels.csv"):
        (tmp_path / name).mkdir()
    assert near_path(tmp_path / "phots") == f" (did you mean {tmp_path / 'photos'}?)"
    assert near_path(tmp_path / "runs") == ""
    assert near_path(tmp_path / "labels.csv") == ""
    assert near_path(tmp_path / "none" / "phots") == ""


def test_the_cache_is_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "residua"
    assert not cache_folder().exists()


def test_bytes_of_a_file_name_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    write_file(tmp_path / "a.txt", "caf\udce9 ", b"end")
    assert (tmp_path / "a.txt").read_bytes() == b"caf\\udce9 end"


def test_an_output_path_needs_an_allowed_ending_a_folder_and_room(tmp_path: Path) -> None:
    check_output_path(None)
    check_output_path(tmp_path / "page.HTML", suffixes=(".html",))
    with pytest.raises(ConfigError, match=r"give \.html"):
        check_output_path(tmp_path / "page.pdf", suffixes=(".html",))
    with pytest.raises(ConfigError, match="no folder"):
        check_output_path(tmp_path / "a" / "page.html")
    (tmp_path / "page.html").touch()
    with pytest.raises(FileExistsError, match="--force"):
        check_output_path(tmp_path / "page.html")
    check_output_path(tmp_path / "page.html", force=True)


def test_the_next_free_path_has_the_smallest_free_number(tmp_path: Path) -> None:
    (tmp_path / "run-1").mkdir()
    (tmp_path / "run-3").mkdir()
    assert next_free(tmp_path, "run") == tmp_path / "run-2"


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert file_sha256(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_lock_is_exclusive_tells_its_holder_and_does_not_follow_links(tmp_path: Path) -> None:
    with (
        file_lock(tmp_path / "lock", holder="process 7"),
        pytest.raises(BlockingIOError, match="process 7"),
        file_lock(tmp_path / "lock", wait=False),
    ):
        pass
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(CheckpointError, match="link"), file_lock(tmp_path / "link", holder="process 7"):
        pass
    assert (tmp_path / "target").read_text() == "precious"


def test_a_lock_is_exclusive_where_the_file_system_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> bool:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(filelock, "lock_descriptor", missing)
    for _ in range(2):
        with (
            file_lock(tmp_path / "lock", holder="process 7"),
            pytest.raises(BlockingIOError, match="process 7"),
            file_lock(tmp_path / "lock", wait=False),
        ):
            pass


def test_a_file_is_not_written_through_a_link_in_the_place_of_its_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    temporary = tmp_path / f".a.json.{os.getpid()}.tmp"
    temporary.symlink_to(tmp_path / "target")
    write_file(tmp_path / "a.json", "new")
    assert (tmp_path / "target").read_text() == "precious"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not os.path.lexists(temporary)


def test_what_a_killed_process_left_is_removed_without_what_a_link_leads_to(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("precious")
    (tmp_path / ".a.json.7.tmp").write_text("half")
    (tmp_path / ".b.json.7.tmp").symlink_to(tmp_path / "target")
    (tmp_path / ".c.json.7.tmp").mkdir()
    remove_temporary_files(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".c.json.7.tmp", "target"]
