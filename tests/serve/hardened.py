"""Run a command under the system calls that a unit of systemd allows: hardened.py UNIT COMMAND...

systemd sets the same filter with the same library, but needs to be process 1 of the machine.
"""

import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

ALLOW, KILL_PROCESS, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
"""Actions of libseccomp; a number of an error is added to the last."""
PR_SET_MDWE, REFUSE_EXEC_GAIN = 65, 1


def calls_of(group: str) -> set[str]:
    """The system calls of a group, with those of the groups in it."""
    if not group.startswith("@"):
        return {group}
    words = ["systemd-analyze", "--no-pager", "syscall-filter", group]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()[1:]
    names = [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]
    return set[str]().union(*(calls_of(name) for name in names))


def allowed_calls(unit: str) -> set[str]:
    """The system calls of the lines `SystemCallFilter`, read as systemd reads them."""
    calls = calls_of("@default")
    for is_denied, groups in re.findall(r"^SystemCallFilter=(~?)(.*)$", unit, re.MULTILINE):
        named = set[str]().union(*(calls_of(group) for group in groups.split()))
        calls = calls - named if is_denied else calls | named
    return calls


def harden(unit: str) -> None:
    """Set the filter of the unit, and `MemoryDenyWriteExecute`, for this process and its children."""
    number = re.search(r"^SystemCallErrorNumber=(\w+)$", unit, re.MULTILINE)
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    refused = ERRNO | getattr(errno, number[1]) if number else KILL_PROCESS
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(refused)))
    for name in allowed_calls(unit):
        call = library.seccomp_syscall_resolve_name(name.encode())
        if call >= 0 and library.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), call, 0):
            raise OSError(f"no rule for {name}")
    if "MemoryDenyWriteExecute=yes" in unit:
        ctypes.CDLL(None).prctl(PR_SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0)  # Linux 6.3; older kernels say no
    if library.seccomp_load(context):
        raise OSError("the filter cannot be set")


if __name__ == "__main__":
    harden(Path(sys.argv[1]).read_text("utf-8"))
    os.execvp(sys.argv[2], sys.argv[2:])
