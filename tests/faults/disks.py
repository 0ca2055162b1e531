"""Small disks for this process alone: tmpfs, mounted where no other process sees it. Linux."""

import contextlib
import ctypes
import os
import subprocess
from pathlib import Path

import pytest

_NEW_MOUNTS, _NEW_USER, _AGAIN = 0x00020000, 0x10000000, 0x20


def _may_unshare() -> bool:
    """Whether a process like this one may have mounts of its own."""
    with contextlib.suppress(OSError):
        return subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
    return False


needed = pytest.mark.skipif(not _may_unshare(), reason="processes here may not mount anything")


def unshare() -> None:
    """From now on this process, which has one thread, mounts for itself alone."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    _call("unshare", _NEW_MOUNTS | _NEW_USER)
    for name, text in maps.items():
        Path("/proc/self", name).write_text(text)


def mount(folder: Path, size: int, *, again: bool = False) -> None:
    """`folder` is a disk of `size` bytes; or `again`, of another size, and with what it holds."""
    _call("mount", b"tmpfs", bytes(folder), b"tmpfs", _AGAIN if again else 0, b"size=%d" % size)


def _call(name: str, *words: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*words):
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error), name)
