"""Devices: which one a name means here, how a network is placed on it, and how much memory was used."""

import resource
import sys
from typing import TypeVar

import torch
from torch import nn

from residua.nn.clips import layout
from residua.nn.network import Network
from residua.spec.recipe import Plan

Placed = TypeVar("Placed", bound=nn.Module)


def resolve_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes the first accelerator, else the CPU.

    ValueError when it is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(name)
        torch.zeros((), device=found).item()
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0].partition(". ")[0]
        raise ValueError(f"device {name!r} cannot be used here ({first}): give cpu or auto") from None
    return found


def nearest_device(name: str) -> torch.device:
    """The device called `name`, or where it is not there what `auto` takes: a run may go on elsewhere."""
    try:
        return resolve_device(name)
    except ValueError:
        return resolve_device("auto")


def memory_bytes(name: str) -> int:
    """The most memory this process held at a time: of the CUDA device `name`, else of the machine."""
    if name.startswith("cuda"):
        return torch.cuda.max_memory_allocated(name)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def device_name(device: torch.device) -> str:
    """What people call `device`."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def place_network(network: Placed, plan: Plan) -> Placed:
    """`network` on the plan's device and in its memory format; sets torch's threads, and has cuDNN choose."""
    torch.set_num_threads(plan.threads)
    torch.backends.cudnn.benchmark = True  # batches have few sizes, and come thousands of times
    axes = 5 if isinstance(network, Network) and network.arch.has_time else 4
    return network.to(plan.device).to(memory_format=layout(plan.memory_format, axes))
