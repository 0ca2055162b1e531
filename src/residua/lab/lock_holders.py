"""Which process writes a run, without touching its lock: the system's list of locks, where it has one.

Taking the lock to see whether it is free would refuse a command that starts at the same moment. Linux lists
all locks in one file. Elsewhere the process that the lock file names counts, while it exists.
"""

import os
import re
import socket
from contextlib import suppress
from pathlib import Path

from residua.errors import ResiduaError
from residua.files import read_file

_LOCKS = Path("/proc/locks")
_HOLDER = re.compile(r"process (\d{1,9}) on (\S+) since ")


class LockHolders:
    """The processes that hold locks of files now."""

    def __init__(self) -> None:
        """Read the system's list."""
        self._holders: dict[int, set[int]] | None = None
        with suppress(OSError):
            self._holders = _holders(_LOCKS.read_text())

    @property
    def is_certain(self) -> bool:
        """Whether the system says which process holds a lock, so that a signal reaches no other one."""
        return self._holders is not None

    def process_of(self, path: Path) -> int:
        """The process that holds the lock file at `path`; 0 when there is none."""
        try:
            inode = os.stat(path, follow_symlinks=False).st_ino
        except OSError:
            return 0
        if self._holders is None:
            return _named_process(path)
        # Not by the device: btrfs and overlays list another one than they give to `stat`.
        processes = self._holders.get(inode, ())
        return process if processes and (process := _named_process(path)) in processes else 0


def _holders(text: str) -> dict[int, set[int]]:
    """Inode -> processes, of lines such as `1: FLOCK  ADVISORY  WRITE 2210 08:01:5242 0 EOF`."""
    holders: dict[int, set[int]] = {}
    for line in text.splitlines():
        words = line.split()
        with suppress(ValueError, IndexError):
            if words[1] != "->":
                holders.setdefault(int(words[5].rpartition(":")[2]), set()).add(int(words[4]))
    return holders


def _named_process(path: Path) -> int:
    """The process that the file names, where it exists on this machine."""
    with suppress(OSError, ResiduaError):
        match = _HOLDER.search(read_file(path)[:1000].decode(errors="replace"))
        if match and match[2] == socket.gethostname():
            os.kill(int(match[1]), 0)
            return int(match[1])
    return 0
