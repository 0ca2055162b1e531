"""An accelerator made of the CPU: tensors that say they are on `cuda:0`, with numbers that the host computes.

Kernels are the CPU's, so what runs on it has to come to the CPU's own bits. With a real one it shares what
makes code fail there that works here: operands on two devices are refused, the host waits for what it asks,
and a copy spares it that out of pinned memory alone. Several processes have one each, and gloo plays NCCL. It
has no streams, no cuDNN and no compiler: those only a real one can test.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

DEVICE = torch.device("cuda:0")
NAME = "an accelerator made of the CPU"

_ATEN = torch.ops.aten
_ASKS = (_ATEN._local_scalar_dense, _ATEN.item, _ATEN.nonzero, _ATEN.masked_select, _ATEN.equal)
"""Kernels whose answer the host needs, or whose result has a size that it must learn."""
_ANSWERS = {
    "_lazy_init": None,
    "is_available": True,
    "is_bf16_supported": True,
    "get_device_name": NAME,
    "max_memory_allocated": 0,
    "memory_allocated": 0,
    "set_device": None,
    "current_device": 0,
    "get_device_capability": (8, 0),
}
"""What `torch.cuda` says while the accelerator is there."""


@dataclass
class Seen:
    """What was noticed while the accelerator was there."""

    waits: list[str] = field(default_factory=list)
    """Kernels and copies for which the host had to wait."""
    pinned: list[Tensor] = field(default_factory=list)
    """What lies in memory that can be copied from while the host goes on."""


class FakeCudaTensor(Tensor):
    """A tensor of the accelerator, around the one of the CPU that holds its numbers.

    To torch's engine it is a `meta` tensor with the keys of `cuda`: for a real `cuda` it would call a driver.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> "FakeCudaTensor":
        """`held`, as it is."""
        with torch.inference_mode(mode=False):
            shape = torch.empty_strided(held.size(), held.stride(), dtype=held.dtype, device="meta")
            made: FakeCudaTensor = torch.Tensor._make_subclass(  # type: ignore[attr-defined]
                cls, shape, dispatch_device=False, device_for_backend_keys=DEVICE
            )
        made.held = held
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """Where it says it is."""
        return DEVICE

    @property
    def is_cuda(self) -> bool:  # type: ignore[override]
        """The same."""
        return True

    @property
    def is_meta(self) -> bool:  # type: ignore[override]
        """Not to those who ask; else nothing would be loaded into it."""
        return False

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Kernels that are called when nobody looks any more."""
        return _run(func, args, kwargs or {}, Seen())


class _FakeCudaMode(TorchDispatchMode):
    """Takes every kernel in its way."""

    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.is_inference_mode_enabled():  # where kernels that are made of others arrive whole
            with self:
                parts = func.decompose(*args, **(kwargs or {}))
            if parts is not NotImplemented:
                return parts
        return _run(func, args, kwargs or {}, self.seen)


@contextmanager
def fake_accelerator() -> Iterator[Seen]:
    """While inside, `cuda` is the accelerator, and what the host waits for is seen.

    For a process of its own: from then on torch's engine has a thread that no fork survives.
    """
    seen = Seen()

    def pin(tensor: Tensor) -> Tensor:
        seen.pinned.append(tensor.clone())
        return seen.pinned[-1]

    join = torch.distributed.init_process_group

    def meet(backend: str, **options: Any) -> None:
        assert backend == "cpu:gloo,cuda:nccl"
        join("cpu:gloo,cuda:gloo", **options)

    with ExitStack() as stack:
        for name, answer in _ANSWERS.items():
            stack.enter_context(patch.object(torch.cuda, name, lambda *_, answer=answer: answer))
        stack.enter_context(patch.object(torch.cuda, "synchronize", lambda *_: seen.waits.append("all")))
        stack.enter_context(patch.object(Tensor, "pin_memory", pin))
        stack.enter_context(patch.object(torch.distributed, "init_process_group", meet))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(_without_driver())
        stack.enter_context(_FakeCudaMode(seen))
        yield seen


@contextmanager
def _without_driver() -> Iterator[None]:
    """What torch does for its own fake tensors where no accelerator is; and weights that can move."""
    torch._C._ensureCUDADeviceGuardSet()
    torch._C._set_only_lift_cpu_tensors(True)
    swaps = torch.__future__.get_swap_module_params_on_conversion()
    torch.__future__.set_swap_module_params_on_conversion(True)
    try:
        yield
    finally:
        torch.__future__.set_swap_module_params_on_conversion(swaps)
        torch._C._set_only_lift_cpu_tensors(False)


def _run(func: Any, args: Any, kwargs: Any, seen: Seen) -> Any:
    """The CPU's kernel on the numbers held, where a real accelerator would run its own."""
    kernel, given = func.overloadpacket, [leaf for leaf in tree_leaves((args, kwargs)) if _is_tensor(leaf)]
    ours = [tensor for tensor in given if isinstance(tensor, FakeCudaTensor)]
    asked = torch.device(kwargs["device"]).type if kwargs.get("device") is not None else ""
    there = asked in ("cuda", "meta") or (bool(ours) and not asked)
    if kernel is _ATEN._to_copy and asked:
        _look(args[0], there=there, free=kwargs.get("non_blocking", False), seen=seen)
    elif kernel is _ATEN.copy_:
        _look(args[1], there=isinstance(args[0], FakeCudaTensor), free=args[2:3] == (True,), seen=seen)
    elif ours and any(tensor.ndim and not isinstance(tensor, FakeCudaTensor) for tensor in given):
        raise RuntimeError(f"{func}: expected all tensors on the same device, found {DEVICE} and cpu")
    if ours and (kernel in _ASKS or (kernel is _ATEN.index and any(map(_is_mask, args[1])))):
        seen.waits.append(str(func))
    bare, options = tree_map_only(FakeCudaTensor, lambda tensor: tensor.held, (args, kwargs))
    found = func(*bare, **{**options, "device": torch.device("cpu")} if asked else options)
    if not there:
        return found
    known = {id(tensor.held): tensor for tensor in ours}  # what a kernel changes in place, it also returns
    return tree_map_only(
        Tensor, lambda held: known[id(held)] if id(held) in known else FakeCudaTensor(held), found
    )


def _look(tensor: Tensor, *, there: bool, free: bool, seen: Seen) -> None:
    """Note a copy between the two that the host has to wait for; a single number is but an argument."""
    comes = isinstance(tensor, FakeCudaTensor)
    if comes and not there:
        seen.waits.append(f"copy of {tuple(tensor.shape)} to cpu")
    elif there and not comes and tensor.ndim and not (free and any(tensor is one for one in seen.pinned)):
        seen.waits.append(f"copy of {tuple(tensor.shape)} to cuda")


def _is_tensor(leaf: object) -> bool:
    return isinstance(leaf, Tensor)


def _is_mask(index: Tensor | None) -> bool:
    return index is not None and index.dtype == torch.bool
