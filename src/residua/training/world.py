"""The device and the processes of a run; the one place that reads the launcher's environment."""

import os
import resource
import sys

import torch

WORLD_SIZE = "WORLD_SIZE"


def device(name: str) -> torch.device:
    """The device called `name`; `auto` takes the first accelerator, else the CPU.

    ValueError when it is not there.
    """
    if int(os.environ.get(WORLD_SIZE, "1")) > 1:
        raise ValueError("started as several processes: this version trains in one, so leave torchrun away")
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda:0")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"device {name!r} cannot be used here ({first}): give cpu or auto") from None
    return found


def memory_bytes(name: str) -> int:
    """The most memory this process held at a time: of the CUDA device `name`, else of the machine."""
    if name.startswith("cuda"):
        return torch.cuda.max_memory_allocated(name)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
