"""Files: written in one step, output paths checked before the work, locks that end with their process."""

import os
from pathlib import Path

import pytest

from residua.errors import ConfigError
from residua.files import check_output_path, file_lock, file_sha256, next_free, write_file


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
    with file_lock(tmp_path / "lock") as descriptor:
        os.write(descriptor, b"process 7")
        with pytest.raises(BlockingIOError, match="process 7"), file_lock(tmp_path / "lock", wait=False):
            pass
    (tmp_path / "target").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    with pytest.raises(OSError, match="link"), file_lock(tmp_path / "link"):
        pass
    assert (tmp_path / "target").read_text() == "precious"
