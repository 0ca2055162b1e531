"""Files of `torch.save` from strangers: described first, then read tensor by tensor, without `torch.load`.

zip    NAME/data.pkl and one record NAME/data/KEY for each storage, all without compression (torch 1.6 on)
old    pickles of a magic number, a version, the system, the content and the keys of the storages; then,
       for each key, the number of values (8 bytes) and the values
"""

import io
import zipfile
from collections.abc import Callable
from typing import Any, BinaryIO

import torch
from torch import Tensor

from residua.weights.torch_pickle import Storage, interpret

ReadStorage = Callable[[Storage], Tensor]
"""Reads the values of a storage from the file, as a tensor of one axis."""

ZIP = b"PK\3\4"
"""First bytes of the newer kind of file."""
PICKLE = b"\x80"
"""First byte of the older kind: of a pickle."""
OLD = (0x1950A86A20F9469CFC6C, 1001)
"""Magic number and version at the beginning of the older kind."""
OPERATIONS, OPERATION_BYTES = 2**19, 128
"""Most operations of a pickle: so many, and one more for each 128 bytes of the file. A tensor takes 40."""
PICKLE_BYTES, PICKLE_PART = 2**22, 8
"""Most bytes of a pickle: so many, and an eighth of the file. A tensor takes 160."""
RECORDS, RECORD_BYTES = 2**15, 1024
"""Most records of a zip: so many, and one more for each KiB of the file. Python keeps 480 bytes for each."""

_DIRECTORY_ENTRY = b"PK\1\2"
_CHUNK = 2**20


def describe(file: BinaryIO, size: int) -> tuple[Any, ReadStorage]:
    """What a file of torch holds, and how to read the values of its tensors.

    Args:
        file: At its beginning; it stays open while values are read.
        size: Its bytes.

    Returns:
        The content as `interpret` gives it, and a function that reads a storage.

    Raises:
        Exception: Of any type, when it is no such file, is damaged, or holds what weights do not need.
    """
    start = file.read(len(ZIP))
    file.seek(0)
    if start == ZIP:
        return _describe_zip(file, size)
    if start[: len(PICKLE)] != PICKLE:  # an error page that was saved as weights, for example
        raise ValueError("it does not begin as files of torch.save do")
    return _describe_old(file, size)


def _describe_zip(file: BinaryIO, size: int) -> tuple[Any, ReadStorage]:
    if _count(file, _DIRECTORY_ENTRY) > RECORDS + size // RECORD_BYTES:
        raise ValueError("it has more records than weights need")
    archive = zipfile.ZipFile(file)
    records = {record.filename: record for record in archive.infolist()}
    if sum(record.file_size for record in archive.infolist()) > size:
        raise ValueError("its records unpack to more than the file")
    if any(record.compress_type != zipfile.ZIP_STORED for record in archive.infolist()):
        raise ValueError("its records are compressed")
    if damaged := archive.testzip():
        raise ValueError(f"its record {damaged!r} is damaged")
    roots = [name.removesuffix("data.pkl") for name in records if name.endswith("/data.pkl")]
    if not roots:
        raise ValueError("it is a zip file, but not one of torch.save")
    root = roots[0]
    order = records.get(f"{root}byteorder")
    if order and archive.read(order) != b"little":
        raise ValueError("its numbers are big-endian")
    pickle = records[f"{root}data.pkl"]
    if pickle.file_size > PICKLE_BYTES + size // PICKLE_PART:
        raise ValueError("its pickle is longer than weights need")
    content = interpret(io.BytesIO(archive.read(pickle)), OPERATIONS + size // OPERATION_BYTES, {})

    def read(storage: Storage) -> Tensor:
        record = records[f"{root}data/{storage.key}"]
        if record.file_size != storage.nbytes:
            raise ValueError(f"its storage {storage.key!r} has another size than it says")
        with archive.open(record) as stream:
            return _read_values(stream, storage)

    return content, read


def _describe_old(file: BinaryIO, size: int) -> tuple[Any, ReadStorage]:
    pickles, storages = io.BytesIO(file.read(PICKLE_BYTES + size // PICKLE_PART)), dict[str, Storage]()
    operations = OPERATIONS + size // OPERATION_BYTES
    if tuple(interpret(pickles, operations, {}) for _ in OLD) != OLD:
        raise ValueError("it does not begin as files of torch do")
    if not interpret(pickles, operations, {})["little_endian"]:
        raise ValueError("its numbers are big-endian")
    content = interpret(pickles, operations, storages)
    keys, place = interpret(pickles, operations, {}), pickles.tell()
    starts = dict[str, int]()
    for key in keys:
        starts[key] = place
        place += 8 + storages[key].nbytes

    def read(storage: Storage) -> Tensor:
        file.seek(starts[storage.key])
        if (
            int.from_bytes(file.read(8), "little") != storage.numel
            or starts[storage.key] + 8 + storage.nbytes > size
        ):
            raise ValueError(f"its storage {storage.key!r} has another size than it says")
        return _read_values(file, storage)

    return content, read


def _read_values(stream: Any, storage: Storage) -> Tensor:
    """The next values of `stream`, in memory of their own; the file is known to hold them."""
    values = torch.empty(storage.nbytes, dtype=torch.uint8)
    rest = values.numpy().data
    while rest:
        if not (count := stream.readinto(rest[:_CHUNK])):
            raise ValueError("it ends too early")
        rest = rest[count:]
    return values.view(storage.dtype)


def _count(file: BinaryIO, mark: bytes) -> int:
    """How often `mark` occurs in the file, which stands at its beginning before and after."""
    count, end = 0, b""
    while chunk := file.read(_CHUNK):
        count += (end + chunk).count(mark)
        end = chunk[1 - len(mark) :]
    file.seek(0)
    return count
