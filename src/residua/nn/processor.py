"""The processor of this machine: its name, its cores, and whether it has units for bfloat16."""

import math
import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
"""What Linux knows of the processors, one `name : value` a line."""
_CGROUPS, _OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
"""The control groups of Linux (version 2), and a line `0::PATH` that names this process's own."""
_FLAG_LINES = ("flags", "Features")
"""Names of the line that lists the instruction sets, on x86 and on ARM."""
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16", "svebf16"}
"""Instruction sets that multiply or convert bfloat16 in hardware."""
_X86 = {"x86_64", "AMD64", "i386", "i686"}
"""Names of the architecture of Intel and AMD, as systems give them."""


def processor_name() -> str:
    """The model name of the CPU, which decides the kernels that torch takes."""
    names = (value for name, value in _cpuinfo() if name == "model name")
    return next(names, "") or platform.processor() or platform.machine()


def processor_flags() -> str:
    """The instruction sets of the CPU, in alphabetical order; empty where the system does not say."""
    return " ".join(sorted(next((value for name, value in _cpuinfo() if name in _FLAG_LINES), "").split()))


def usable_cores() -> int:
    """Cores that this process may use, by its affinity and by the limit of its container.

    A container of 2 CPUs sees all cores of its machine. With a thread on each, they use up the quota in a
    moment, and all stand still until the next period.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota())))


def has_bfloat16_units() -> bool | None:
    """Whether the CPU computes bfloat16 in hardware; None where the system does not say.

    Without such units torch emulates bfloat16, which takes several times as long as float32.
    """
    if flags := processor_flags():
        return not _BFLOAT16_FLAGS.isdisjoint(flags.split())
    import torch  # here, because a run names its processor without torch

    is_too_old = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2")
    return False if is_too_old and platform.machine() in _X86 else None


def _quota() -> float:
    """CPUs of the smallest limit of this process's control group and those around it; infinity for none."""
    quota = math.inf
    with suppress(OSError):
        own = _OWN_CGROUP.read_text().partition("0::/")[2].strip()
        for group in (_CGROUPS / own, *(_CGROUPS / own).parents):
            with suppress(OSError, ValueError):  # no such group, or `max`
                limit, period = (group / "cpu.max").read_text().split()
                quota = min(quota, int(limit) / int(period))
    return quota


def _cpuinfo() -> Iterator[tuple[str, str]]:
    """Names and values of what the system says of its processors; nothing where it does not."""
    with suppress(OSError):
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            yield name.strip(), value.strip()
