"""The only place that reads or writes weight files: ours certify every byte, those of others never run code.

torch and safetensors both load a file with a flipped bit in silence, so a file of ours carries the SHA-256 of
its own bytes, counted with 64 zeros where the digest stands. Any safetensors reader still opens it.
"""

import argparse
import contextlib
import errno
import hashlib
import json
import os
import re
import stat
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch
from torch import Tensor

from residua.errors import CheckpointError
from residua.files import write_file

ZEROS = b"0" * 64
"""Placeholder of the digest while it is computed."""
DIGEST = re.compile(rb'"sha256":"([0-9a-f]{64})"')
"""The digest in a header; inside the facts its quotes would be escaped."""
CLAIM = re.compile(rb'"(sha256|facts)":"')
"""At least one of these stays in a header of ours when one byte is flipped."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Error numbers of a full disk, an exceeded quota or a file size limit."""
CONTAINERS = ("state_dict_ema", "model_ema", "state_dict", "model")
"""Keys under which others store the weights; averaged ones first, which were evaluated (timm's order)."""
WRAPPERS = ("module.", "_orig_mod.")
"""What data-parallel training and torch.compile put before every name."""

_FOLDER = 0x10  # among the attributes of a record in a zip


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
    head, payload = _serialise(tensors, json.dumps(facts, allow_nan=False, sort_keys=True))
    try:
        write_file(path, head, payload, durable=True)
    except OSError as error:
        if error.errno in FULL:
            error.strerror = f"{error.strerror} for the {len(head) + len(payload):,} bytes of"
        raise


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and facts that `publish` wrote.

    Raises:
        CheckpointError: A byte of the file is changed, missing or extra.
    """
    _regular_size(path)
    with _open(path) as file:
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
        facts = json.loads(json.loads(_header(raw))["__metadata__"]["facts"])
        tensors = safetensors.torch.load(raw)
    except Exception as error:  # a forged file may raise anything
        raise CheckpointError(f"{path} holds no facts or tensors: {_first_line(error)}") from None
    if not isinstance(facts, dict):
        raise CheckpointError(f"{path} holds facts without names: write it with residua")
    return tensors, facts


def is_ours(path: Path) -> bool:
    """Whether the file claims to come from `publish`, which `read` checks.

    Raises:
        CheckpointError: The file cannot be read.
    """
    size = _regular_size(path)
    with _open(path) as file:
        length = int.from_bytes(file.read(8), "little")
        return length < size and CLAIM.search(file.read(length)) is not None


def read_foreign(path: Path) -> dict[str, Tensor]:
    """The weights in a `.safetensors` or torch file of others, under their names; nothing in it is executed.

    Opens the containers `state_dict_ema`, `model_ema`, `state_dict` and `model`, in this order of preference,
    and removes `module.` and `_orig_mod.` where every name has them.

    Raises:
        CheckpointError: The file cannot be read, or holds anything but tensors with all their numbers.
    """
    state = _parse_foreign(path)
    for _ in CONTAINERS:  # containers nest no deeper, but a hostile dict may contain itself
        state = next((state[key] for key in CONTAINERS if isinstance(state.get(key), Mapping)), state)
    state = {name: value for name, value in state.items() if name != "n_averaged"}  # AveragedModel's counter
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(f"{path} holds {name!r}, which is no tensor: give a file of weights alone")
        if not _is_complete(value):
            raise CheckpointError(f"{path} claims more numbers for {name!r} than it holds: do not trust it")
    if not state:
        raise CheckpointError(f"{path} holds no weights: give another file")
    return _without_wrappers(state)


def _parse_foreign(path: Path) -> Mapping[str, Any]:
    size = _regular_size(path)
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load(path.read_bytes())
        with path.open("rb") as file, torch.serialization.safe_globals([argparse.Namespace]):
            _check_archive(file, size)
            # weights_only is given because an environment variable may change its default
            state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # truncation alone raises ten types
        raise CheckpointError(f"{path} is no file of weights alone: {_first_line(error)}") from None
    if not isinstance(state, Mapping):
        raise CheckpointError(f"{path} holds a {type(state).__name__}: give a file with a state dict")
    return state


def _check_archive(file: BinaryIO, size: int) -> None:
    """Raise ValueError for a zip that torch would read without an error, but wrongly.

    It unpacks to more than its size, fails its checksums, or has a record marked as a folder, for which torch
    returns uninitialised memory.
    """
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            if sum(record.file_size for record in archive.infolist()) > size:
                raise ValueError("its records unpack to more than the file")
            folders = (record.filename for record in archive.infolist() if record.external_attr & _FOLDER)
            if damaged := archive.testzip() or next(folders, None):
                raise ValueError(f"its record {damaged} is damaged")
    file.seek(0)


def _is_complete(tensor: Tensor) -> bool:
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()


def _without_wrappers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if all(name.startswith(wrapper) for name in state):
            return _without_wrappers({name.removeprefix(wrapper): value for name, value in state.items()})
    return {name: value.detach() for name, value in state.items()}


def _serialise(tensors: Mapping[str, Tensor], facts: str) -> tuple[bytes, memoryview]:
    """Header and payload. safetensors writes the metadata in random order, so the header is written here."""
    raw = safetensors.torch.save({name: _cpu_copy(tensor) for name, tensor in tensors.items()})
    old = _header(raw)
    payload = memoryview(raw)[8 + len(old) :]
    metadata = {"facts": facts, "sha256": ZEROS.decode()}
    header = json.dumps({"__metadata__": metadata, **json.loads(old)}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # the format's own alignment
    head = len(header).to_bytes(8, "little") + header
    at = _digest_at(head)
    assert at is not None
    return head[:at] + _digest(head, payload) + head[at + len(ZEROS) :], payload


def _cpu_copy(tensor: Tensor) -> Tensor:
    """A contiguous copy on the CPU that shares no memory: what safetensors can store."""
    return tensor.detach().to("cpu", memory_format=torch.contiguous_format, copy=True)


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


def _regular_size(path: Path) -> int:
    try:
        status = path.stat()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened ({error.strerror}): give an existing file") from None
    if not stat.S_ISREG(status.st_mode):
        raise CheckpointError(f"{path} is no regular file: give a file of weights")
    return status.st_size


@contextlib.contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read ({error.strerror}): give a readable file") from None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
