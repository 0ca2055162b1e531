"""Devices: find one by name, place a network on it, measure its memory."""

from typing import TypeVar

import torch
from torch import nn

from residua.errors import ConfigError
from residua.nn import malloc
from residua.nn.clips import layout
from residua.nn.network import Network
from residua.nn.processor import usable_cores
from residua.spec.recipe import Plan

Placed = TypeVar("Placed", bound=nn.Module)


def resolve_device(name: str) -> torch.device:
    """The device called `name`.

    Args:
        name: A device of torch, e.g. `cpu` or `cuda:1`; `auto` takes the first accelerator, else the CPU.

    Returns:
        The device.

    Raises:
        ConfigError: It does not exist here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", torch.cuda.current_device())
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros((), device=device).item()
    except (RuntimeError, AssertionError, TypeError) as error:
        first = str(error).splitlines()[0].partition(". ")[0]
        if first.startswith("Expected one of"):  # then follow all devices that torch has a name for
            first = "no such kind of device"
        allowed = "cpu, cuda, cuda:1, mps or auto"
        raise ConfigError(f"device {name!r} cannot be used here ({first}): give {allowed}") from None
    return device


def nearest_device(name: str) -> torch.device:
    """The device called `name`, or what `auto` takes if it is missing: a run may resume on other hardware."""
    try:
        return resolve_device(name)
    except ConfigError:
        return resolve_device("auto")


def memory_bytes(name: str) -> int:
    """Peak memory of this process in bytes: on the CUDA device `name`, or else of the machine."""
    return torch.cuda.max_memory_allocated(name) if name.startswith("cuda") else malloc.peak_bytes()


def device_name(device: torch.device) -> str:
    """Product name of a GPU; the name of any other device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def torch_threads() -> int:
    """Threads with which torch computes on the CPU: its own number, but no more than usable cores."""
    return min(torch.get_num_threads(), usable_cores())


def place_network(network: Placed, plan: Plan) -> Placed:
    """Move a network to the device and memory format of a plan, and set up torch.

    Sets the number of CPU threads, and lets cuDNN measure its algorithms.
    """
    torch.set_num_threads(plan.threads)
    torch.backends.cudnn.benchmark = True  # pays off: batches have few shapes, and there are thousands
    axes = 5 if isinstance(network, Network) and network.arch.has_time else 4
    return network.to(plan.device).to(memory_format=layout(plan.memory_format, axes))
