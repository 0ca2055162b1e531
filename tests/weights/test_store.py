"""Published files: whole, certified by every byte, or not there at all."""

import errno
import json
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest
import safetensors.torch
import torch

from residua.errors import CheckpointError
from residua.files import remove_temporary_files
from residua.weights import store
from residua.weights.foreign import read_foreign
from residua.weights.store import is_ours, publish, read

FACTS = {"step": 3, "rate": 0.1, "classes": ["a", "ä"], "sha256": f'"sha256":"{"0" * 64}"'}


def tiny(path: Path, *, numbers: int = 100) -> bytes:
    publish(path, {"model.a": torch.arange(numbers) * 0.5, "model.b": torch.tensor(7)}, FACTS)
    return path.read_bytes()


def flipped(path: Path, raw: bytes) -> Iterator[int]:
    """Each position of the file at `path`, for every bit, which is another one until the next comes."""
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(raw):
            for bit in range(8):
                os.pwrite(file.fileno(), bytes([byte ^ 1 << bit]), at)
                yield at
            os.pwrite(file.fileno(), bytes([byte]), at)


def left(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_everything_comes_back_as_it_was_published(tmp_path: Path) -> None:
    whole = torch.randn(4, 6)
    tensors = {
        "bf16": torch.randn(5).bfloat16(),
        "last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "count": torch.tensor(2**40),
        "empty": torch.zeros(0, 3),
        "flag": torch.tensor([True, False]),
        "rows": whole[:2],
        "again": whole[:2],
        "across": whole.t(),
        "weight": torch.nn.Parameter(torch.randn(3)),
    }
    publish(tmp_path / "a.safetensors", tensors, FACTS)
    loaded, facts = read(tmp_path / "a.safetensors")
    assert facts == FACTS
    assert loaded.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert loaded[name].dtype == tensor.dtype
        assert torch.equal(loaded[name], tensor)
    assert loaded["last"].is_contiguous()


def test_any_safetensors_reader_opens_the_file(tmp_path: Path) -> None:
    tiny(tmp_path / "a.safetensors")
    assert safetensors.torch.load_file(tmp_path / "a.safetensors")["model.b"] == 7


def test_equal_values_make_equal_bytes(tmp_path: Path) -> None:
    assert len({tiny(tmp_path / f"{i}.safetensors") for i in range(8)}) == 1


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for at in flipped(path, tiny(path, numbers=300)):
        with pytest.raises(CheckpointError):
            pytest.fail(f"a bit of byte {at} is flipped, yet read as {read(path)}")
    assert read(path)[1] == FACTS


def test_no_flipped_bit_makes_it_pass_for_a_file_of_others(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    for _ in flipped(path, tiny(path, numbers=4)):
        if not is_ours(path):
            with pytest.raises(CheckpointError):
                read_foreign(path)


def test_every_truncation_and_every_extra_byte_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    raw = tiny(path)
    for damaged in (*(raw[:length] for length in range(len(raw))), raw + b"\0", raw + b" ", b"\0" + raw):
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            read(path)


def test_a_file_without_digest_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)
    assert not is_ours(path)
    with pytest.raises(CheckpointError, match="header is damaged"):
        read(path)


@pytest.mark.parametrize(
    "facts", ['{"classes": ["\\ud800"]}', "[1]", "{", "[" * 100_000, '{"a": 1' + "0" * 5000 + "}"]
)
def test_facts_that_are_no_json_map_are_refused(tmp_path: Path, facts: str) -> None:
    with (tmp_path / "a").open("wb") as file:
        store._write(file, store._new_header([], facts), ())
    with pytest.raises(CheckpointError, match="facts"):
        read(tmp_path / "a")


def test_the_bytes_of_tensors_are_those_of_the_library(tmp_path: Path) -> None:
    kinds = [kind for kind in store._TYPES if kind is not torch.bool]
    tensors = {f'{name}"ä/{kind}': torch.ones(2, 3).to(kind) for kind in kinds for name in "ba"}
    tensors |= {"c": torch.tensor([[[True]]]), "d": torch.ones(()), "e": torch.ones(0, 2)}
    tensors["f"] = torch.randn(1, 3000, 900).transpose(1, 2)  # written in pieces
    publish(tmp_path / "a", tensors, FACTS)
    theirs = safetensors.torch.save({name: tensor.contiguous() for name, tensor in tensors.items()})
    ours = (tmp_path / "a").read_bytes()
    header, reference = json.loads(store._header(ours)), json.loads(store._header(theirs))
    del header["__metadata__"]
    assert list(header.items()) == list(reference.items())
    assert ours[8 + len(store._header(ours)) :] == theirs[8 + len(store._header(theirs)) :]


def test_a_missing_file_and_a_folder_and_a_device_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path, Path("/dev/zero")):
        for reader in (read, is_ours, read_foreign):
            with pytest.raises(CheckpointError, match=str(path)):
                reader(path)


