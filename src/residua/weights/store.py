"""Weight files of ours, which certify every byte; `foreign` reads those of others.

torch and safetensors both load a file with a flipped bit in silence, so a file of ours carries the SHA-256 of
its own bytes, counted with 64 zeros where the digest stands. Any safetensors reader still opens it.

    publish   header with zeros -> the tensors piece by piece, hashed as they are written -> digest over the
              zeros. The library would copy all tensors twice, and abort where memory runs out.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from residua.errors import CheckpointError
from residua.files import near_path, replace_file
from residua.spec.record import parse_json
from residua.weights.facts import check_facts

ZEROS = b"0" * 64
"""Placeholder of the digest while it is computed."""
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
"""The digest in a header; inside the facts its quotes would be escaped."""
CLAIM = re.compile(rb'"(sha256|facts)":"')
"""At least one of these stays in a header of ours when one byte is flipped."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota or a file size limit."""
HEADER_BYTES, HEADER_PART = 2**22, 64
"""Most bytes of a header: so many, and a 64th of the file. A tensor takes 100 bytes of it."""
PIECE_BYTES = 8 << 20
"""Bytes of a tensor that are copied and written at once, about: the memory that writing a file takes."""

_TYPES = {
    torch.uint64: "U64",
    torch.int64: "I64",
    torch.float64: "F64",
    torch.complex64: "C64",
    torch.float32: "F32",
    torch.uint32: "U32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.uint16: "U16",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Types of tensors in the order of safetensors' own writer, the widest first, and their names there."""


def publish(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write one self-certifying file in one step; equal values make equal bytes.

    Order: temporary file beside it, fsync, rename, fsync of the folder. After a power cut `path` is the old
    file or the new one.

    Args:
        path: The file to write or replace.
        tensors: Name -> tensor, on any device.
        facts: JSON values to store beside them.

    Raises:
        CheckpointError: `path` exists and is no regular file.
        OSError: The file cannot be written; the error has `path` and errno.
        ValueError: A fact is not JSON.
    """
    if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
        raise CheckpointError(f"{path} is no regular file, so it is not replaced: choose another path")
    facts_text = json.dumps(facts, allow_nan=False, sort_keys=True)
    ordered = sorted(tensors.items(), key=lambda pair: ([*_TYPES].index(pair[1].dtype), pair[0]))
    head = _new_header(ordered, facts_text)
    try:
        with replace_file(path, durable=True) as file:
            _write(file, head, (piece for _, tensor in ordered for piece in _pieces(tensor)))
    except OSError as error:
        if error.errno in FULL:
            size = len(head) + sum(tensor.nbytes for tensor in tensors.values())
            error.strerror = f"{error.strerror} for the {size:,} bytes of"
        raise


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that `publish` wrote.

    Raises:
        CheckpointError: A byte of the file is changed, missing or extra, or a fact is wrong.
    """
    size = regular_size(path)
    with open_file(path) as file:
        check_header(path, file, size)
        raw = file.read()
    at = _digest_at(raw)
    if at is None:
        raise CheckpointError(
            f"{path} was not written by residua, or its header is damaged: take another copy"
        )
    rest = memoryview(raw)[at + len(ZEROS) :]
    if _digest(raw[:at], ZEROS, rest) != raw[at : at + len(ZEROS)]:
        raise CheckpointError(f"{path} is damaged (its bytes do not match its sha256): take an older copy")
    try:
        facts = parse_json(json.loads(_header(raw))["__metadata__"]["facts"])
        tensors = safetensors.torch.load(raw)
    except MemoryError:
        raise
    except Exception as error:  # a forged file may raise anything
        raise CheckpointError(f"{path} holds no facts or tensors: {first_line(error)}") from None
    return tensors, check_facts(facts, path)


def read_facts(path: Path) -> dict[str, Any]:
    """The facts in the header of a file of ours, before `read` checks its bytes; empty for a file of others.

    Raises:
        CheckpointError: The file cannot be read, or a fact is wrong.
    """
    if not is_ours(path):
        return {}
    with open_file(path) as file:
        check_header(path, file, regular_size(path))
        header = file.read(int.from_bytes(file.read(8), "little"))
    try:
        facts = parse_json(json.loads(header)["__metadata__"]["facts"])
    except Exception as error:  # a forged file may raise anything
        raise CheckpointError(f"{path} holds no facts: {first_line(error)}") from None
    return check_facts(facts, path)


def is_ours(path: Path) -> bool:
    """Whether the file claims to come from `publish`, which `read` checks.

    Raises:
        CheckpointError: The file cannot be read.
    """
    size = regular_size(path)
    with open_file(path) as file:
        length = int.from_bytes(file.read(8), "little")
        return length < size and CLAIM.search(file.read(length)) is not None


def _new_header(ordered: Sequence[tuple[str, Tensor]], facts: str) -> bytes:
    """Length and header of a safetensors file with `ordered` tensors, and zeros for the digest.

    The library writes the metadata in random order; otherwise the bytes are those of its own writer.
    """
    header: dict[str, Any] = {"__metadata__": {"facts": facts, "sha256": ZEROS.decode()}}
    end = 0
    for name, tensor in ordered:
        start, end = end, end + tensor.nbytes
        shape = list(tensor.shape)
        header[name] = {"dtype": _TYPES[tensor.dtype], "shape": shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format's own alignment
    return len(text).to_bytes(8, "little") + text


def _write(file: BinaryIO, head: bytes, pieces: Iterable[memoryview]) -> None:
    """Write `head` and `pieces` to the empty `file`, then their digest over the zeros in `head`."""
    digest = hashlib.sha256()
    parts: Iterable[bytes | memoryview] = chain((head,), pieces)
    for part in parts:
        digest.update(part)
        file.write(part)
    at = _digest_at(head)
    assert at is not None
    file.seek(at)
    file.write(digest.hexdigest().encode())


def _pieces(tensor: Tensor) -> Iterator[memoryview]:
    """The bytes of `tensor` in C order, in pieces; about `PIECE_BYTES` at once are copied, and only where
    the tensor lies on an accelerator or in another order."""
    tensor = tensor.detach()
    if tensor.nbytes <= PIECE_BYTES or not tensor.ndim or (tensor.is_cpu and tensor.is_contiguous()):
        yield tensor.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data
        return
    count = -(-tensor.nbytes // PIECE_BYTES)
    for part in tensor.chunk(count) if len(tensor) > 1 else (tensor[0],):
        yield from _pieces(part)


def _header(raw: bytes) -> bytes:
    return raw[8 : 8 + int.from_bytes(raw[:8], "little")]


def _digest_at(raw: bytes) -> int | None:
    match = DIGEST.search(_header(raw))
    return 8 + match.start(1) if match else None


def _digest(*parts: bytes | memoryview) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest().encode()


def regular_size(path: Path) -> int:
    """Bytes of the file at `path`. CheckpointError when there is none, or a folder, pipe or device."""
    try:
        status = path.stat()
    except OSError as error:
        is_absent = isinstance(error, FileNotFoundError)
        why = f"does not exist{near_path(path)}" if is_absent else f"cannot be opened ({error.strerror})"
        raise CheckpointError(f"{path} {why}: give an existing run, folder or file") from None
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{path} is no regular file: give a file of weights")
    return status.st_size


def check_header(path: Path, file: BinaryIO, size: int) -> None:
    """CheckpointError when the header is longer than weights need: it becomes many objects of Python.

    Args:
        path: The safetensors file, for messages.
        file: The same, open at its beginning, where it stands afterwards.
        size: Its bytes.
    """
    length = int.from_bytes(file.read(8), "little")
    file.seek(0)
    if HEADER_BYTES + size // HEADER_PART < length < size:
        raise CheckpointError(
            f"{path} has a header of {length:,} bytes, which no weights need: do not trust it"
        )


@contextlib.contextmanager
def open_file(path: Path) -> Iterator[BinaryIO]:
    """The file at `path`, to read it inside. CheckpointError when it cannot be read."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): give a readable file") from None


def first_line(error: Exception) -> str:
    """The message of `error`, cut to a line; with its type where that alone says what is wrong."""
    text = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
    return (text.splitlines() or ["empty"])[0][:200]
