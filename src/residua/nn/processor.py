"""The processor of this machine: its name, its cores, and whether it has units for bfloat16."""

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
"""What Linux knows of the processors, one `name : value` a line."""
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
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def has_bfloat16_units() -> bool | None:
    """Whether the CPU computes bfloat16 in hardware; None where the system does not say.

    Without such units torch emulates bfloat16, which takes several times as long as float32.
    """
    if flags := processor_flags():
        return not _BFLOAT16_FLAGS.isdisjoint(flags.split())
    import torch  # here, because a run names its processor without torch

    is_too_old = torch.backends.cpu.get_cpu_capability() in ("DEFAULT", "NO AVX", "AVX2")
    return False if is_too_old and platform.machine() in _X86 else None


def _cpuinfo() -> Iterator[tuple[str, str]]:
    """Names and values of what the system says of its processors; nothing where it does not."""
    with suppress(OSError):
        for line in _CPUINFO.read_text(errors="replace").splitlines():
            name, _, value = line.partition(":")
            yield name.strip(), value.strip()
