"""Small files that would take gigabytes, crash or hang: refused within twice their size and 64 MiB."""

import pickle
import resource
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import _utils

from residua.errors import CheckpointError
from residua.weights.foreign import read_foreign
from residua.weights.store import read

ROOM = 64 << 20


@contextmanager
def promised_memory(path: Path) -> Iterator[None]:
    """Inside, this process can take no more than twice the file at `path` and 64 MiB of new memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + 2 * path.stat().st_size + ROOM
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refusal(path: Path) -> str:
    """Why the file is refused, which is not because memory ran out."""
    with promised_memory(path), pytest.raises(CheckpointError, match=path.name) as caught:
        read_foreign(path)
    assert "MemoryError" not in str(caught.value)
    assert "allocate" not in str(caught.value)
    assert len(str(caught.value)) < 400
    return str(caught.value)


class Call:
    """In a file, a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.parts = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.parts


ONE = torch.storage.TypedStorage(
    wrap_storage=torch.zeros(1).untyped_storage(), dtype=torch.float32, _internal=True
)
HOOKS: OrderedDict[str, Any] = OrderedDict()
CALLS = {
    "bytearray": Call(bytearray, 2**32),
    "tensor": Call(torch.FloatTensor, 2**30),
    "storage": Call(torch.storage.UntypedStorage, 2**32),
    "meta": Call(_utils._rebuild_meta_tensor_no_storage, torch.float32, (2**40,), (1,), False),
    "counter": Call(Counter, "ab" * 9),
    "sparse": Call(_utils._rebuild_sparse_tensor, torch.sparse_coo, (ONE, ONE, (2**40,), True)),
    "expanded": Call(_utils._rebuild_tensor_v2, ONE, 0, (2**20, 2**20), (0, 0), False, HOOKS),
    "beyond": Call(_utils._rebuild_tensor_v2, ONE, 0, (2**30,), (1,), False, HOOKS),
    "before": Call(_utils._rebuild_tensor_v2, ONE, -1, (1,), (1,), False, HOOKS),
    "backwards": Call(_utils._rebuild_tensor_v2, ONE, 0, (2, 2), (1, -1), False, HOOKS),
    "deep key": {"a": {(1, (2, (3,))): 1}},
}
"""What torch's own reader would call or take, and allocate by the arguments."""


@pytest.mark.parametrize("content", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "old"])
def test_a_call_that_takes_memory_is_not_made(content: object, is_zip: bool, tmp_path: Path) -> None:
    torch.save({"w": content}, tmp_path / "a.pth", _use_new_zipfile_serialization=is_zip)
    refusal(tmp_path / "a.pth")


def test_the_smallest_bomb_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pth").write_bytes(pickle.dumps(Call(bytearray, 2**32), 2))
    assert (tmp_path / "a.pth").stat().st_size < 44
    refusal(tmp_path / "a.pth")


def with_pickle(path: Path, pickled: bytes) -> Path:
    """A file of torch whose content is `pickled`."""
    torch.save({"w": torch.zeros(1)}, path)
    with zipfile.ZipFile(path) as honest:
        records = {name: honest.read(name) for name in honest.namelist()}
    with zipfile.ZipFile(path, "w") as hostile:
        for name, content in records.items():
            hostile.writestr(name, pickled if name.endswith("data.pkl") else content)
    return path


PICKLES = {
    "lists": b"]" * 600_000 + b".",
    "dicts": b"}" * 99_999 + b".",
    "calls": b"ccollections\nOrderedDict\nq\0)q\1" + b"h\0h\1R" * 33_333 + b".",
    "copies": b"ccollections\nOrderedDict\nq\0]("
    + b"".join(b"M" + struct.pack("<H", place) + b"N\x86" for place in range(9999))
    + b"eq\1"
    + b"h\0h\1\x85R" * 9999
    + b".",
    "memo": b"N" + b"".join(b"r" + struct.pack("<I", place) for place in range(520_000)) + b".",
    "place": b"Nr\xff\xff\xff\xff.",
    "text": b"}X" + struct.pack("<I", 2**22 - 99) + "\U0001f600".encode() + b"a" * (2**22 - 103) + b"Ns.",
    "missing text": b"}X\xff\xff\xff\x7fabc.",
    "tuple as key": b"})" + b"\x85" * 130_000 + b"Ns.",
    "colliding keys": b"}\x8a\x09" + (2**61 - 1).to_bytes(9, "little") + b"Ns.",
    "deep": b"]" * 50_000 + b"a" * 49_999 + b".",
    "underflow": b"\x87.",
    "no mark": b"t.",
    "text in place of a name": b"}X\1\0\0\0a)Rs.",
}
"""Pickles that grow by repetition, or break what walks through them."""


@pytest.mark.parametrize("pickled", PICKLES.values(), ids=PICKLES)
def test_a_pickle_that_grows_is_refused(pickled: bytes, tmp_path: Path) -> None:
    refusal(with_pickle(tmp_path / "a.pth", b"\x80\2" + pickled))


def test_a_zip_of_many_empty_records_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("a/data.pkl", b"}.")
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"a"
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(entry) * 200_000, 0, 0)
    (tmp_path / "a.pth").write_bytes(b"PK\3\4" + entry * 200_000 + end)
    assert "records" in refusal(tmp_path / "a.pth")


def test_a_zip_whose_records_lie_over_each_other_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist += 9 * [archive.getinfo("a/data/0")]
        archive._didModify = True  # type: ignore[attr-defined]
    assert "unpack to more" in refusal(path)


def test_an_old_file_that_claims_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"w": torch.zeros(77777)}, path, _use_new_zipfile_serialization=False)
    raw, count = path.read_bytes(), struct.pack("<I", 77777)
    assert raw.count(count) == 3  # in storage and shape, and before the values
    path.write_bytes(raw.replace(count, struct.pack("<I", 2**31 - 1)))
    refusal(path)


def test_a_header_of_safetensors_that_grows_is_refused(tmp_path: Path) -> None:
    entries = ",".join(f'"{n:x}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for n in range(100_000))
    header = f"{{{entries}}}".encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    assert "header" in refusal(tmp_path / "a.safetensors")
    with promised_memory(tmp_path / "a.safetensors"), pytest.raises(CheckpointError, match="header"):
        read(tmp_path / "a.safetensors")