def test_an_unreadable_file_is_a_checkpoint_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    tiny(path)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CheckpointError, match=r"a\.safetensors .*\(Permission denied\)"):
        read(path)


def test_a_fact_that_is_no_number_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        publish(tmp_path / "a", {}, {"loss": float("nan")})
    assert left(tmp_path) == []


def test_the_file_is_synced_then_renamed_then_its_folder_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, sync, replace = [], os.fsync, os.replace

    def record_sync(handle: int) -> None:
        target = Path(os.readlink(f"/proc/self/fd/{handle}"))
        trace.append(("sync", target.name, target.stat().st_size if target.is_file() else -1))
        sync(handle)

    def record_replace(old: Path, new: Path) -> None:
        trace.append(("replace", Path(old).name, Path(new).name))
        replace(old, new)

    monkeypatch.setattr(os, "fsync", record_sync)
    monkeypatch.setattr(os, "replace", record_replace)
    size = len(tiny(tmp_path / "a.safetensors"))
    temporary = f".a.safetensors.{os.getpid()}.tmp"
    assert trace == [
        ("sync", temporary, size),
        ("replace", temporary, "a.safetensors"),
        ("sync", tmp_path.name, -1),
    ]


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failing_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "a.safetensors"
    tiny(path)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, broken, fail)
    with pytest.raises(OSError, match="Input/output error") as caught:
        publish(path, {"a": torch.zeros(1)}, {})
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(path))
    assert left(tmp_path) == ["a.safetensors"]
    assert read(path)[1] == FACTS


def publish_under_limit(path: Path, limit: int) -> int:
    """What a forked child, which may write files of `limit` bytes, says: 0 published, else the errno."""
    child = os.fork()
    if not child:
        code = 250
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            publish(path, {"a": torch.zeros(5000)}, {"new": True})
            code = 0
        except OSError as error:
            code = error.errno if error.filename == str(path) else 251
        finally:
            os._exit(code or 0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_full_disk_leaves_the_old_file_and_no_temporary_one(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    publish(tmp_path / "size", {"a": torch.zeros(5000)}, {"new": True})
    size = (tmp_path / "size").stat().st_size
    (tmp_path / "size").unlink()
    tiny(path)
    for limit in (0, 1, 7, 100, 4096, *(size * tenth // 10 for tenth in range(3, 10)), size - 1):
        assert publish_under_limit(path, limit) == errno.EFBIG
        assert left(tmp_path) == ["a.safetensors"]
        assert read(path)[1] == FACTS
    assert publish_under_limit(path, size) == 0
    assert read(path)[1] == {"new": True}


def test_only_a_regular_file_is_replaced(tmp_path: Path) -> None:
    link, broken, folder = tmp_path / "link", tmp_path / "broken", tmp_path / "folder"
    tiny(tmp_path / "target")
    link.symlink_to(tmp_path / "target")
    broken.symlink_to(tmp_path / "none")
    folder.mkdir()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in (link, broken, folder, fifo, Path("/dev/null")):
        with pytest.raises(CheckpointError, match="no regular file"):
            publish(path, {}, {})
    assert left(tmp_path) == ["broken", "fifo", "folder", "link", "target"]
    assert link.is_symlink()


def test_a_missing_folder_is_an_os_error_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        publish(tmp_path / "none" / "a", {}, {})


def test_the_mode_of_a_published_file_follows_the_umask(tmp_path: Path) -> None:
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        old = os.umask(mask)
        try:
            publish(tmp_path / "a", {"a": torch.zeros(1)}, {})
        finally:
            os.umask(old)
        assert (tmp_path / "a").stat().st_mode & 0o777 == mode


def test_cleaning_removes_what_a_killed_writer_left_and_nothing_else(tmp_path: Path) -> None:
    for name in (".a.safetensors.4711.tmp", "a.safetensors", "notes.tmp", ".hidden"):
        (tmp_path / name).write_text("x")
    remove_temporary_files(tmp_path)
    assert left(tmp_path) == [".hidden", "a.safetensors", "notes.tmp"]
